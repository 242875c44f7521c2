//! The use cases: the only place that combines the parts.
pub mod agent;
pub mod attack;
pub mod cooldown;
pub mod coop;
pub mod doctor;
pub mod drain;
pub mod egress;
pub mod fork;
pub mod hooks;
pub mod identity;
pub mod image;
pub mod import;
pub mod land;
pub mod live;
pub mod lock;
pub mod login;
pub mod review;
pub mod scan;
pub mod session;
pub mod shadows;
pub mod sync;
pub mod verify;
pub mod verify_range;
pub mod watch;
pub mod workspace;

pub use coop::Coop;
