//! The only unsafe code of the project: thin functions, one system call each, for what no safe
//! crate offers. Not for decisions. Upholds: every unsafe block says why it is sound.

pub mod inspect;
pub mod files;
