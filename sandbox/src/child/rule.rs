//! What there is to say of a watched system call. Plain types; the tables are in `rules` and `picked`.

use libc::c_long;

use super::request::EffectKind;

/// One watched system call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Its number on this architecture.
    pub number: c_long,
    /// Its name.
    pub name: &'static str,
    /// What kind of effect it is.
    pub kind: EffectKind,
    /// How it is answered.
    pub answer: Answer,
    /// How its aim is named, and whether it is an effect at all.
    pub aim: Aim,
}

/// How a system call is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It fails with this errno.
    Refuse(i32),
    /// The kernel performs it, within the limits of the scratchpad.
    Continue,
    /// As before, but for what it may not aim at.
    Judge,
}

/// Where the name of what a system call aims at is found. Numbers are argument positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aim {
    /// Nowhere.
    None,
    /// A path.
    Path(usize),
    /// A string that is no path.
    Text(usize),
    /// Bytes with their length in the next argument.
    Bytes(usize),
    /// A descriptor.
    Descriptor(usize),
    /// A number, shown in hexadecimal.
    Number(usize),
    /// mount(2): source, target, type.
    Mount,
    /// reboot(2): the command in argument 2.
    Reboot,
    /// A `struct timex`; with no mode set it only reads the clock.
    Timex(usize),
    /// syslog(2): only some commands are more than reading.
    KernelLog,
    /// unshare(2): the namespaces.
    Namespaces,
    /// The path, mode and device of a new node.
    Node {
        /// Of the path.
        path: usize,
    },
    /// A file opened for writing; an effect only for kernel settings and raw devices.
    Open {
        /// Of the directory descriptor, if it takes one.
        directory: Option<usize>,
        /// Of the path.
        path: usize,
    },
    /// openat2(2): as above, with the flags in memory.
    OpenHow,
    /// The number of a process; an effect only for a live one.
    Process(usize),
    /// The same, with a signal; a process group is a negative number where they may be named.
    Signal {
        /// Of the process.
        process: usize,
        /// Of the signal.
        signal: usize,
    },
    /// setpriority(2), ioprio_set(2): what kind of number, and the number.
    Priority {
        /// The value that stands for a process.
        process: u64,
    },
    /// connect(2): the address.
    Peer,
    /// execve(2), execveat(2): a program starts.
    Start {
        /// Of the directory descriptor, if it takes one.
        directory: Option<usize>,
        /// Of the path.
        path: usize,
    },
    /// sendto(2): the address; on netlink also the message.
    SendTo,
    /// sendmsg(2), sendmmsg(2): how many messages there are, where they are counted.
    Messages {
        /// Of the count; none for one message.
        count: Option<usize>,
    },
    /// bind(2): the address.
    Bind,
    /// listen(2): the socket.
    Listen,
    /// A key of System V IPC.
    Key(usize),
    /// A family of sockets.
    Family(usize),
    /// ioctl(2): the request.
    Request(usize),
}
