//! What the caller of a watched system call has in its memory and shows in `/proc`: strings, paths, its
//! name. Not for what they mean (see `naming`). Upholds: reads a bounded amount, and what it reads
//! may be anything.

use std::ffi::OsString;
use std::fs::File;
use std::io::{IoSliceMut, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use crate::change::write_escaped;

/// The longest string read from a caller (`PATH_MAX`).
const STRING_BYTES: usize = 4096;

/// How much of a caller's command line is kept.
pub(super) const PROCESS_BYTES: u64 = 200;

/// The granularity of the caller's memory; a page may be missing where a string's end is not.
const PAGE_BYTES: usize = 4096;

/// The caller's command line, shortened, escaped.
pub(super) fn process(pid: i32) -> String {
    let mut bytes = Vec::new();
    let file = File::open(format!("/proc/{pid}/cmdline"));
    // A caller that died meanwhile has no name; the effect is still worth its line.
    let _ = file.and_then(|file| file.take(PROCESS_BYTES).read_to_end(&mut bytes));
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    for byte in &mut bytes {
        if *byte == 0 {
            *byte = b' ';
        }
    }
    escaped(&bytes)
}

/// For reports.
pub(super) fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_escaped(&mut text, bytes);
    text
}

/// Reads up to `length` bytes; what lies beyond the end of the caller's memory is left out.
pub(super) fn read_memory(pid: i32, address: u64, length: usize) -> Vec<u8> {
    let Ok(base) = usize::try_from(address) else {
        return Vec::new();
    };
    let mut buffer = vec![0; length];
    let to_page_end = (PAGE_BYTES - base % PAGE_BYTES).min(length);
    // Two parts, because a part is read wholly or not at all.
    let mut remote = vec![RemoteIoVec {
        base,
        len: to_page_end,
    }];
    if let Some(next) = base.checked_add(to_page_end)
        && length > to_page_end
    {
        remote.push(RemoteIoVec {
            base: next,
            len: length - to_page_end,
        });
    }
    let mut local = [IoSliceMut::new(&mut buffer)];
    let read = process_vm_readv(Pid::from_raw(pid), &mut local, &remote).unwrap_or(0);
    buffer.truncate(read);
    buffer
}

/// Reads the string at the address, without its NUL; empty for a null pointer.
pub(super) fn read_string(pid: i32, address: u64) -> Vec<u8> {
    if address == 0 {
        return Vec::new();
    }
    let mut bytes = read_memory(pid, address, STRING_BYTES);
    if let Some(end) = bytes.iter().position(|b| *b == 0) {
        bytes.truncate(end);
    }
    bytes
}

/// The process that a thread belongs to.
pub(super) fn process_of_thread(thread: i32) -> i32 {
    let mut text = String::new();
    let file = File::open(format!("/proc/{thread}/status"));
    let read = file.and_then(|file| file.take(STRING_BYTES as u64).read_to_string(&mut text));
    let line = text.lines().find_map(|line| line.strip_prefix("Tgid:"));
    let number = line.and_then(|number| number.trim().parse().ok());
    // A caller that died meanwhile is looked for under its own number, in vain.
    read.ok().and(number).unwrap_or(thread)
}

/// What a descriptor of the caller leads to.
pub(super) fn descriptor(pid: i32, number: i32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/fd/{number}")).ok()
}

/// The path from the root, without `.`, `..` and double slashes; links are not followed.
pub(super) fn absolute(pid: i32, directory: i32, path: Vec<u8>) -> Option<PathBuf> {
    if path.is_empty() {
        return None;
    }
    let path = PathBuf::from(OsString::from_vec(path));
    let start = if path.is_absolute() {
        PathBuf::new()
    } else if directory == libc::AT_FDCWD {
        std::fs::read_link(format!("/proc/{pid}/cwd")).ok()?
    } else {
        descriptor(pid, directory)?
    };
    let mut clean = PathBuf::from("/");
    for part in start.join(path).components() {
        match part {
            std::path::Component::ParentDir => {
                clean.pop();
            }
            std::path::Component::Normal(name) => clean.push(name),
            std::path::Component::RootDir
            | std::path::Component::CurDir
            | std::path::Component::Prefix(_) => {}
        }
    }
    Some(clean)
}
