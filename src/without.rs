//! Takes one defence away, so that a test can show that an attack notices. Only builds with debug assertions can do
//! this: in a release build [`without`] is a constant, and the name of the switch is not in the program.

/// The environment variable that names what is taken away; builds that anybody installs have none.
#[cfg(debug_assertions)]
pub const VARIABLE: Option<&str> = Some("COOP_TEST_WITHOUT");
/// The environment variable that names what is taken away; builds that anybody installs have none.
#[cfg(not(debug_assertions))]
pub const VARIABLE: Option<&str> = None;

/// Whether `defence` was taken away.
#[cfg(debug_assertions)]
pub fn without(defence: &str) -> bool {
    use std::sync::OnceLock;
    static NAMED: OnceLock<String> = OnceLock::new();
    #[allow(clippy::disallowed_methods)] // a switch of tests must reach every layer
    let named = NAMED.get_or_init(|| VARIABLE.and_then(|name| std::env::var(name).ok()).unwrap_or_default());
    named.split(',').any(|name| name == defence)
}

/// Whether `defence` was taken away: never.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub const fn without(_defence: &str) -> bool {
    false
}
