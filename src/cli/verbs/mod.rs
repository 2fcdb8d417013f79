//! The verbs, one file each: a short function that reads like the recipe. Not for parsing what was
//! typed, or for telling failures. Upholds: a verb first says on which branch it works, takes the
//! right to change things before it does, and prints results through `ui`.

mod init;
mod lock;
mod unlock;
mod pending;
mod serve;
mod status;
mod log;
mod show;
mod history;
mod bundle;
mod keys;
mod env;
mod tour;
mod papers;

pub(super) use bundle::{bundle_export, bundle_import};
pub(super) use env::env;
pub(super) use history::history;
pub(super) use init::init;
pub(super) use keys::{keys_generate, keys_list};
pub(super) use lock::lock;
pub(super) use log::log;
pub(super) use papers::{print_completions, write_man};
pub(super) use pending::{
    check_in, diff, discard, exec, fork, migrate, probe, reboot, snap, try_out, undo, up,
};
pub(super) use serve::{daemon, restart, start, stop};
pub(super) use show::show;
pub(super) use status::status;
pub(super) use tour::tour;
pub(super) use unlock::unlock;
