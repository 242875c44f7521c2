//! `git coop review`.
fn main() -> std::process::ExitCode {
    coop::cli::single::<coop::cli::review::Args>("review")
}
