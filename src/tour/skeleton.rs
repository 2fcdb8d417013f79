//! Writes the files a new root starts with: directories, accounts, names. Not for anything the
//! kernel or a boot provides. Every file is fixed text, so that two hosts start alike.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::error::HostError;
use super::script::{PROGRAM, SystemDir};
use super::spec::HostSpec;

/// Directories and their modes, parents first.
const DIRS: [(&str, u32); 28] = [
    ("etc", 0o755),
    ("home", 0o755),
    ("home/alice", 0o750),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("opt/isconf", 0o755),
    ("opt/isconf/bin", 0o755),
    ("root", 0o700),
    ("srv", 0o755),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("run", 0o755),
    ("dev", 0o755),
    ("proc", 0o555),
    ("sys", 0o555),
    ("var", 0o755),
    ("var/backups", 0o755),
    ("var/cache", 0o755),
    ("var/lib", 0o755),
    ("var/lib/dpkg", 0o755),
    ("var/lib/dpkg/info", 0o755),
    ("var/lib/dpkg/updates", 0o755),
    ("var/local", 0o2775),
    ("var/log", 0o755),
    ("var/mail", 0o2775),
    ("var/opt", 0o755),
    ("var/spool", 0o755),
    ("var/tmp", 0o1777),
];

/// Files, their modes and their text.
const FILES: [(&str, u32, &str); 12] = [
    (
        "etc/passwd",
        0o644,
        "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
         nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n\
         alice:x:1000:1000:Alice:/home/alice:/bin/sh\n",
    ),
    (
        "etc/group",
        0o644,
        "root:x:0:\ndaemon:x:1:\ntty:x:5:\ndisk:x:6:\nadm:x:4:\nstaff:x:50:\nshadow:x:42:\n\
         nogroup:x:65534:\nalice:x:1000:\n",
    ),
    (
        "etc/shadow",
        0o640,
        "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n\
         alice:*:19000:0:99999:7:::\n",
    ),
    ("etc/gshadow", 0o640, "root:*::\nalice:!::\n"),
    (
        "etc/nsswitch.conf",
        0o644,
        "passwd: files\ngroup: files\nshadow: files\nhosts: files\n",
    ),
    ("etc/fstab", 0o644, "# this host is made by a script\n"),
    ("etc/shells", 0o644, "/bin/sh\n"),
    ("etc/profile", 0o644, "umask 022\n"),
    ("etc/motd", 0o644, "A throwaway host.\n"),
    ("var/lib/dpkg/status", 0o644, ""),
    ("var/lib/dpkg/available", 0o644, ""),
    ("opt/isconf/bin/isconf", 0o755, ""),
];

/// Writes the skeleton of `spec`'s root below `top`, which must not exist.
pub(super) fn write(
    spec: &HostSpec,
    top: &Path,
    system: &[(&str, SystemDir)],
) -> Result<(), HostError> {
    debug_assert!(
        PROGRAM.ends_with(FILES[11].0),
        "the program is bound over the last file"
    );
    step(top, fs::create_dir(top))?;
    mode(top, 0o755)?;
    for (name, bits) in DIRS {
        let path = top.join(name);
        step(&path, fs::create_dir(&path))?;
        mode(&path, bits)?;
    }
    for (name, bits, text) in FILES {
        file(&top.join(name), text, bits)?;
    }
    let hosts = format!(
        "127.0.0.1 localhost\n127.0.1.1 {0}.example.org {0}\n",
        spec.name
    );
    file(&top.join("etc/hosts"), &hosts, 0o644)?;
    file(
        &top.join("etc/hostname"),
        &format!("{}\n", spec.name),
        0o644,
    )?;
    let mtab = top.join("etc/mtab");
    step(&mtab, symlink("../proc/self/mounts", &mtab))?;
    for (name, dir) in system {
        let path = top.join(name);
        match dir {
            SystemDir::Link(target) => step(&path, symlink(target, &path))?,
            SystemDir::Own => step(&path, fs::create_dir(&path))?,
        }
    }
    owners(top)
}

/// Gives the few files that do not belong to root's group to theirs.
fn owners(top: &Path) -> Result<(), HostError> {
    const OWNED: [(&str, u32, u32); 5] = [
        ("home/alice", 1000, 1000),
        ("etc/shadow", 0, 42),
        ("etc/gshadow", 0, 42),
        ("var/local", 0, 50),
        ("var/mail", 0, 8),
    ];
    for (name, uid, gid) in OWNED {
        let path = top.join(name);
        step(&path, std::os::unix::fs::chown(&path, Some(uid), Some(gid)))?;
        // chown(2) takes away set-id bits.
        for (dir, bits) in DIRS {
            if dir == name {
                mode(&path, bits)?;
            }
        }
    }
    Ok(())
}

fn file(path: &Path, text: &str, bits: u32) -> Result<(), HostError> {
    step(path, fs::write(path, text))?;
    mode(path, bits)
}

fn mode(path: &Path, bits: u32) -> Result<(), HostError> {
    step(
        path,
        fs::set_permissions(path, fs::Permissions::from_mode(bits)),
    )
}

fn step(path: &Path, result: io::Result<()>) -> Result<(), HostError> {
    result.map_err(|source| HostError::file(path, source))
}
