//! `git coop loop`: not in this version.
fn main() -> std::process::ExitCode {
    coop::cli::absent("loop")
}
