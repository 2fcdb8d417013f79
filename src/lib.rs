//! isconf.
