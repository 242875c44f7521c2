//! The use cases with the real programs, real git and real boxes.

mod attack;
#[path = "../box/common.rs"]
#[allow(dead_code)]
mod common;
mod drain;
mod drain_more;
mod egress;
mod fleet;
mod fork;
mod hostile;
mod kill;
mod land_gate;
mod liars;
mod live;
mod looper;
mod mutation;
mod named;
mod night;
mod race;
mod shapes;
#[path = "../it/support.rs"]
#[allow(dead_code)]
mod support;
mod thousand;
mod world;
