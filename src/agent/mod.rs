//! Agents are data: one TOML file each.
