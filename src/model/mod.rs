//! The words of the project as values. Not for files, clocks, network or decisions. Upholds: a
//! type that two stages need is a word of the model.

pub mod report;
pub mod run;
pub mod drift;
