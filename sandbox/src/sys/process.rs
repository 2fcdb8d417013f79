//! What a process does to itself on its way from clone to exec: descriptors, signals, scopes,
//! capabilities, exec. Every function here allocates nothing and takes no lock, so that it may run
//! between clone and exec. Not for deciding what to keep.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::signal::SigSet;

use super::checked;

/// `_LINUX_CAPABILITY_VERSION_3` of linux/capability.h: two words of each set.
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// The highest number a capability can have (two words of 32).
const CAPABILITY_LIMIT: u32 = 63;

/// `LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL` of linux/landlock.h.
const SCOPES: u64 = 1 | 2;

/// The first Landlock ABI that knows scopes.
pub const LANDLOCK_ABI_WITH_SCOPES: u32 = 6;

/// A null-terminated array of strings as execve(2) takes it; owns the strings.
#[derive(Debug)]
struct StringArray {
    /// Kept alive for `pointers`, which points into it.
    _strings: Vec<CString>,
    pointers: Vec<*const libc::c_char>,
}

impl StringArray {
    fn new(strings: Vec<CString>) -> Self {
        let mut pointers: Vec<_> = strings.iter().map(|s| s.as_ptr()).collect();
        pointers.push(std::ptr::null());
        Self {
            _strings: strings,
            pointers,
        }
    }
}

/// A program with all it needs to be executed, prepared before the clone.
#[derive(Debug)]
pub struct Program {
    candidates: Vec<CString>,
    argv: StringArray,
    /// `/bin/sh`, a place for the candidate, the arguments: for a script without `#!`.
    shell_argv: Vec<*const libc::c_char>,
    environment: StringArray,
}

impl Program {
    /// Takes the paths to try in order, the arguments (the first is the program's own name), and
    /// the environment.
    pub fn new(candidates: Vec<CString>, argv: Vec<CString>, environment: Vec<CString>) -> Self {
        let argv = StringArray::new(argv);
        let mut shell_argv = vec![c"/bin/sh".as_ptr(), std::ptr::null()];
        shell_argv.extend(argv.pointers.iter().skip(1));
        if argv.pointers.len() < 2 {
            shell_argv.push(std::ptr::null());
        }
        Self {
            candidates,
            argv,
            shell_argv,
            environment: StringArray::new(environment),
        }
    }

    /// Replaces the process by the first candidate that can be executed, as execvp(3) does: a
    /// candidate that is not there is passed over, one that is forbidden is remembered, one of no
    /// known format is given to `/bin/sh`. Returns only when none could be.
    pub fn execute(&mut self) -> Errno {
        let mut failure = Errno::ENOENT;
        for candidate in &self.candidates {
            match Self::execute_one(candidate, &self.argv.pointers, &self.environment) {
                Errno::ENOEXEC => {
                    self.shell_argv[1] = candidate.as_ptr();
                    return Self::execute_one(c"/bin/sh", &self.shell_argv, &self.environment);
                }
                Errno::EACCES => failure = Errno::EACCES,
                Errno::ENOENT
                | Errno::ENOTDIR
                | Errno::ESTALE
                | Errno::ENODEV
                | Errno::ETIMEDOUT => {}
                other => return other,
            }
        }
        failure
    }

    fn execute_one(path: &CStr, argv: &[*const libc::c_char], environment: &StringArray) -> Errno {
        // SAFETY: `path` ends in NUL; both arrays end in a null pointer, and their other elements
        // point to strings that `self` owns, or that are static.
        unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), environment.pointers.as_ptr()) };
        Errno::last()
    }
}

/// Copies `source` to the lowest free descriptor from 10 on, close-on-exec. fcntl(2)
/// `F_DUPFD_CLOEXEC`. Not owned, because the caller is about to replace itself.
pub fn duplicate_high(source: RawFd) -> Result<RawFd, Errno> {
    // SAFETY: takes numbers only.
    let result = unsafe { libc::fcntl(source, libc::F_DUPFD_CLOEXEC, 10) };
    checked(libc::c_long::from(result)).map(|fd| fd as RawFd)
}

/// Makes `number` a copy of `source`, kept over exec. dup2(2).
pub fn duplicate_to(source: RawFd, number: RawFd) -> Result<(), Errno> {
    // SAFETY: takes numbers only; the process is a fresh clone that owns all its descriptors, and
    // `number` is one of its standard streams, which no Rust value owns.
    checked(libc::c_long::from(unsafe { libc::dup2(source, number) })).map(drop)
}

/// Makes this process the leader of a new process group, and that the foreground one of its standard
/// input, if that is its terminal. setpgid(2), tcsetpgrp(3); the caller blocks `SIGTTOU`.
pub fn take_terminal() -> Result<(), Errno> {
    // SAFETY: takes numbers only.
    checked(libc::c_long::from(unsafe { libc::setpgid(0, 0) }))?;
    // SAFETY: takes numbers only; refuses one that is no descriptor.
    let taken = checked(libc::c_long::from(unsafe {
        libc::tcsetpgrp(libc::STDIN_FILENO, libc::getpgrp())
    }));
    match taken {
        // Not a terminal, or not the one of this session.
        Ok(_) | Err(Errno::ENOTTY) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Closes every descriptor from 3 on when the process executes a program. close_range(2) with
/// `CLOSE_RANGE_CLOEXEC`, Linux 5.11.
pub fn close_on_exec_from_3() -> Result<(), Errno> {
    let flags = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: takes numbers only, and closes nothing yet.
    checked(unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, flags) }).map(drop)
}

/// Closes every descriptor but `keep`; for a process that never returns to Rust values that own
/// them. close_range(2), Linux 5.9.
pub fn close_all_but(keep: BorrowedFd<'_>) -> Result<(), Errno> {
    let keep = keep.as_raw_fd() as libc::c_uint;
    // SAFETY: takes numbers only; the fresh clone that calls this uses no other descriptor again
    // and runs no destructor (see `clone_process`).
    unsafe {
        if keep > 0 {
            checked(libc::syscall(libc::SYS_close_range, 0, keep - 1, 0))?;
        }
        checked(libc::syscall(
            libc::SYS_close_range,
            keep + 1,
            libc::c_uint::MAX,
            0,
        ))?;
    }
    Ok(())
}

/// Gives every signal that has a handler its default action again, and `SIGPIPE`, which Rust's
/// start-up ignores; one that the caller was told to ignore (nohup(1)) stays ignored, as over any
/// exec. sigaction(2).
pub fn reset_signal_actions() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: a sigaction of zeroes is valid and means the default action.
        let default: libc::sigaction = unsafe { std::mem::zeroed() };
        let mut current = default;
        // SAFETY: reads the action into a live sigaction; fails for numbers that are no signal.
        let known = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut current) } == 0;
        let is_ignored = current.sa_sigaction == libc::SIG_IGN && signal != libc::SIGPIPE;
        if known && current.sa_sigaction != libc::SIG_DFL && !is_ignored {
            // SAFETY: sets the default action. It cannot fail for a signal that was just read and
            // has a handler, so the result tells nothing.
            unsafe { libc::sigaction(signal, &raw const default, std::ptr::null_mut()) };
        }
    }
}

/// Lets the kernel reap this process's children by itself. signal(2), `SIGCHLD` ignored.
pub fn ignore_children() {
    // SAFETY: sets no handler. It cannot fail: the signal exists and may be ignored.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// Gives up every capability that is not in the mask `keep` (bit n = capability n), in the
/// bounding set too. capabilities(7), capset(2), prctl(2) `PR_CAPBSET_DROP`.
pub fn keep_capabilities(keep: u64) -> Result<(), Errno> {
    for capability in 0..=CAPABILITY_LIMIT {
        if keep & (1 << capability) != 0 {
            continue;
        }
        // SAFETY: takes numbers only.
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        match checked(libc::c_long::from(result)) {
            Ok(_) => {}
            Err(Errno::EINVAL) => break, // Past the last capability of this kernel.
            Err(errno) => return Err(errno),
        }
    }
    let header: [u32; 2] = [CAPABILITY_VERSION_3, 0];
    // Effective, permitted, inheritable of capabilities 0 to 31, then of 32 to 63.
    let mut sets: [[u32; 3]; 2] = [[0; 3]; 2];
    // SAFETY: header and sets have the layout of version 3 (capget(2)).
    checked(unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()) })?;
    for (word, kept) in sets.iter_mut().zip([keep as u32, (keep >> 32) as u32]) {
        let permitted = word[1] & kept;
        *word = [permitted, permitted, 0];
    }
    // SAFETY: header and sets have the layout of version 3 (capset(2)).
    checked(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) }).map(drop)
}

/// The ABI version of Landlock, 0 when the kernel has none or it is switched off.
/// landlock_create_ruleset(2) with `LANDLOCK_CREATE_RULESET_VERSION`.
pub fn landlock_abi() -> u32 {
    let none = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag the attributes must be null and of size 0.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0, 1) };
    u32::try_from(version).unwrap_or(0)
}

/// Makes a rule set that forbids abstract Unix sockets and signals of processes outside, and
/// nothing else. landlock(7), ABI 6.
pub fn landlock_scopes() -> Result<OwnedFd, Errno> {
    // handled_access_fs, handled_access_net, scoped of landlock_ruleset_attr.
    let attributes: [u64; 3] = [0, 0, SCOPES];
    let size = std::mem::size_of_val(&attributes);
    // SAFETY: the attributes are a landlock_ruleset_attr of the size that is given.
    let fd = checked(unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            attributes.as_ptr(),
            size,
            0,
        )
    })?;
    // SAFETY: the kernel just gave this descriptor to us, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Puts the process and all it starts under the rule set. landlock_restrict_self(2); needs
/// `CAP_SYS_ADMIN`, since `no_new_privs` must stay off.
pub fn landlock_restrict(rules: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: `rules` is open; takes numbers only.
    checked(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0) })
        .map(drop)
}

/// Whether this process was told to ignore the signal. sigaction(2).
pub fn ignores(signal: libc::c_int) -> bool {
    // SAFETY: a sigaction of zeroes is valid.
    let mut current: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: reads the action into a live sigaction.
    let known = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut current) } == 0;
    known && current.sa_sigaction == libc::SIG_IGN
}

/// Has the command start with no signal blocked, whatever this thread holds back. A mask is passed on
/// by fork(2) and execve(2) (signal(7)).
pub fn start_with_signals(command: &mut std::process::Command) {
    let unblock = || {
        SigSet::empty()
            .thread_set_mask()
            .map_err(std::io::Error::from)
    };
    // SAFETY: between fork and exec only sigprocmask(2) is called, which is safe there.
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(command, unblock);
    }
}
