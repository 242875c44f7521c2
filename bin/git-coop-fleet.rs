//! `git coop fleet`.
fn main() -> std::process::ExitCode {
    coop::cli::single::<coop::cli::fleet::Args>("fleet")
}
