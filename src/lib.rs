//! isconf.

#![forbid(unsafe_code)]

pub mod model;
pub mod audit;
pub mod ui;
