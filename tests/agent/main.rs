//! Real agent CLIs in real boxes; only the model is scripted (`endpoint/endpoint.mjs`). What is proved each time: the
//! agent's commit arrives in the user's repository, with the user as its author and the file in it.
//!
//! The first run downloads node and three CLIs from npm into an image and into `target/tmp` (about three minutes);
//! afterwards both are found by their content.

mod endpoint;
mod forks;
mod home;
mod image;
mod interactive;
mod keys;
mod login;
mod loops;
mod managers;
mod sample;
mod tools;
