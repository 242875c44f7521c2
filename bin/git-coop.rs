//! `git coop`.
fn main() -> std::process::ExitCode {
    coop::cli::main()
}
