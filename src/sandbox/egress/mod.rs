//! What a box reaches of the network when it has none of its own: a proxy in the process that launched it.
//!
//! The box has a network namespace with nothing but its loopback. [`inbox`] listens there and hands the listening
//! sockets to [`start`] on the host, which serves them until the box is gone. Guarantees: a target is matched by the
//! host and port of the request line before anything is resolved; no address that is private, link-local or this
//! machine's own is ever connected to unless the user named that address; a tunnel carries TLS for the host that it
//! was asked for, or what the user allowed by port; nothing is buffered beyond one chunk; keys that the proxy adds
//! ([`provider`]) are never sent into the box.

mod address;
mod body;
mod dial;
mod hello;
mod helper;
pub mod inbox;
pub mod policy;
pub mod provider;
mod pump;
pub mod rule;
pub mod serve;
pub(super) mod start;
pub mod tally;
pub mod target;
mod tunnel;

pub use policy::Policy;
pub use provider::{Provider, Upstream};
pub use rule::Rule;
pub use serve::Forward;
pub use start::{Proxy, Report, possible};
pub use target::{Host, Target};
