//! Integration tests with real git: one binary, one module per topic. They need no runtime; those that do are
//! in `tests/box`.

mod attacks;
mod bad_input;
mod cli;
mod cooldown;
mod docs;
mod egress;
mod fleet;
mod fleet_board;
mod fuzz;
mod hooks;
mod land_crash;
mod land_merge;
mod land_plain;
mod land_rebase;
mod land_review;
mod land_sign;
mod land_support;
mod land_terminal;
mod land_undo;
mod land_verify;
mod land_without;
mod man;
mod outcomes;
mod profiles;
mod scan;
mod scan_history;
mod shadows;
mod spare;
mod structure;
mod support;
mod sync;
mod tasks;
