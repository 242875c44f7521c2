//! `git coop scan`.
fn main() -> std::process::ExitCode {
    coop::cli::single::<coop::cli::scan::Args>("scan")
}
