//! A complete listing of a tree, made to be compared: two equal manifests mean equal trees, to the
//! bit. Reads nothing through the code under test. Leaves out what no program can set (inode
//! numbers, change times) and what differs without a change (the size of a directory).

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::unistd::Pid;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawDir, Statx, StatxFlags, getxattr, ioctl_getflags,
    listxattr, openat, readlinkat, statx,
};
use sha2::{Digest, Sha256};

use super::error::HostError;
use super::inside::Inside;

/// The longest extended attribute, and the longest list of their names (xattr(7)).
const XATTR_MAX: usize = 64 << 10;

/// The state of every path of a tree, one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    lines: BTreeMap<Vec<u8>, String>,
}

impl Manifest {
    /// Lists `top` and everything below it, except the subtrees in `except`.
    pub(super) fn of(inside: &Inside, top: &Path, except: &[PathBuf]) -> Result<Self, HostError> {
        let mut walk = Walk {
            except,
            lines: BTreeMap::new(),
            links: BTreeMap::new(),
        };
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        walk.visit(inside.open(top, flags, Mode::empty())?, top.to_owned())?;
        Ok(Self { lines: walk.lines })
    }

    /// Lists the whole tree that a process has as its root, except the subtrees in `except`. For
    /// rigs that make their hosts by other means than [`super::Host`].
    ///
    /// # Errors
    /// Names the file that could not be read.
    pub fn of_process(process: Pid, except: &[&str]) -> Result<Self, HostError> {
        let except: Vec<PathBuf> = except.iter().map(PathBuf::from).collect();
        Self::of(&Inside::of(process)?, Path::new("/"), &except)
    }

    /// Lists what differs: lines of `self` with `-`, lines of `other` with `+`, by path.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let paths: std::collections::BTreeSet<_> =
            self.lines.keys().chain(other.lines.keys()).collect();
        let mut differences = Vec::new();
        for path in paths {
            let (before, after) = (self.lines.get(path), other.lines.get(path));
            if before != after {
                differences.extend(before.map(|line| format!("-{line}")));
                differences.extend(after.map(|line| format!("+{line}")));
            }
        }
        differences
    }

    /// Returns each path, in order, with its state: what its line says after the path.
    pub fn states(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.lines.iter().map(|(path, line)| {
            let shown = path.escape_ascii().count();
            (Path::new(os_str(path)), line[shown..].trim_start())
        })
    }

    /// Returns the number of paths.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Tells whether there is no path at all.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.lines.values() {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// A walk over a tree.
struct Walk<'a> {
    except: &'a [PathBuf],
    lines: BTreeMap<Vec<u8>, String>,
    /// The first path seen of each file with several names.
    links: BTreeMap<(u64, u64), PathBuf>,
}

impl Walk<'_> {
    /// Lists one path, opened with `O_PATH`, and what is below it.
    fn visit(&mut self, handle: OwnedFd, path: PathBuf) -> Result<(), HostError> {
        if self.except.contains(&path) {
            return Ok(());
        }
        let failed = |errno: rustix::io::Errno| HostError::file(&path, errno);
        let stat =
            statx(&handle, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).map_err(failed)?;
        let kind = FileType::from_raw_mode(stat.stx_mode.into());
        let mut line = format!(
            "{} {}",
            path.as_os_str().as_encoded_bytes().escape_ascii(),
            basics(&stat)
        );
        self.link(&mut line, &stat, &path);
        match kind {
            FileType::Symlink => {
                let target = readlinkat(&handle, c"", Vec::new()).map_err(failed)?;
                note(
                    &mut line,
                    format_args!(" -> {}", target.as_bytes().escape_ascii()),
                );
            }
            FileType::RegularFile => {
                let file = reopen(&handle, OFlags::RDONLY).map_err(failed)?;
                note(&mut line, format_args!(" flags={}", flags(&file)));
                let digest = digest(file).map_err(|source| HostError::file(&path, source))?;
                note(&mut line, format_args!(" sha256={digest}"));
            }
            FileType::Directory
            | FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => {}
        }
        for (name, value) in xattrs(&handle).map_err(failed)? {
            note(
                &mut line,
                format_args!(" {}={}", name.escape_ascii(), value.escape_ascii()),
            );
        }
        if kind == FileType::Directory {
            let dir = reopen(&handle, OFlags::RDONLY | OFlags::DIRECTORY).map_err(failed)?;
            note(&mut line, format_args!(" flags={}", flags(&dir)));
            self.descend(&dir, &path)?;
        }
        self.lines
            .insert(path.into_os_string().into_encoded_bytes(), line);
        Ok(())
    }

    /// Lists the entries of a directory, in the order of their names so that the first name of a
    /// linked file is always the same.
    fn descend(&mut self, dir: &OwnedFd, path: &Path) -> Result<(), HostError> {
        let failed = |errno: rustix::io::Errno| HostError::file(path, errno);
        let mut buffer = Vec::with_capacity(32 << 10);
        let mut names = Vec::new();
        let mut entries = RawDir::new(dir, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            names.push(entry.map_err(failed)?.file_name().to_owned());
        }
        names.sort();
        for name in names {
            if matches!(name.as_bytes(), b"." | b"..") {
                continue;
            }
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let child = path.join(os_str(name.as_bytes()));
            let handle = openat(dir, &name, flags, Mode::empty())
                .map_err(|errno| HostError::file(&child, errno))?;
            self.visit(handle, child)?;
        }
        Ok(())
    }

    /// Notes which names belong to one file.
    fn link(&mut self, line: &mut String, stat: &Statx, path: &Path) {
        let directory = FileType::from_raw_mode(stat.stx_mode.into()) == FileType::Directory;
        if stat.stx_nlink < 2 || directory {
            return;
        }
        let device = (u64::from(stat.stx_dev_major) << 32) | u64::from(stat.stx_dev_minor);
        let first = self
            .links
            .entry((device, stat.stx_ino))
            .or_insert_with(|| path.to_owned());
        let first = first.as_os_str().as_encoded_bytes();
        note(line, format_args!(" same-as={}", first.escape_ascii()));
    }
}

/// Returns what every kind of file has.
fn basics(stat: &Statx) -> String {
    let kind = match FileType::from_raw_mode(stat.stx_mode.into()) {
        FileType::RegularFile => "file",
        FileType::Directory => "dir",
        FileType::Symlink => "symlink",
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        FileType::CharacterDevice => "char",
        FileType::BlockDevice => "block",
        FileType::Unknown => "unknown",
    };
    let size = if kind == "dir" { 0 } else { stat.stx_size };
    format!(
        "{kind} {:04o} {}:{} size={size} mtime={}.{:09} rdev={}:{} nlink={}",
        stat.stx_mode & 0o7777,
        stat.stx_uid,
        stat.stx_gid,
        stat.stx_mtime.tv_sec,
        stat.stx_mtime.tv_nsec,
        stat.stx_rdev_major,
        stat.stx_rdev_minor,
        stat.stx_nlink,
    )
}

/// Adds text to a line.
fn note(line: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _infallible = line.write_fmt(text);
}

/// Opens for reading what `handle` stands for; the access time stays.
fn reopen(handle: &OwnedFd, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let flags = flags | OFlags::NOATIME | OFlags::CLOEXEC;
    openat(rustix::fs::CWD, magic(handle.as_fd()), flags, Mode::empty())
}

/// Returns the path of an open file (proc(5), `/proc/pid/fd`); it ends at the file itself, even
/// if that is a link.
fn magic(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Returns the inode flags as lsattr(1) would know them, in hexadecimal; `-` where the file system
/// has none. Two flags say how ext4 keeps the content and not what it is: a file in extents, and a
/// directory with an index, which it gets when it needs a second block and keeps for ever.
fn flags(file: &OwnedFd) -> String {
    const EXTENTS: u32 = 0x0008_0000;
    const INDEX: u32 = 0x0000_1000;
    ioctl_getflags(file).map_or_else(
        |_none| "-".to_owned(),
        |flags| format!("{:x}", flags.bits() & !(EXTENTS | INDEX)),
    )
}

fn digest(file: OwnedFd) -> io::Result<String> {
    let mut file = File::from(file);
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    Ok(hasher
        .finalize()
        .iter()
        .fold(String::new(), |mut text, byte| {
            note(&mut text, format_args!("{byte:02x}"));
            text
        }))
}

/// Returns every extended attribute, by name; none where the file system has none.
fn xattrs(handle: &OwnedFd) -> rustix::io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let path = magic(handle.as_fd());
    let mut names = vec![0; XATTR_MAX];
    let length = match listxattr(&path, &mut names[..]) {
        Ok(length) => length,
        Err(rustix::io::Errno::NOTSUP) => 0,
        Err(errno) => return Err(errno),
    };
    let mut found = BTreeMap::new();
    let mut value = vec![0; XATTR_MAX];
    for name in names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let length = getxattr(&path, name, &mut value[..])?;
        found.insert(name.to_owned(), value[..length].to_owned());
    }
    Ok(found)
}

fn os_str(bytes: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn listed(dir: &Path) -> Manifest {
        Manifest::of(
            &Inside::at(dir).unwrap(),
            Path::new("/"),
            &["/skipped".into()],
        )
        .unwrap()
    }

    #[test]
    fn nasty_names_links_and_excluded_trees() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &[u8]| dir.path().join(os_str(name));
        fs::write(at(b"new\nline \xff\\"), "a").unwrap();
        fs::hard_link(at(b"new\nline \xff\\"), at(b"second")).unwrap();
        symlink("/etc/nowhere", at(b"link")).unwrap();
        fs::create_dir_all(at(b"skipped/deep")).unwrap();
        let text = listed(dir.path()).to_string();
        assert!(
            text.contains("/new\\nline \\xff\\\\ file 0644 0:0 size=1"),
            "{text}"
        );
        assert!(
            text.contains("/second file") && text.contains("same-as=/new\\nline"),
            "{text}"
        );
        assert!(text.contains("-> /etc/nowhere"), "{text}");
        let manifest = listed(dir.path());
        let state = |path| manifest.states().find(|(at, _)| *at == Path::new(path));
        let (_, link) = state("/link").unwrap();
        assert!(link.starts_with("symlink 0777"), "{link}");
        assert!(!text.contains("skipped"), "{text}");
    }

    #[test]
    fn a_difference_is_shown_with_both_states() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "1").unwrap();
        let before = listed(dir.path());
        assert_eq!(before.differences(&listed(dir.path())), [""; 0]);
        fs::write(dir.path().join("a"), "22").unwrap();
        let differences = before.differences(&listed(dir.path()));
        assert_eq!(differences.len(), 2, "{differences:?}");
        assert!(differences[0].starts_with("-/a file") && differences[1].starts_with("+/a file"));
    }
}
