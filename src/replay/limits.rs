//! How much a command may take on this host, by its settings. Pure. Not for what becomes of one that
//! takes more (see `judge`).

use std::time::Duration;

use isconf_sandbox::child::Limits;

use crate::config::Settings;

/// The limits of every command; a setting of 0 means none.
pub fn limits(settings: &Settings) -> Limits {
    let some = |number: u64| (number > 0).then_some(number);
    let processes = some(settings.limit_processes.value.into());
    Limits {
        time: some(settings.limit_time.value).map(Duration::from_secs),
        processes: processes.and_then(|number| u32::try_from(number).ok()),
        disk: some(settings.limit_disk.value),
    }
}
