//! The one integration binary: every test of the whole tool.
