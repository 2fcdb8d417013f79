//! Random filesystem operations as data: made from a seed, written as text, done in the working
//! directory. What makes no sense at its time fails, and must fail alike in a scratchpad.

use std::ffi::{CStr, CString, OsStr};
use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, FallocateFlags, OFlag, RenameFlags};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, UtimensatFlags};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, LinkatFlags, Uid, UnlinkatFlags};

use crate::change::{FLAG_APPEND, FLAG_IMMUTABLE, FLAG_NOATIME};
use crate::sys::{files, inspect, mapped};

/// What operations name: objects of [`super::case::make`], their places, and names beside them,
/// some of them nasty. Only ever add at the end: kept sequences name them by number.
pub const NAMES: &[&[u8]] = &[
    b"a",
    b"b",
    b"d",
    b"d/a",
    b"d/b",
    b"d/e",
    b"d/e/f",
    b"d/e/g",
    b"g",
    b"g/one",
    b"g/deep",
    b"g/deep/two",
    b"g/deep/er",
    b"g/deep/er/three",
    b"new",
    b"new/x",
    b"new/x/y",
    b"new\nline",
    b"d/sp ace\\",
    b"-n",
    b"\xff\xfe\x01",
    b"..hidden",
    b"*",
    b"link",
    b"d/link",
    b"fifo",
    b"l1",
    b"l2",
    b"d/l3",
    b"hole",
    b"fixed",
    b"sticky",
    b"sticky/s",
    b"shared",
    b"shared/n",
    b"d/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    b"p/p/p/p/p/p/p/p/p/p/p/p",
    b"p/p/p/p/p/p/p/p/p/p/p/p/bottom",
    b"p/p/p/p",
    b"p",
    b"acl",
    b"acl/below",
];

/// Where symbolic links lead; never out of the case.
const TARGETS: &[&str] = &["a", "d", "d/e", "g/deep/two", "nowhere", "link", "fifo"];

/// One operation on one or two names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Work {
    verb: usize,
    a: usize,
    b: usize,
    n: u32,
}

type Doer = fn(&Args<'_>) -> Result<(), Errno>;

/// The operations, how often each is chosen, and what does it.
const VERBS: &[(&str, u32, Doer)] = &[
    ("write", 3, |w| write(w.a, OFlag::O_TRUNC, b"written\n")),
    ("append", 3, |w| write(w.a, OFlag::O_APPEND, b"appended\n")),
    ("truncate", 2, |w| {
        open(w.a, OFlag::O_WRONLY)?
            .set_len(u64::from(w.n % 9000))
            .map_err(errno)
    }),
    ("overwrite", 2, |w| {
        open(w.a, OFlag::O_WRONLY)?
            .write_all_at(b"over", u64::from(w.n % 5000))
            .map_err(errno)
    }),
    ("mmap", 2, map),
    ("punch", 2, punch),
    ("replace", 3, replace),
    ("tmpfile", 1, tmpfile),
    ("link", 5, |w| {
        nix::unistd::linkat(AT_FDCWD, w.a, AT_FDCWD, w.b, LinkatFlags::empty())
    }),
    ("symlink", 2, |w| {
        nix::unistd::symlinkat(TARGETS[w.n as usize % TARGETS.len()], AT_FDCWD, w.a)
    }),
    ("rename", 9, |w| {
        nix::fcntl::renameat(AT_FDCWD, w.a, AT_FDCWD, w.b)
    }),
    ("exchange", 4, |w| rename2(w, RenameFlags::RENAME_EXCHANGE)),
    ("noreplace", 3, |w| {
        rename2(w, RenameFlags::RENAME_NOREPLACE)
    }),
    ("mkdir", 4, |w| {
        nix::unistd::mkdir(w.a, Mode::from_bits_truncate(0o700 | w.n & 0o77))
    }),
    ("rmdir", 2, |w| {
        nix::unistd::unlinkat(AT_FDCWD, w.a, UnlinkatFlags::RemoveDir)
    }),
    ("remove", 3, |w| remove_all(w.a)),
    ("unlink", 4, |w| {
        nix::unistd::unlinkat(AT_FDCWD, w.a, UnlinkatFlags::NoRemoveDir)
    }),
    ("chmod", 3, |w| {
        let mode = Mode::from_bits_truncate(w.n & 0o7777);
        nix::sys::stat::fchmodat(AT_FDCWD, w.a, mode, FchmodatFlags::FollowSymlink)
    }),
    ("chown", 2, |w| {
        let (uid, gid) = (Uid::from_raw(w.n % 5), Gid::from_raw(w.n % 7));
        let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
        nix::unistd::fchownat(AT_FDCWD, w.a, Some(uid), Some(gid), flags)
    }),
    ("setfattr", 2, |w| {
        set_attribute(w, ATTRIBUTES[w.n as usize % ATTRIBUTES.len()], b"value")
    }),
    ("unsetfattr", 1, |w| {
        let name = ATTRIBUTES[w.n as usize % ATTRIBUTES.len()];
        files::remove_xattr_at(&text(w.a), name)
    }),
    ("setfacl", 2, |w| {
        set_attribute(w, c"system.posix_acl_access", &acl(w.n))
    }),
    ("defaultacl", 1, |w| {
        set_attribute(w, c"system.posix_acl_default", &acl(w.n))
    }),
    ("unsetfacl", 1, |w| {
        match files::remove_xattr_at(&text(w.a), c"system.posix_acl_access") {
            // Of the filesystems only overlayfs minds that there is none.
            Err(Errno::ENODATA) => Ok(()),
            said => said,
        }
    }),
    ("setcap", 1, |w| match w.a.symlink_metadata() {
        Ok(seen) if seen.is_file() => set_attribute(w, c"security.capability", &capability(w.n)),
        Ok(_) => Err(Errno::EINVAL),
        Err(error) => Err(errno(error)),
    }),
    ("chattr", 3, flags),
    ("mknod", 2, |w| {
        let (kind, device) = [
            (SFlag::S_IFCHR, nix::sys::stat::makedev(1, 3)),
            (SFlag::S_IFBLK, nix::sys::stat::makedev(7, 200)),
            (SFlag::S_IFIFO, 0),
            (SFlag::S_IFSOCK, 0),
            (SFlag::S_IFCHR, nix::sys::stat::makedev(4095, 1_048_575)),
        ][w.n as usize % 5];
        nix::sys::stat::mknod(w.a, kind, Mode::from_bits_truncate(0o640), device)
    }),
    ("settime", 3, |w| {
        let time = TimeSpec::new(1_000_000_000 + i64::from(w.n), 123_456_789);
        let flags = UtimensatFlags::NoFollowSymlink;
        nix::sys::stat::utimensat(AT_FDCWD, w.a, &time, &time, flags)
    }),
];

/// The attributes that are set; the second is one that overlayfs has to escape.
const ATTRIBUTES: [&CStr; 3] = [c"user.x", c"trusted.overlay.mine", c"trusted.y"];

struct Args<'a> {
    a: &'a Path,
    b: &'a Path,
    n: u32,
}

impl Work {
    /// Does it in the working directory.
    pub fn carry_out(self) -> Result<(), Errno> {
        let path = |index: usize| Path::new(OsStr::from_bytes(NAMES[index]));
        let (_, _, doer) = VERBS[self.verb];
        let said = doer(&Args {
            a: path(self.a),
            b: path(self.b),
            n: self.n,
        });
        // xfs has another number than the others and overlayfs for the same; rename(2) permits both.
        said.map_err(|errno| match errno {
            Errno::EEXIST => Errno::ENOTEMPTY,
            other => other,
        })
    }

    /// Reads what [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (verb, rest) = text.split_once('(')?;
        let mut numbers = rest.strip_suffix(')')?.split(',').map(str::parse::<u32>);
        let mut next = || numbers.next()?.ok();
        Some(Self {
            verb: VERBS.iter().position(|(name, ..)| *name == verb)?,
            a: next()? as usize,
            b: next()? as usize,
            n: next()?,
        })
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, ..) = VERBS[self.verb];
        write!(f, "{verb}({},{},{})", self.a, self.b, self.n)
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, ..) = VERBS[self.verb];
        let name = |index: usize| NAMES[index].escape_ascii().to_string();
        write!(f, "{verb} {} {} {}", name(self.a), name(self.b), self.n)
    }
}

/// Numbers that look random and are the same for the same seed: SplitMix64.
pub struct Numbers(pub u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// One operation.
    fn work(&mut self) -> Work {
        let total: u32 = VERBS.iter().map(|(_, weight, _)| weight).sum();
        let mut left = self.below(total as usize) as u32;
        let verb = VERBS.iter().position(|(_, weight, _)| {
            let chosen = left < *weight;
            left = left.saturating_sub(*weight);
            chosen
        });
        Work {
            verb: verb.unwrap_or(0),
            a: self.below(NAMES.len()),
            b: self.below(NAMES.len()),
            n: self.next() as u32 % 1_000_000,
        }
    }

    /// A sequence of one to eighteen operations.
    pub fn sequence(&mut self) -> Vec<Work> {
        (0..1 + self.below(18)).map(|_| self.work()).collect()
    }
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

fn text(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// Opens without waiting for another end of a pipe.
fn open(path: &Path, flags: OFlag) -> Result<std::fs::File, Errno> {
    let access = flags & OFlag::O_ACCMODE;
    let mut options = OpenOptions::new();
    options
        .read(access != OFlag::O_WRONLY)
        .write(access != OFlag::O_RDONLY)
        .custom_flags((flags | OFlag::O_NONBLOCK).bits());
    options.open(path).map_err(errno)
}

fn write(path: &Path, how: OFlag, bytes: &[u8]) -> Result<(), Errno> {
    let mut file = OpenOptions::new();
    file.create(true)
        .write(how == OFlag::O_TRUNC)
        .append(how == OFlag::O_APPEND)
        .truncate(how == OFlag::O_TRUNC);
    let flags = OFlag::O_NONBLOCK.bits();
    let mut file = file.custom_flags(flags).open(path).map_err(errno)?;
    file.write_all(bytes).map_err(errno)
}

/// Opens a file of more than `least` bytes for writing. Looks before it opens: opening alone makes
/// overlayfs copy the data of a file of which it has the attributes only, which gives it a new time
/// of modification, and that of a file that is then not written must be the old one.
fn open_longer(path: &Path, least: u64, access: OFlag) -> Result<std::fs::File, Errno> {
    let seen = path.metadata().map_err(errno)?;
    match seen.is_file() && seen.len() > least {
        true => open(path, access),
        false => Err(Errno::ENODEV),
    }
}

/// Writes to a mapping; a file without bytes has none.
fn map(w: &Args<'_>) -> Result<(), Errno> {
    let file = open_longer(w.a, 0, OFlag::O_RDWR)?;
    mapped::store_first_byte(file.as_fd(), b'0' + (w.n % 10) as u8)
}

/// Makes a hole in what the file has: beyond its end nothing happens, but for the time of change,
/// which not every filesystem sets.
fn punch(w: &Args<'_>) -> Result<(), Errno> {
    let start = u64::from(w.n % 4) * 4096;
    let file = open_longer(w.a, start, OFlag::O_WRONLY)?;
    let mode = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    nix::fcntl::fallocate(&file, mode, start as i64, 8192)
}

/// What editors do: written aside, renamed over.
fn replace(w: &Args<'_>) -> Result<(), Errno> {
    let aside = Path::new("aside");
    write(aside, OFlag::O_TRUNC, b"replaced\n")?;
    nix::fcntl::renameat(AT_FDCWD, aside, AT_FDCWD, w.a)
}

fn tmpfile(w: &Args<'_>) -> Result<(), Errno> {
    let mut file = OpenOptions::new();
    let flags = OFlag::O_TMPFILE.bits();
    let file = file.write(true).custom_flags(flags).mode(0o640);
    let mut file = file.open(".").map_err(errno)?;
    file.write_all(b"from nowhere\n").map_err(errno)?;
    let flags = LinkatFlags::AT_SYMLINK_FOLLOW;
    let number = std::os::fd::AsRawFd::as_raw_fd(&file);
    let source = format!("/proc/self/fd/{number}");
    nix::unistd::linkat(AT_FDCWD, source.as_str(), AT_FDCWD, w.a, flags)
}

fn rename2(w: &Args<'_>, flags: RenameFlags) -> Result<(), Errno> {
    nix::fcntl::renameat2(AT_FDCWD, w.a, AT_FDCWD, w.b, flags)
}

/// Removes in order of names, so that what an immutable object leaves is the same everywhere.
fn remove_all(path: &Path) -> Result<(), Errno> {
    if !path.symlink_metadata().map_err(errno)?.is_dir() {
        return nix::unistd::unlinkat(AT_FDCWD, path, UnlinkatFlags::NoRemoveDir);
    }
    let entries = path.read_dir().map_err(errno)?;
    let mut names: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    names.sort();
    for name in names {
        remove_all(&name)?;
    }
    nix::unistd::unlinkat(AT_FDCWD, path, UnlinkatFlags::RemoveDir)
}

fn set_attribute(w: &Args<'_>, name: &CStr, value: &[u8]) -> Result<(), Errno> {
    files::set_xattr_at(&text(w.a), name, value)
}

/// The bytes of an ACL that names one user: linux/posix_acl_xattr.h.
fn acl(n: u32) -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    let none = u32::MAX;
    let perm = |shift: u32| ((n >> shift) & 7) as u16;
    for (tag, perm, id) in [
        (0x01_u16, perm(0), none),
        (0x02, perm(3), n % 9),
        (0x04, perm(6), none),
        (0x10, 7, none),
        (0x20, perm(9), none),
    ] {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(perm.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

/// The bytes of file capabilities, revision 2: linux/capability.h.
fn capability(n: u32) -> Vec<u8> {
    let words = [0x0200_0001_u32, 1 << (n % 30), 0, 0, 0];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn flags(w: &Args<'_>) -> Result<(), Errno> {
    let seen = w.a.symlink_metadata().map_err(errno)?;
    if !seen.is_file() && !seen.is_dir() || seen.file_type().is_socket() {
        return Err(Errno::ENOTTY);
    }
    let file = open(w.a, OFlag::O_RDONLY)?;
    let mine = FLAG_IMMUTABLE | FLAG_APPEND | FLAG_NOATIME;
    let now = inspect::inode_flags(file.as_fd())?;
    let choice = [0, FLAG_IMMUTABLE, FLAG_APPEND, FLAG_NOATIME, 0, 0][w.n as usize % 6];
    files::set_inode_flags(file.as_fd(), (now & !mine) | choice)
}
