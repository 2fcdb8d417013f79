//! Who is outside of the scratchpad and who inside, and which process holds a live socket. Asks
//! `/proc` only when a call needs it, keeps what it found for the rest of the run, and reads a
//! bounded amount. Not for what a call means (see `reach` and `peers`).

use std::collections::HashMap;
use std::fs::{DirEntry, File, read_dir};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use super::caller::process;
use super::ports::servers;
use crate::reach::Reach;

/// How often the live processes are searched in one run for who holds a socket.
const MAX_SEARCHES: u32 = 16;

/// How many processes, and descriptors of one process, are looked at in a search.
const MAX_PROCESSES: usize = 20_000;
const MAX_DESCRIPTORS: usize = 20_000;

/// How much of `/proc/net/unix` is read.
const MAX_TABLE_BYTES: u64 = 16 << 20;

/// How far a process's ancestors are followed.
const MAX_ANCESTORS: u32 = 1000;

/// `__SO_ACCEPTCON` of linux/net.h: the socket listens.
const LISTENS: u32 = 1 << 16;

/// A namespace: device and inode of its file in `/proc`.
type Namespace = (u64, u64);

/// What there is to know of both sides.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// The scratchpad's root directory.
    root: Option<OwnedFd>,
    /// With the running system in reach, who is inside is told by mounts.
    reach: Reach,
    pids_inside: Option<Namespace>,
    mounts_inside: Option<Namespace>,
    names_inside: Option<Namespace>,
    network: Option<Namespace>,
    /// The live process that holds a socket, by the socket's inode.
    holders: HashMap<u64, i32>,
    searches: u32,
}

/// A bound Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bound {
    inode: u64,
    listens: bool,
}

/// Who has a socket that others may connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// A process of the scratchpad.
    Inside,
    /// A live process, if it could be found.
    Outside(Option<i32>),
}

impl Live {
    /// Of the scratchpad with this root directory, in which `command` runs. What cannot be had is
    /// as if nothing were inside.
    pub(crate) fn new(root: Option<BorrowedFd<'_>>, command: i32, reach: Reach) -> Self {
        Self {
            reach,
            root: root.and_then(|root| root.try_clone_to_owned().ok()),
            pids_inside: namespace(&command, "pid"),
            mounts_inside: namespace(&command, "mnt"),
            names_inside: namespace(&command, "uts"),
            network: namespace(&"self", "net"),
            ..Self::default()
        }
    }

    /// Whether a process inside has this number there.
    pub(super) fn has_number_inside(&self, number: i32) -> bool {
        if self.reach == Reach::Live {
            return self.sees_mounts_inside(number);
        }
        self.path_inside(&number.to_string())
            .is_some_and(|path| path.exists())
    }

    /// Whether a process inside is in the process group of this number there.
    pub(super) fn has_group_inside(&self, group: i32) -> bool {
        self.processes_inside()
            .filter_map(|entry| stat_field(&entry.path().join("stat"), 5))
            .any(|found| found == group)
    }

    fn sees_mounts_inside(&self, pid: i32) -> bool {
        let mounts = namespace(&pid, "mnt");
        mounts.is_some() && mounts == self.mounts_inside
    }

    /// Whether the process, by its number outside, is one of the scratchpad's.
    pub(super) fn is_inside(&self, pid: i32) -> bool {
        if self.reach == Reach::Live {
            return self.sees_mounts_inside(pid);
        }
        let mut pid = pid;
        for _ in 0..MAX_ANCESTORS {
            match namespace(&pid, "pid") {
                None => return false,
                found if found == self.pids_inside => return true,
                // In namespaces of its own; its ancestors are not.
                Some(_) => {}
            }
            match stat_field(Path::new(&format!("/proc/{pid}/stat")), 4) {
                Some(parent) if parent > 0 => pid = parent,
                _ => return false,
            }
        }
        false
    }

    /// Whether the process has a network of its own, and not the host's.
    pub(super) fn has_own_network(&self, pid: i32) -> bool {
        self.network.is_some() && namespace(&pid, "net").is_some_and(|n| Some(n) != self.network)
    }

    /// Whether the process has a host name of its own, besides the scratchpad's.
    pub(super) fn has_own_name(&self, pid: i32) -> bool {
        let inside = self.names_inside;
        inside.is_some() && namespace(&pid, "uts").is_some_and(|n| Some(n) != inside)
    }

    /// Whether the process has users of its own, and so all rights in what it unshared with them.
    pub(super) fn has_own_users(&self, pid: i32) -> bool {
        namespace(&pid, "user") != namespace(&"self", "user")
    }

    /// Whether the process has mounts of its own, besides the scratchpad's.
    pub(super) fn has_own_mounts(&self, pid: i32) -> bool {
        let inside = self.mounts_inside;
        inside.is_some() && namespace(&pid, "mnt").is_some_and(|n| Some(n) != inside)
    }

    /// The live process that serves the socket of this path, named; the path has no links.
    pub(super) fn server_of(&mut self, path: &Path) -> Option<String> {
        let file_name = path.file_name()?.as_bytes();
        let bound = bound_sockets(|name| {
            let name = Path::new(std::ffi::OsStr::from_bytes(name));
            name == path
                || (name.file_name().is_some_and(|n| n.as_bytes() == file_name)
                    && name.canonicalize().is_ok_and(|real| real == path))
        });
        let inode = bound?.inode;
        self.holder_outside(inode).map(named)
    }

    /// Who holds the socket with this abstract name; `None` when nobody does.
    pub(super) fn holder_of_abstract(&mut self, name: &[u8]) -> Option<Holder> {
        // The table shows the bytes of NUL as @ (unix_seq_show).
        let shown: Vec<u8> = std::iter::once(&0)
            .chain(name)
            .map(|b| if *b == 0 { b'@' } else { *b })
            .collect();
        let bound = bound_sockets(|name| name == shown)?;
        Some(self.holder(bound.inode))
    }

    /// Opens what a path from the scratchpad's root leads to, links followed inside, for looking at it.
    pub(super) fn open_inside(&self, path: &Path) -> Option<File> {
        // Links lead from the scratchpad's root; those of /proc that lead anywhere are not followed.
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT);
        let path = path.strip_prefix("/").ok()?;
        openat2(self.root.as_ref()?, path, how).ok().map(File::from)
    }

    /// Whether a process inside serves this port of the host.
    pub(super) fn serves_inside(&self, port: u16) -> bool {
        servers(port)
            .into_iter()
            .any(|inode| self.is_held_inside(inode))
    }

    /// Who holds a socket.
    pub(super) fn holder(&mut self, inode: u64) -> Holder {
        if self.is_held_inside(inode) {
            Holder::Inside
        } else {
            Holder::Outside(self.holder_outside(inode))
        }
    }

    fn is_held_inside(&self, inode: u64) -> bool {
        self.processes_inside()
            .any(|entry| sockets_of(&entry.path()).any(|found| found == inode))
    }

    fn holder_outside(&mut self, inode: u64) -> Option<i32> {
        if !self.holders.contains_key(&inode) && self.searches < MAX_SEARCHES {
            self.searches += 1;
            self.search();
        }
        self.holders.get(&inode).copied()
    }

    fn search(&mut self) {
        let processes = read_dir("/proc").into_iter().flatten().flatten();
        for entry in processes.filter(is_process).take(MAX_PROCESSES) {
            let Some(pid) = number(&entry) else { continue };
            for inode in sockets_of(&entry.path()) {
                let holder = self.holders.entry(inode).or_insert(pid);
                // Who starts daemons on demand holds their sockets as well.
                if *holder == 1 {
                    *holder = pid;
                }
            }
        }
    }

    fn path_inside(&self, name: &str) -> Option<PathBuf> {
        let root = self.root.as_ref()?.as_raw_fd();
        Some(PathBuf::from(format!("/proc/self/fd/{root}/proc/{name}")))
    }

    fn processes_inside(&self) -> impl Iterator<Item = DirEntry> {
        self.path_inside("")
            .and_then(|path| read_dir(path).ok())
            .into_iter()
            .flatten()
            .flatten()
            .filter(is_process)
            .take(MAX_PROCESSES)
            .filter(|entry| {
                // There, the numbers are those of the whole machine.
                self.reach == Reach::Contained
                    || number(entry).is_some_and(|pid| self.sees_mounts_inside(pid))
            })
    }
}

/// A live process, for people.
pub(super) fn named(pid: i32) -> String {
    format!("process {pid} ({})", process(pid))
}

fn namespace(pid: &impl std::fmt::Display, kind: &str) -> Option<Namespace> {
    let status = std::fs::metadata(format!("/proc/{pid}/ns/{kind}")).ok()?;
    Some((status.dev(), status.ino()))
}

fn number(entry: &DirEntry) -> Option<i32> {
    entry.file_name().to_str()?.parse().ok()
}

fn is_process(entry: &DirEntry) -> bool {
    number(entry).is_some()
}

/// A field of `/proc/PID/stat`, from 3 on, by its number in proc_pid_stat(5).
fn stat_field(path: &Path, field: usize) -> Option<i32> {
    let mut text = Vec::new();
    File::open(path)
        .ok()?
        .take(4096)
        .read_to_end(&mut text)
        .ok()?;
    // The program's name may have blanks and brackets in it.
    let end = text.iter().rposition(|b| *b == b')')?;
    let rest = std::str::from_utf8(text.get(end + 2..)?).ok()?;
    rest.split(' ').nth(field.checked_sub(3)?)?.parse().ok()
}

/// The inodes of the sockets that a process has open; none when it is gone.
fn sockets_of(process: &Path) -> impl Iterator<Item = u64> {
    read_dir(process.join("fd"))
        .into_iter()
        .flatten()
        .flatten()
        .take(MAX_DESCRIPTORS)
        .filter_map(|entry| {
            let target = std::fs::read_link(entry.path()).ok()?;
            let inode = target
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')?;
            inode.parse().ok()
        })
}

/// The first bound Unix socket of the host's network whose name is wanted; one that listens before
/// one that does not.
fn bound_sockets(is_wanted: impl Fn(&[u8]) -> bool) -> Option<Bound> {
    let table = File::open("/proc/self/net/unix").ok()?;
    let mut best: Option<Bound> = None;
    let mut lines = BufReader::new(table.take(MAX_TABLE_BYTES)).split(b'\n');
    while let Some(Ok(line)) = lines.next() {
        let Some((bound, name)) = table_line(&line) else {
            continue;
        };
        if best.is_none_or(|best| bound.listens && !best.listens) && is_wanted(name) {
            best = Some(bound);
        }
    }
    best
}

/// A line of `/proc/net/unix` (unix(7)): number, count, protocol, flags, type, state, inode, name.
fn table_line(line: &[u8]) -> Option<(Bound, &[u8])> {
    let mut rest = line;
    let mut fields = [&line[..0]; 7];
    for field in &mut fields {
        let start = rest.iter().position(|b| *b != b' ')?;
        rest = &rest[start..];
        let end = rest.iter().position(|b| *b == b' ')?;
        (*field, rest) = rest.split_at(end);
    }
    let text = |index: usize| std::str::from_utf8(fields[index]).ok();
    let flags = u32::from_str_radix(text(3)?, 16).ok()?;
    let bound = Bound {
        inode: text(6)?.parse().ok()?,
        listens: flags & LISTENS != 0,
    };
    Some((bound, rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_table_are_read_with_blanks_in_names() {
        let line = b"ffff8b: 00000002 00000000 00010000 0001 01   123 /run/a b";
        let bound = Bound {
            inode: 123,
            listens: true,
        };
        assert_eq!(table_line(line), Some((bound, &b"/run/a b"[..])));
        let unnamed = b"ffff8b: 00000002 00000000 00000000 0001 03 124";
        assert_eq!(table_line(unnamed), None);
        assert_eq!(table_line(b"Num       RefCount Protocol Flags"), None);
    }

    #[test]
    fn a_process_is_found_by_the_socket_it_holds() {
        let name = format!("isconf-test-{}", std::process::id());
        let address = <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&name);
        let socket = std::os::unix::net::UnixListener::bind_addr(&address.unwrap()).unwrap();
        let mut live = Live::new(None, -1, Reach::Contained);
        let me = std::process::id() as i32;
        assert_eq!(
            live.holder_of_abstract(name.as_bytes()),
            Some(Holder::Outside(Some(me)))
        );
        drop(socket);
        assert_eq!(live.holder_of_abstract(name.as_bytes()), None);
    }
}
