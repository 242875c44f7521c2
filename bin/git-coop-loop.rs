//! `git coop loop`.
fn main() -> std::process::ExitCode {
    coop::cli::single::<coop::cli::drain::Args>("loop")
}
