//! Reads from a caller's memory which program it starts, with what. Not for deciding about it (see
//! `services`). Upholds: the look at a program that concerns nobody is one read; what is read may be
//! anything, and is bounded.

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::fstat;

use super::caller::{PROCESS_BYTES, absolute, escaped, read_memory, read_string};
use crate::services::{Start, is_candidate};
use crate::sys::seccomp::Notification;

/// The most arguments, and the most variables, that are read. A call with more is left alone.
const MAX_STRINGS: usize = 4096;

/// The most bytes of them together.
const MAX_BYTES: usize = 1 << 20;

/// Reads the call if the program may be one that speaks with a service manager, and the caller sees
/// the scratchpad, whose root directory is `root`, as it is: not from a root of its own within it.
pub(super) fn program_start(
    call: &Notification,
    directory: Option<usize>,
    path: usize,
    root: BorrowedFd<'_>,
) -> Option<Start> {
    let written = read_string(call.pid, call.arguments[path]);
    if !is_candidate(&written) || !sees(call.pid, root) {
        return None;
    }
    let directory = directory.map_or(libc::AT_FDCWD, |index| call.arguments[index] as i32);
    let called = absolute(call.pid, directory, written)?;
    let real = without_links(root, &called)?;
    let argv = strings(call.pid, call.arguments[path + 1])?;
    let env = strings(call.pid, call.arguments[path + 2])?;
    let cwd = std::fs::read_link(format!("/proc/{}/cwd", call.pid)).ok()?;
    let status = std::fs::metadata(format!("/proc/{}", call.pid)).ok()?;
    Some(Start {
        called,
        real,
        env: env.into_iter().filter_map(variable).collect(),
        cwd,
        is_root: status.uid() == 0,
        process: escaped(&words(&argv)),
        argv: argv.into_iter().map(OsString::from_vec).collect(),
    })
}

/// The command line that the program will have, shortened.
fn words(argv: &[Vec<u8>]) -> Vec<u8> {
    let mut words = argv.join(&b' ');
    words.truncate(PROCESS_BYTES as usize);
    words
}

/// Whether the caller's root directory is this one.
fn sees(pid: i32, root: BorrowedFd<'_>) -> bool {
    let theirs = std::fs::metadata(format!("/proc/{pid}/root"));
    let ours = fstat(root);
    theirs.is_ok_and(|theirs| {
        ours.is_ok_and(|ours| (theirs.dev(), theirs.ino()) == (ours.st_dev, ours.st_ino))
    })
}

/// The path inside without links; `None` when nothing is there.
fn without_links(root: BorrowedFd<'_>, path: &Path) -> Option<PathBuf> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let found = openat2(root, path.strip_prefix("/").ok()?, how).ok()?;
    // As seen from the root of its own mount namespace, which is the scratchpad's.
    std::fs::read_link(format!("/proc/self/fd/{}", found.as_fd().as_raw_fd())).ok()
}

/// A null-terminated array of strings; `None` when there are too many, or they are too long.
fn strings(pid: i32, mut at: u64) -> Option<Vec<Vec<u8>>> {
    let word = size_of::<u64>();
    let (mut found, mut total) = (Vec::new(), 0);
    if at == 0 {
        return Some(found);
    }
    loop {
        // In parts, since the end is not known: a whole page, or less to the next one's start.
        let addresses = read_memory(pid, at, 64 * word);
        let (words, _) = addresses.as_chunks::<8>();
        if words.is_empty() {
            return None;
        }
        for address in words {
            let address = u64::from_ne_bytes(*address);
            if address == 0 {
                return Some(found);
            }
            let string = long_string(pid, address, MAX_BYTES - total)?;
            total += string.len();
            if found.len() == MAX_STRINGS {
                return None;
            }
            found.push(string);
        }
        at = at.checked_add((words.len() * word) as u64)?;
    }
}

/// A string of any length up to `limit`.
fn long_string(pid: i32, mut at: u64, limit: usize) -> Option<Vec<u8>> {
    let mut string = Vec::new();
    loop {
        let part = read_memory(pid, at, 4096);
        if let Some(end) = part.iter().position(|byte| *byte == 0) {
            string.extend_from_slice(&part[..end]);
            return (string.len() <= limit).then_some(string);
        }
        if part.is_empty() || string.len() + part.len() > limit {
            return None;
        }
        at = at.checked_add(part.len() as u64)?;
        string.extend(part);
    }
}

/// `NAME=value`; what has no name is none.
fn variable(text: Vec<u8>) -> Option<(OsString, OsString)> {
    let at = text.iter().position(|byte| *byte == b'=')?;
    let (name, value) = text.split_at(at);
    let part = |bytes: &[u8]| std::ffi::OsStr::from_bytes(bytes).to_owned();
    (at > 0).then(|| (part(name), part(&value[1..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_read_from_a_process_to_their_end() {
        let own = std::process::id() as i32;
        let long = vec![b'x'; 10_000];
        let texts = [b"a\0".to_vec(), [long.as_slice(), b"\0"].concat()];
        let mut pointers: Vec<u64> = (0..150).map(|n| texts[n % 2].as_ptr() as u64).collect();
        pointers.push(0);
        let read = strings(own, pointers.as_ptr() as u64).unwrap();
        assert_eq!(read.len(), 150);
        assert_eq!(
            (read[148].as_slice(), read[149].as_slice()),
            (b"a".as_slice(), long.as_slice())
        );
        assert_eq!(strings(own, 0), Some(Vec::new()));
        assert_eq!(strings(own, 8), None);
        // Endless: its words are its own address.
        let mut endless = vec![0_u64; MAX_STRINGS + 1];
        let address = texts[0].as_ptr() as u64;
        endless.fill(address);
        assert_eq!(strings(own, endless.as_ptr() as u64), None);
    }

    #[test]
    fn variables_have_a_name() {
        let of = |text: &str| variable(text.as_bytes().to_vec());
        assert_eq!(of("A=b=c"), Some(("A".into(), "b=c".into())));
        assert_eq!((of("A"), of("=b")), (None, None));
    }
}
