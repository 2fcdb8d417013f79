//! The only room that prints, and the only one that makes text or JSON of values. Not for deciding
//! anything. Upholds: people and programs are shown the same facts, made in one place.
//!
//! ```text
//! Report, Run, Audit, LogLine, ... ─> *_text ─> Page ─┐
//!                                  └> *_json ─────────┴─> Output ─> stdout
//!                       messages, hints, progress ──────> Output ─> stderr
//!                                      ExitCode ────────> main
//! ```

mod style;
mod page;
mod quantity;
pub mod effect_text;
pub mod actions;
mod attributes;
mod object_json;
mod conflict_json;
pub mod change_text;
pub mod limit_text;
mod verdict_text;
mod congruence_text;
mod hazard_json;
pub mod hazard_text;
pub mod diff;
pub mod report_text;
pub mod summary_text;
pub mod report_json;
pub mod run_json;
pub mod drift_text;
pub mod drift_json;
pub mod log_text;
pub mod history_text;
pub mod status_text;
pub mod probe_text;
pub mod settings_text;
pub mod cache_text;
pub mod prune_text;
pub mod hosts_text;
pub mod event_text;
pub mod kept_json;
pub mod progress;
pub mod output;
pub mod exit;

pub use attributes::Detail;
pub use page::{command_line, counted, escaped};
pub use quantity::{human_bytes, human_duration, human_time};
pub use style::{Role, Style};

#[cfg(test)]
mod sample;
#[cfg(test)]
mod schema;
