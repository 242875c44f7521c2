//! The use cases: the only place that combines the parts.
pub mod agent;
