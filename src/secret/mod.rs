//! Secrets: by name, by content, and the plan that shadows them.
