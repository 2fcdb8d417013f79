//! Tells by its name whether a program that starts speaks with a service manager. Pure. Upholds: the
//! look at every start of a program is short; what the name only suggests is decided by where the
//! program really is.

use std::ffi::OsStr;
use std::path::Path;

/// A program that speaks with a service manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tool {
    /// systemctl(1).
    Systemctl,
    /// A script of this name in `/etc/init.d`.
    InitScript(String),
    /// start-stop-daemon(8).
    StartStopDaemon,
    /// rc-service(8) of OpenRC.
    RcService,
    /// initctl(8) of Upstart; a link of a verb's name has that verb.
    Initctl(Option<String>),
    /// telinit(8), or init(8) called by a user.
    Telinit,
    /// shutdown(8), reboot(8), poweroff(8), halt(8).
    Power(String),
    /// mount(8), umount(8): no service manager, but what they do shows only where they do it.
    Mounts,
}

/// Names of the programs, wherever they are.
const NAMES: [&[u8]; 12] = [
    b"systemctl",
    b"start-stop-daemon",
    b"rc-service",
    b"initctl",
    b"telinit",
    b"init",
    b"shutdown",
    b"reboot",
    b"poweroff",
    b"halt",
    b"mount",
    b"umount",
];

/// Names of links to initctl(8).
const INITCTL_LINKS: [&str; 5] = ["start", "stop", "restart", "reload", "status"];

/// Where the system's own programs are; what has their names elsewhere is somebody's own, and runs.
const SYSTEM: [&str; 4] = ["/bin", "/sbin", "/usr/bin", "/usr/sbin"];

/// Where init scripts are, by themselves and by the links of runlevels.
const SCRIPTS: [&str; 2] = ["/etc/init.d", "/etc/rc.d/init.d"];

/// Whether the program at `path`, as the caller wrote it, is to be looked at closely.
pub(crate) fn is_candidate(path: &[u8]) -> bool {
    // Short relative names are rare, and may stand for anything.
    if path.first() != Some(&b'/') {
        return !path.is_empty();
    }
    let slash = path.iter().rposition(|b| *b == b'/').unwrap_or(0);
    let (directory, name) = (&path[..slash], &path[slash + 1..]);
    NAMES.contains(&name)
        || INITCTL_LINKS.iter().any(|link| link.as_bytes() == name)
        || directory.ends_with(b"/init.d")
        || is_runlevel(directory)
}

/// `/etc/rc2.d`, `/etc/rc.d/rcS.d`.
fn is_runlevel(directory: &[u8]) -> bool {
    let tail = directory.len().checked_sub(6).map(|at| &directory[at..]);
    matches!(tail, Some([b'/', b'r', b'c', level, b'.', b'd']) if level.is_ascii_alphanumeric())
}

/// Which tool it is: `called` is the path by which it was called, `real` that without any link.
pub(super) fn tool(called: &Path, real: &Path) -> Option<Tool> {
    let name = |path: &Path| {
        path.file_name()
            .map(OsStr::to_string_lossy)
            .map(String::from)
    };
    let (called, real_name) = (name(called)?, name(real)?);
    let directory = real.parent()?.to_str()?;
    if SCRIPTS.contains(&directory) {
        return Some(Tool::InitScript(real_name));
    }
    if !SYSTEM.contains(&directory) && real_name != "systemd" {
        return None;
    }
    match called.as_str() {
        "systemctl" => Some(Tool::Systemctl),
        "start-stop-daemon" => Some(Tool::StartStopDaemon),
        "rc-service" => Some(Tool::RcService),
        "initctl" => Some(Tool::Initctl(None)),
        "telinit" | "init" => Some(Tool::Telinit),
        "shutdown" | "reboot" | "poweroff" | "halt" => Some(Tool::Power(called)),
        "mount" | "umount" => Some(Tool::Mounts),
        link if real_name == "initctl" && INITCTL_LINKS.contains(&link) => {
            Some(Tool::Initctl(Some(called)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_by_name_and_place() {
        let tool = |called: &str, real: &str| tool(called.as_ref(), real.as_ref());
        for path in ["/bin/systemctl", "/usr/bin/systemctl"] {
            assert!(is_candidate(path.as_bytes()));
            assert_eq!(tool(path, "/usr/bin/systemctl"), Some(Tool::Systemctl));
        }
        assert_eq!(
            tool("/sbin/reboot", "/usr/bin/systemctl"),
            Some(Tool::Power("reboot".to_owned()))
        );
        assert_eq!(
            tool("/sbin/init", "/usr/lib/systemd/systemd"),
            Some(Tool::Telinit)
        );
        let own = "/usr/local/bin/systemctl";
        assert!(is_candidate(own.as_bytes()));
        assert_eq!(tool(own, own), None);
        let apache = Some(Tool::InitScript("apache".to_owned()));
        assert_eq!(tool("/etc/rc2.d/S85apache", "/etc/init.d/apache"), apache);
        assert_eq!(tool("./apache", "/etc/rc.d/init.d/apache"), apache);
        assert_eq!(
            tool("/sbin/stop", "/sbin/initctl"),
            Some(Tool::Initctl(Some("stop".to_owned())))
        );
        assert_eq!(tool("/usr/bin/stop", "/usr/bin/stop"), None);
    }

    #[test]
    fn most_programs_are_passed_over_at_once() {
        for path in ["/bin/sh", "/usr/bin/dpkg", "/etc/rc.local", "/rc2.d", "/"] {
            assert!(!is_candidate(path.as_bytes()), "{path}");
        }
        for path in [
            "/etc/init.d/x",
            "/etc/rc2.d/S85apache",
            "/etc/rc.d/rcS.d/S01x",
            "./x",
        ] {
            assert!(is_candidate(path.as_bytes()), "{path}");
        }
    }
}
