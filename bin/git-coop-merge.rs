//! `git coop merge`.
fn main() -> std::process::ExitCode {
    coop::cli::single::<coop::cli::merge::Args>("merge")
}
