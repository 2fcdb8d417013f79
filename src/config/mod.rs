//! The settings of this host: where they come from, what they are, who said so. Not for acting on
//! them. Upholds: settings are layered, validated once into typed values, and each knows its
//! origin.
//!
//! ```text
//! Surroundings (environment, host names) ─┐
//! main.cf ─> MainCf ─> stanzas of this host ─┼─> Settings (typed, with origins)
//! conf/domain, conf/branch ───────────────┘
//! ```

mod origin;
mod surroundings;
mod target;
mod main_cf;
mod main_cf_parse;
mod path_glob;
mod setting_table;
mod value;
mod settings;
mod listing;
mod exec_environment;

pub use listing::Listed;
pub use main_cf::{MainCf, MainCfError, Variable};
pub use main_cf_parse::{Fault, FaultKind, MAX_LINE_BYTES, MAX_MAIN_CF_BYTES};
pub use origin::{Origin, Setting};
pub use path_glob::{InvalidGlob, PathGlob};
pub use setting_table::{SETTINGS, SettingRow};
pub use settings::{
    DEFAULT_MAIN_CF, MissingDomain, SettingFault, Settings, SettingsError, UndoPolicy,
};
pub use surroundings::{GatherError, Surroundings};
pub use target::{HostNames, InvalidPattern, Target};
