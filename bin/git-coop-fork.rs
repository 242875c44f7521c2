//! `git coop fork`.
fn main() -> std::process::ExitCode {
    coop::cli::single::<coop::cli::fork::Args>("fork")
}
