//! The verbs, one file each: a short function that reads like the recipe. Not for parsing what was
//! typed, or for telling failures. Upholds: a verb first says on which branch it works, takes the
//! right to change things before it does, and prints results through `ui`.

mod init;
mod join;
mod domain;
mod lock;
mod unlock;
mod callers_input;
mod exec;
mod snap;
mod reboot;
mod check_in;
mod abreast;
mod up;
mod branches;
mod undo;
mod try_out;
mod diff;
mod probe;
mod serve;
mod status;
mod log;
mod show;
mod history;
mod bundle;
mod cache;
mod keys;
mod env;
mod tour;
mod papers;

pub(super) use branches::{fork, migrate};
pub(super) use bundle::{bundle_export, bundle_import};
pub(super) use cache::cache;
pub(super) use check_in::check_in;
pub(super) use diff::diff;
pub(super) use domain::domain_recover;
pub(super) use env::env;
pub(super) use exec::exec;
pub(super) use history::history;
pub(super) use init::init;
pub(super) use join::join;
pub(super) use keys::{keys_generate, keys_list, keys_rotate};
pub(super) use lock::lock;
pub(super) use log::log;
pub(super) use papers::{print_completions, write_man};
pub(super) use probe::probe;
pub(super) use reboot::reboot;
pub(super) use serve::{daemon, restart, start, stop};
pub(super) use show::show;
pub(super) use snap::snap;
pub(super) use status::status;
pub(super) use tour::tour;
pub(super) use try_out::try_out;
pub(super) use undo::{discard, undo};
pub(super) use unlock::unlock;
pub(super) use up::up;
