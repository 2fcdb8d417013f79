//! The words of systemctl(1): its verbs by what they concern, its options, the suffixes of units. Data.
//! Not for reading a call (see `systemctl`). Upholds: what is not listed is not understood.

/// Short options that take a value.
pub(super) const SHORT_WITH_VALUE: &str = "tpPsnoHMC";

/// Long options that take a value.
pub(super) const LONG_WITH_VALUE: [&str; 27] = [
    "boot-loader-menu",
    "boot-loader-entry",
    "legend",
    "type",
    "property",
    "signal",
    "kill-whom",
    "kill-who",
    "kill-value",
    "lines",
    "output",
    "state",
    "job-mode",
    "root",
    "image",
    "image-policy",
    "preset-mode",
    "host",
    "machine",
    "what",
    "check-inhibitors",
    "message",
    "timestamp",
    "drop-in",
    "capsule",
    "reboot-argument",
    "when",
];

/// Options without a value. A call with any other, an abbreviated one among them, is left alone: it
/// runs inside, and finds no manager.
pub(super) const FLAGS: [&str; 36] = [
    "all",
    "reverse",
    "after",
    "before",
    "with-dependencies",
    "show-types",
    "show-transaction",
    "fail",
    "recursive",
    "full",
    "value",
    "quiet",
    "no-warn",
    "no-block",
    "wait",
    "no-wall",
    "no-reload",
    "no-pager",
    "no-legend",
    "plain",
    "no-ask-password",
    "force",
    "now",
    "runtime",
    "failed",
    "read-only",
    "mkdir",
    "marked",
    "stdin",
    "dry-run",
    "system",
    "global",
    "user",
    "help",
    "version",
    "firmware-setup",
];

/// Short options without a value.
pub(super) const SHORT_FLAGS: &str = "alqrifhT";

/// Verbs that change unit files, after which systemctl(1) makes the manager read them again
/// (systemctl(1), "Unit File Commands").
pub(super) const RELOADING: [&str; 12] = [
    "enable",
    "disable",
    "reenable",
    "preset",
    "preset-all",
    "mask",
    "unmask",
    "link",
    "revert",
    "add-wants",
    "add-requires",
    "set-default",
];

/// Verbs that only read unit files.
pub(super) const READING_FILES: [&str; 3] = ["get-default", "is-enabled", "list-unit-files"];

/// Verbs that do something to running units, besides those of [`Verb`].
pub(super) const OTHER_RUNTIME: [&str; 26] = [
    "condstop",
    "clear-jobs",
    "isolate",
    "kill",
    "clean",
    "freeze",
    "thaw",
    "set-property",
    "bind",
    "mount-image",
    "service-log-level",
    "service-log-target",
    "reset-failed",
    "cancel",
    "set-environment",
    "unset-environment",
    "import-environment",
    "log-level",
    "log-target",
    "service-watchdogs",
    "default",
    "rescue",
    "emergency",
    "whoami",
    "queue-signal",
    "switch-root",
];

/// Verbs that only ask, besides those whose answers are adjusted.
pub(super) const OTHER_QUESTIONS: [&str; 6] = [
    "is-system-running",
    "list-jobs",
    "list-dependencies",
    "list-machines",
    "show-environment",
    "help",
];

/// Verbs that end the machine's run, or its wakefulness.
pub(super) const POWER: [&str; 11] = [
    "halt",
    "poweroff",
    "reboot",
    "kexec",
    "soft-reboot",
    "exit",
    "sleep",
    "suspend",
    "hibernate",
    "hybrid-sleep",
    "suspend-then-hibernate",
];

/// The suffixes of units (systemd.unit(5)).
pub(super) const SUFFIXES: [&str; 11] = [
    ".service",
    ".socket",
    ".device",
    ".mount",
    ".automount",
    ".swap",
    ".target",
    ".path",
    ".timer",
    ".slice",
    ".scope",
];

/// Targets whose start ends the machine's run, or its wakefulness (systemd.special(7)).
pub(super) const ENDING_TARGETS: [&str; 14] = [
    "reboot.target",
    "poweroff.target",
    "halt.target",
    "kexec.target",
    "soft-reboot.target",
    "exit.target",
    "shutdown.target",
    "ctrl-alt-del.target",
    "runlevel0.target",
    "runlevel6.target",
    "suspend.target",
    "hibernate.target",
    "hybrid-sleep.target",
    "sleep.target",
];
