//! The environment that commands get: what is recorded with an entry, and what each host adds. Upholds:
//! never the whole environment of the caller; site variables are those of the host that runs.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::settings::Settings;
use super::surroundings::Surroundings;

/// The `PATH` of a caller that has none, such as a boot script.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Settings {
    /// The variables of the caller that a command gets and an entry records, by name: those that
    /// `IS_ENV_PASS` names, and those of `also`. `PATH`, when asked for, always has a value.
    pub fn passed_environment(
        &self,
        around: &Surroundings,
        also: &[OsString],
    ) -> Vec<(OsString, OsString)> {
        let wanted = |name: &OsStr| {
            let by_pattern = self.env_pass.value.iter().any(|p| names(p, name));
            by_pattern || also.iter().any(|n| n == name)
        };
        let vars = around.vars.iter().filter(|(name, _)| wanted(name));
        let mut passed: BTreeMap<_, _> = vars.map(|(n, v)| (n.clone(), v.clone())).collect();
        if wanted(OsStr::new("PATH")) {
            passed.entry("PATH".into()).or_insert(USUAL_PATH.into());
        }
        passed.into_iter().collect()
    }

    /// What main.cf sets for this host, settings and site variables alike, by name.
    pub fn site_environment(&self) -> Vec<(OsString, OsString)> {
        let variables = self.main_cf.iter();
        variables
            .map(|(n, v)| (n.into(), (&v.value).into()))
            .collect()
    }

    /// The whole environment of a command here: the one `recorded` with its entry, and over it the
    /// site's. On a target the site is the target's, so that `GATEWAY` is that of the host.
    pub fn command_environment(
        &self,
        recorded: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Vec<(OsString, OsString)> {
        let mut all: BTreeMap<_, _> = recorded.into_iter().collect();
        all.extend(self.site_environment());
        all.into_iter().collect()
    }
}

/// Whether `pattern` names the variable.
fn names(pattern: &str, variable: &OsStr) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => variable.as_bytes().starts_with(start.as_bytes()),
        None => variable == OsStr::new(pattern),
    }
}
