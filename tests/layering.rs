//! Checks the borders between the modules.
