//! The promises of a box, tested on every runtime of this machine with real boxes.
//!
//! `COOP_TEST_REQUIRE=bwrap,docker,podman` makes a missing runtime a failure; otherwise it is skipped, loudly. The image
//! is `coop-test-base:latest`, made by `tests/fixtures/base-image.sh`.

#![allow(missing_docs)]

mod common;
mod doctor;
mod egress;
mod hardening;
mod lifecycle;
mod places;
mod streams;
mod terminal;
