//! Runs inside a box, before its command. See `coop::sandbox::egress::inbox`.
fn main() -> std::process::ExitCode {
    coop::sandbox::egress::inbox::main()
}
