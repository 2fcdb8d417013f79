//! Looks for unit files in the scratchpad. Not for what the live manager has loaded. Upholds: no link
//! leads out of the scratchpad.

use std::os::fd::{AsFd, BorrowedFd};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2, readlinkat};

/// Where the manager of the system looks for units, in its order (systemd.unit(5), "Unit File Load
/// Path"), without what it makes itself at boot.
pub(super) const PATHS: [&str; 8] = [
    "etc/systemd/system.control",
    "etc/systemd/system",
    "run/systemd/system",
    "run/systemd/generator",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
    "run/systemd/generator.late",
];

/// What the scratchpad has of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnitFile {
    /// Nothing.
    Absent,
    /// A file, its template's, or an init script of its name.
    There,
    /// A link to `/dev/null`: nothing may start it.
    Masked,
}

/// Looks for the file of a unit below the scratchpad's root.
pub(super) fn unit_file(root: BorrowedFd<'_>, unit: &str) -> UnitFile {
    if unit.contains(['/', '*', '?', '[']) {
        return UnitFile::Absent;
    }
    for name in [Some(unit.to_owned()), template(unit)]
        .into_iter()
        .flatten()
    {
        for path in PATHS {
            let path = format!("{path}/{name}");
            if is_masked(root, &path) {
                return UnitFile::Masked;
            }
            if exists(root, &path) {
                return UnitFile::There;
            }
        }
    }
    let script = unit.strip_suffix(".service");
    match script.is_some_and(|name| exists(root, &format!("etc/init.d/{name}"))) {
        true => UnitFile::There,
        false => UnitFile::Absent,
    }
}

/// `getty@tty1.service` comes from `getty@.service`.
fn template(unit: &str) -> Option<String> {
    let (prefix, rest) = unit.split_once('@')?;
    let (instance, suffix) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| format!("{prefix}@.{suffix}"))
}

fn exists(root: BorrowedFd<'_>, path: &str) -> bool {
    open(root, path, OFlag::O_PATH).is_some()
}

fn is_masked(root: BorrowedFd<'_>, path: &str) -> bool {
    let Some((directory, name)) = path.rsplit_once('/') else {
        return false;
    };
    let Some(directory) = open(root, directory, OFlag::O_PATH | OFlag::O_DIRECTORY) else {
        return false;
    };
    readlinkat(directory.as_fd(), name).is_ok_and(|target| target == "/dev/null")
}

fn open(root: BorrowedFd<'_>, path: &str, flags: OFlag) -> Option<std::os::fd::OwnedFd> {
    let how = OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(root, path, how).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_files_are_found_by_name_template_and_script() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for path in ["etc/systemd/system", "usr/lib/systemd/system", "etc/init.d"] {
            std::fs::create_dir_all(root.join(path)).unwrap();
        }
        std::fs::write(root.join("usr/lib/systemd/system/a.service"), "").unwrap();
        std::fs::write(root.join("usr/lib/systemd/system/b@.service"), "").unwrap();
        std::fs::write(root.join("etc/init.d/c"), "").unwrap();
        let null = root.join("etc/systemd/system/d.service");
        std::os::unix::fs::symlink("/dev/null", null).unwrap();
        let opened = std::fs::File::open(root).unwrap();
        let found = |unit: &str| unit_file(opened.as_fd(), unit);
        for unit in ["a.service", "b@1.service", "c.service"] {
            assert_eq!(found(unit), UnitFile::There, "{unit}");
        }
        assert_eq!(found("d.service"), UnitFile::Masked);
        for unit in ["e.service", "../a.service", "b@.socket", "c.socket"] {
            assert_eq!(found(unit), UnitFile::Absent, "{unit}");
        }
    }
}
