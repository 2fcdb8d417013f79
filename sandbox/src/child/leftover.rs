//! Names the processes that are left in the scratchpad after the command. Not for ending them.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

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
        .filter_map(|entry| command_line(proc.as_fd(), entry.file_name()))
        .collect()
}

fn is_other(name: &CStr) -> bool {
    let bytes = name.to_bytes();
    bytes.iter().all(u8::is_ascii_digit) && bytes != b"1"
}

/// The command line of a process, by its number in this directory of them; `None` for one that runs no
/// more.
pub(super) fn command_line(proc: BorrowedFd<'_>, pid: &CStr) -> Option<String> {
    let bytes = small_file(proc, pid, "cmdline")?;
    let words: Vec<&[u8]> = bytes
        .split(|b| *b == 0)
        .filter(|word| !word.is_empty())
        .collect();
    if !words.is_empty() {
        return Some(escaped(&words.join(&b' ')));
    }
    // A zombie has no command line, and neither has one that is on its way from one program to the
    // next; then this is the last one's name (proc_pid_stat(5): the state follows the last bracket).
    let stat = small_file(proc, pid, "stat")?;
    let end = stat.iter().rposition(|b| *b == b')')?;
    let start = stat.iter().position(|b| *b == b'(')?;
    let is_gone = matches!(stat.get(end + 2)?, b'Z' | b'X');
    (!is_gone).then(|| escaped(&stat[start + 1..end]))
}

fn small_file(proc: BorrowedFd<'_>, pid: &CStr, name: &str) -> Option<Vec<u8>> {
    let path = format!("{}/{name}", pid.to_str().ok()?);
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let file = openat(proc, path.as_str(), flags, Mode::empty()).ok()?;
    let mut bytes = vec![0; NAME_BYTES];
    let length = read(&file, &mut bytes).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::fs::{File, read_to_string};
    use std::process::Command;

    use super::*;

    #[test]
    fn who_has_no_command_line_has_a_name_as_long_as_it_runs() {
        let proc = File::open("/proc").unwrap();
        let mut child = Command::new("true").spawn().unwrap();
        let pid = CString::new(child.id().to_string()).unwrap();
        let is_zombie = |stat: Vec<u8>| stat.windows(3).any(|part| part == b") Z");
        while !is_zombie(small_file(proc.as_fd(), &pid, "stat").unwrap()) {
            std::thread::yield_now();
        }
        assert_eq!(command_line(proc.as_fd(), &pid), None);
        child.wait().unwrap();
        assert!(command_line(proc.as_fd(), c"self").is_some());
        // A thread of the kernel has none either, where one is seen.
        if read_to_string("/proc/2/comm").is_ok_and(|name| name == "kthreadd\n") {
            let name = command_line(proc.as_fd(), c"2");
            assert_eq!(name.as_deref(), Some("kthreadd"));
        }
    }
}
