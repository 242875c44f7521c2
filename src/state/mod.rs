//! What is true, in refs (`gitcoop-refs(7)`): one ref per entity, an event commit per change whose last
//! paragraph is the whole snapshot as trailers. Nothing here is cached anywhere else.

pub mod account;
pub mod allow;
pub mod archive;
pub mod claim;
pub mod egress;
pub mod event;
pub mod fleet;
pub mod fork;
pub mod loops;
pub mod name;
pub mod notes;
pub mod record;
pub mod verdict;

pub use claim::{Claim, ClaimState};
pub use event::{Event, Store};
pub use fork::{Fork, ForkState};
pub use loops::{Loop, LoopState};
pub use name::ForkName;
