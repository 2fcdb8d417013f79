//! The settings as a list for people, programs and shells. Not for printing it. Upholds: the origin of
//! each value can be asked for.

use std::path::Path;

use super::origin::{Origin, Setting};
use super::path_glob::PathGlob;
use super::setting_table::{SETTINGS, setting_row};
use super::settings::{Settings, origin_of};

/// A setting, or a variable of main.cf, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name; `conf/branch` for the branch, which is no variable.
    pub name: String,
    /// Its value as text; none where nobody set it and there is no default.
    pub value: Option<String>,
    /// Who said so.
    pub origin: Origin,
}

impl Settings {
    /// Every setting in the order of the table, the branch, and the site variables by name.
    pub fn listing(&self) -> Vec<Listed> {
        let known = SETTINGS.iter().map(|row| {
            let (value, origin) = self.shown(row.name);
            listed(row.name, value, origin)
        });
        let branch = self.branch.value.to_string();
        let branch = listed("conf/branch", Some(branch), self.branch.origin.clone());
        let path = self.main_cf_path.as_deref().unwrap_or(Path::new(""));
        let site = self.main_cf.iter();
        let site = site.filter(|(name, _)| setting_row(name).is_none());
        let site = site.map(|(n, v)| listed(n, Some(v.value.clone()), origin_of(path, v)));
        known.chain([branch]).chain(site).collect()
    }

    /// The value of a setting as text, and its origin.
    fn shown(&self, name: &str) -> (Option<String>, Origin) {
        fn of<T>(setting: &Setting<T>, text: impl Fn(&T) -> String) -> (Option<String>, Origin) {
            (Some(text(&setting.value)), setting.origin.clone())
        }
        fn maybe<T>(
            setting: Option<&Setting<T>>,
            text: impl Fn(&T) -> String,
        ) -> (Option<String>, Origin) {
            setting.map_or((None, Origin::Default), |s| of(s, text))
        }
        let globs = |g: &Vec<PathGlob>| {
            let words: Vec<_> = g.iter().map(PathGlob::as_str).collect();
            words.join(" ")
        };
        match name {
            "IS_HOME" => of(&self.home, |h| h.as_path().display().to_string()),
            "IS_DOMAIN" => maybe(self.domain.as_ref(), ToString::to_string),
            "IS_PORT" => of(&self.port, ToString::to_string),
            "IS_HTTP_PORT" => of(&self.http_port, ToString::to_string),
            "IS_NETS" => maybe(self.nets.as_ref(), |p| p.display().to_string()),
            "IS_NOBROADCAST" if self.no_broadcast.value => of(&self.no_broadcast, |_| "1".into()),
            "IS_HMAC_KEYS" => of(&self.hmac_keys, |p| p.display().to_string()),
            "IS_REBOOT_CMD" => of(&self.reboot_command, Clone::clone),
            "LOGNAME" => of(&self.user, Clone::clone),
            "HOSTNAME" => of(&self.host, ToString::to_string),
            "IS_UNDO_KEEP" => of(&self.undo_keep, ToString::to_string),
            "IS_UNDO_BYTES" => of(&self.undo_bytes, ToString::to_string),
            "IS_ENV_PASS" => of(&self.env_pass, |names| names.join(" ")),
            "IS_IGNORE" => of(&self.ignore, globs),
            "IS_SECRET" => of(&self.secret, globs),
            "IS_NETWORK" => of(&self.network, |n| n.name().to_owned()),
            "IS_CI_STRICT" => of(&self.ci_strict, |strict| {
                if *strict { "yes" } else { "no" }.to_owned()
            }),
            "IS_AUTO_UP" => of(&self.auto_up, |auto_up| auto_up.name().to_owned()),
            "IS_UP_WINDOW" => maybe(self.up_window.as_ref(), ToString::to_string),
            "IS_UP_JITTER" => of(&self.up_jitter, ToString::to_string),
            "IS_CACHE" => of(&self.cache, |cache| cache.name().to_owned()),
            "IS_COPIES" => of(&self.copies, ToString::to_string),
            "IS_VOTER_PATIENCE" => of(&self.voter_patience, ToString::to_string),
            "IS_LIMIT_TIME" => of(&self.limit_time, ToString::to_string),
            "IS_LIMIT_PROCESSES" => of(&self.limit_processes, ToString::to_string),
            "IS_LIMIT_DISK" => of(&self.limit_disk, ToString::to_string),
            _ => (None, Origin::Default),
        }
    }
}

fn listed(name: &str, value: Option<String>, origin: Origin) -> Listed {
    Listed {
        name: name.to_owned(),
        value,
        origin,
    }
}

impl Listed {
    /// The line that sets it in a POSIX shell; none for the branch and for what has no value.
    pub fn export_line(&self) -> Option<String> {
        let value = self.value.as_ref()?;
        let is_variable = !self.name.contains('/');
        let quoted = value.replace('\'', r"'\''");
        is_variable.then(|| format!("export {}='{quoted}'", self.name))
    }
}
