//! Secrets: by name, by content, and the plan that shadows them.

pub mod decide;
pub mod ignore;
pub mod names;
pub mod remembered;
pub mod scan;
pub mod shadow;
mod walk;

pub use names::is_secret_path;
