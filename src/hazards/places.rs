//! Paths that tell by themselves: those of one host or of another tool, and those that nobody
//! compares. Pure; the tables are the rule.

use isconf_sandbox::change::{ChangeSet, Kind, Label, RelPath};

use super::host_facts::Place;
use super::patterns::Patterns;

/// What belongs to one host, or what another tool writes whenever it likes.
const ENVIRONMENTAL: &[&str] = &[
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/HOSTNAME",
    "/etc/hostid",
    "/etc/machine-id",
    "/etc/machine-info",
    "/etc/mailname",
    "/etc/adjtime",
    "/etc/mtab",
    "/etc/blkid.tab",
    "/etc/ssh/ssh_host_*",
    "/etc/iscsi/initiatorname.iscsi",
    "/etc/nvme/hostid",
    "/etc/nvme/hostnqn",
    "/etc/udev/rules.d/*persistent-net*",
    "/etc/udev/rules.d/*persistent-cd*",
    "/boot/grub/grubenv",
    "/var/lib/dbus/machine-id",
    "/var/lib/systemd/random-seed",
    "/var/lib/systemd/credential.secret",
    "/var/lib/urandom/random-seed",
    "/var/lib/random-seed",
    "/var/lib/dhcp/**",
    "/var/lib/dhclient/**",
    "/var/lib/dhcpcd/**",
    "/var/lib/NetworkManager/**",
    "/var/lib/cloud/**",
];

/// Logs, caches and what lives until the next boot.
const LOGS: &[&str] = &[
    "/run/**",
    "/tmp/**",
    "/var/tmp/**",
    "/var/log/**",
    "/var/cache/**",
    "/var/lib/apt/lists/**",
    "/var/lib/dnf/**",
    "/var/lib/logrotate/**",
    "/var/lib/mlocate/**",
    "/var/lib/plocate/**",
    "/**/.cache/**",
    "/**/__pycache__/**",
    "/root/.*_history",
    "/home/*/.*_history",
];

/// Where packages put what is the same on every host, and what they say of themselves.
const PACKAGED: [&[u8]; 2] = [b"usr/", b"var/lib/dpkg/"];

/// What is known of a place.
pub(super) fn of(path: &RelPath) -> Place {
    match PACKAGED.iter().any(|top| path.as_bytes().starts_with(top)) {
        true => Place::Packaged,
        false => Place::Other,
    }
}

/// The table of what belongs to one host or another tool.
pub(super) fn environmental() -> Patterns {
    Patterns::of(ENVIRONMENTAL)
}

/// Whether something changed, and nothing but logs and caches. A directory whose time moved tells
/// only of what changed in it.
pub(super) fn are_logs_only(changes: &ChangeSet, shown_only: &ChangeSet) -> bool {
    let is_echo = |change: &&isconf_sandbox::change::Change| {
        let after = change.after.as_ref();
        change.label() == Label::Rewritten && after.is_some_and(|node| node.kind == Kind::Directory)
    };
    let mut both = changes.changes().iter().chain(shown_only.changes());
    if both.clone().all(|change| is_echo(&change)) {
        return false;
    }
    let logs = Patterns::of(LOGS);
    both.all(|change| is_echo(&change) || logs.stand_for(&change.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_patterns() {
        assert_eq!(environmental().len(), ENVIRONMENTAL.len());
        assert_eq!(Patterns::of(LOGS).len(), LOGS.len());
    }
}
