//! The table of settings: one row each, from which messages, `isconf env` and
//! `docs/configuration.md` are made or checked. Upholds: nothing is said in two places.

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingRow {
    /// Its name in the environment and in main.cf.
    pub name: &'static str,
    /// Its value when nobody sets it; empty: none.
    pub default: &'static str,
    /// What its value must be; completes "must be ...".
    pub form: &'static str,
    /// What it is for.
    pub text: &'static str,
}

const fn row(
    name: &'static str,
    default: &'static str,
    form: &'static str,
    text: &'static str,
) -> SettingRow {
    SettingRow {
        name,
        default,
        form,
        text,
    }
}

/// All settings, those of the original first.
pub const SETTINGS: &[SettingRow] = &[
    row(
        "IS_HOME",
        "/var/is",
        "an absolute path",
        "The directory with everything that isconf keeps.",
    ),
    row(
        "IS_DOMAIN",
        "",
        "a name of 2 to 128 of A-Z a-z 0-9 _ . -, not starting with . or -",
        "The domain: the hosts that share journals and keys. The file `conf/domain` wins over all.",
    ),
    row(
        "IS_PORT",
        "65027",
        "a port, 1 to 65535",
        "The UDP port for peers.",
    ),
    row(
        "IS_HTTP_PORT",
        "65028",
        "a port, 1 to 65535",
        "The TCP port that the original served files on. Accepted and not used.",
    ),
    row(
        "IS_NETS",
        "",
        "an absolute path",
        "The file with the addresses of peers.",
    ),
    row(
        "IS_NOBROADCAST",
        "",
        "anything but empty, which means no",
        "Do not look for peers on the local network; use the addresses of `IS_NETS` only.",
    ),
    row(
        "IS_AUTO_UP",
        "off",
        "`off`, `noop`, `on` or `reboot`",
        "What the daemon does when a new entry is here with all that it needs: nothing, `up --noop`, `up`, or `up -r`. What it says is in `conf/auto-up.log`.",
    ),
    row(
        "IS_UP_WINDOW",
        "",
        "a part of the day, HH:MM-HH:MM in UTC",
        "When the daemon may do that; at any time when not set.",
    ),
    row(
        "IS_UP_JITTER",
        "1m",
        "a number of seconds, or with m or h of minutes or hours",
        "How long it waits before at most, by chance, so that hosts do not act in step.",
    ),
    row(
        "IS_CACHE",
        "full",
        "`full` or `needed`",
        "Which contents of files are kept here: all of every branch, or those that entries of the own branch still need here. The others are removed by `up` and by `cache --prune`, when `IS_COPIES` hosts keep them.",
    ),
    row(
        "IS_COPIES",
        "2",
        "a number of hosts, 1 to 16",
        "How many other hosts with `IS_CACHE=full` have to have a content before it is removed here.",
    ),
    row(
        "IS_VOTER_PATIENCE",
        "24h",
        "a number of seconds, or with m or h of minutes or hours",
        "How long a host that keeps the domain's locks may be gone before another one takes its place.",
    ),
    row(
        "IS_HMAC_KEYS",
        "",
        "an absolute path",
        "The file with the keys of the domain; `conf/hmac_keys` when not set.",
    ),
    row(
        "IS_REBOOT_CMD",
        "shutdown -r now",
        "a shell command of one line",
        "What `reboot` entries run, by `/bin/sh -c`.",
    ),
    row(
        "LOGNAME",
        "root",
        "a user's name without spaces and colons",
        "Who you are: the first half of the author of locks and entries.",
    ),
    row(
        "HOSTNAME",
        "",
        "a host's name",
        "The second half of the author; what hostname(1) prints when not set. The environment's value also chooses the stanza of main.cf.",
    ),
    row(
        "IS_UNDO_KEEP",
        "10",
        "a number of entries, 0 to 1000000",
        "How many of the last entries can be undone.",
    ),
    row(
        "IS_UNDO_BYTES",
        "1G",
        "a number of bytes, with K, M, G or T for powers of 1024",
        "How much disk the data for undo may take; the oldest goes first.",
    ),
    row(
        "IS_ENV_PASS",
        "HOME LANG LC_* LOGNAME PATH TERM TZ",
        "names of variables, separated by spaces; a last * stands for any ending",
        "The variables of the caller that commands get and that `exec` entries record.",
    ),
    row(
        "IS_IGNORE",
        "",
        "patterns of absolute paths, separated by spaces",
        "Paths that may differ between hosts, besides those always ignored.",
    ),
    row(
        "IS_SECRET",
        "/etc/shadow* /etc/gshadow* /etc/ssh/ssh_host_*_key /etc/ssl/private/**",
        "patterns of absolute paths, separated by spaces",
        "Paths whose content is never shown in reports and never stored in them.",
    ),
    row(
        "IS_NETWORK",
        "host",
        "`host` or `none`",
        "The network that commands see: the host's, or none but a loopback of their own.",
    ),
    row(
        "IS_CI_STRICT",
        "no",
        "`yes` or `no`",
        "Whether `ci` refuses changes about which something hazardous was found, as with `--strict`.",
    ),
    row(
        "IS_LIMIT_TIME",
        "4h",
        "a number of seconds, or with m or h of minutes or hours; 0 for no limit",
        "How long a command may run; then it and all that it started are killed.",
    ),
    row(
        "IS_LIMIT_PROCESSES",
        "4096",
        "a number of processes; 0 for no limit",
        "How many processes and threads a command may be at once.",
    ),
    row(
        "IS_LIMIT_DISK",
        "0",
        "a number of bytes, with K, M, G or T for powers of 1024; 0 for no limit",
        "How much disk what a command writes may take. Whatever it says, a command ends when it leaves less than 5 % or 256 MiB of a filesystem free.",
    ),
];

/// The row of a setting.
pub(super) fn setting_row(name: &str) -> Option<&'static SettingRow> {
    SETTINGS.iter().find(|row| row.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_row_as_it_is_here() {
        let page = include_str!("../../docs/configuration.md");
        for row in SETTINGS {
            let default = if row.default.is_empty() {
                "–".to_owned()
            } else {
                format!("`{}`", row.default)
            };
            let line = format!(
                "| `{}` | {default} | {} | {} |",
                row.name, row.form, row.text
            );
            assert!(
                page.contains(&line),
                "missing in docs/configuration.md:\n{line}"
            );
        }
        let is_row = |l: &&str| l.starts_with("| `IS_") && !l.starts_with("| `IS_HOME/");
        let rows = page.lines().filter(is_row).count();
        let known = SETTINGS.iter().filter(|r| r.name.starts_with("IS_"));
        assert_eq!(rows, known.count());
    }
}
