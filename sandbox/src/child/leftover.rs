//! Names the processes that are left in the scratchpad after the command. Not for ending them.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use nix::dir::Dir;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::read;

use super::caller::escaped;

/// How much of a command line is kept.
const NAME_BYTES: usize = 200;

/// The command lines of all processes inside but the first, escaped. What ends meanwhile, or cannot
/// be read, is left out: the list is for the report.
pub(crate) fn leftover_processes(root: BorrowedFd<'_>) -> Vec<String> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let Ok(mut proc) = Dir::openat(root, c"proc", flags, Mode::empty()) else {
        return Vec::new();
    };
    let names: Vec<_> = proc
        .iter()
        .flatten()
        .filter(|entry| is_other(entry.file_name()))
        .collect();
    names
        .iter()
        .filter_map(|entry| command_line(root, entry.file_name()))
        .collect()
}

fn is_other(name: &CStr) -> bool {
    let bytes = name.to_bytes();
    bytes.iter().all(u8::is_ascii_digit) && bytes != b"1"
}

fn command_line(root: BorrowedFd<'_>, pid: &CStr) -> Option<String> {
    let path = format!("proc/{}/cmdline", pid.to_str().ok()?);
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let file = openat(root, path.as_str(), flags, Mode::empty()).ok()?;
    let mut bytes = [0; NAME_BYTES];
    let length = read(&file, &mut bytes).ok()?;
    let words: Vec<&[u8]> = bytes[..length]
        .split(|b| *b == 0)
        .filter(|word| !word.is_empty())
        .collect();
    // A zombie has no command line; it runs no more.
    (!words.is_empty()).then(|| escaped(&words.join(&b' ')))
}
