//! Is it still so.
