//! The only module that runs git or names gix.
//!
//! Guarantees: git is run with the user's repository only, never with a directory that a box can write;
//! every `GIT_*` variable of the caller is dropped; no hook, fsmonitor, pager, editor or prompt of
//! anybody runs from here. Refs are written by git itself (gix writes loose refs that git cannot see in
//! reftable repositories); gix reads and writes objects and trees, and reads index and refs where they are plain
//! files. Where a quick answer is not certain, git is asked.

pub mod attributes;
pub mod bind;
pub mod blobs;
pub mod bundle;
pub mod checkout;
pub mod clean;
pub mod command;
pub mod config;
pub mod diff;
pub mod follow;
pub mod ident;
pub mod index;
pub mod init;
pub mod introduced;
pub mod merge3;
pub mod named;
pub mod notes;
pub mod objects;
pub mod oid;
pub mod pack_out;
pub mod packed;
pub mod peek;
pub mod picks;
pub mod private;
pub mod rebase;
pub mod recommit;
pub mod refs;
pub mod remote;
pub mod repo;
pub mod seed;
pub mod shape;
pub mod sign;
pub mod staged;
pub mod store;
pub mod transactions;
pub mod worktree;
pub mod write;

pub use command::Git;
pub use oid::Oid;
pub use repo::Repo;
