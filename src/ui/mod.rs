//! What a person or a program sees: text made harmless, tables, colours, progress.

pub mod board;
pub mod nearest;
pub mod table;
pub mod text;

pub use nearest::nearest;
