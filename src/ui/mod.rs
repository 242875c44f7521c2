//! What a person or a program sees: text made harmless, tables, colours, progress.

pub mod text;
