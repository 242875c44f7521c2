//! The task queue (`.agent/TASKS.md`).
