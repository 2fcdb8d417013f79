//! A live daemon on a throwaway machine, for entries to reach for; and the program by which they
//! try. Not a test.

use isconf::tour::Process;

use crate::support::machine::{Done, Machine};

/// Where the program is on the machine.
const ATTEMPT: &str = "/root/attempt.py";

/// A machine with the program on it.
pub fn machine(name: &str) -> Option<Machine> {
    let host = Machine::bare(name)?;
    host.write(ATTEMPT, include_str!("attempt.py"));
    Some(host)
}

/// Tries something in a scratchpad.
#[track_caller]
pub fn attempt<const N: usize>(host: &Machine, what: [&str; N]) -> Done {
    let mut words: Vec<std::ffi::OsString> = ["isconf", "try", "python3", ATTEMPT]
        .map(Into::into)
        .to_vec();
    words.extend(what.map(Into::into));
    host.run(&words)
}

/// Tries something in a scratchpad without a network.
#[track_caller]
pub fn attempt_alone<const N: usize>(host: &Machine, what: [&str; N]) -> Done {
    let mut words: Vec<std::ffi::OsString> =
        ["isconf", "try", "--network", "none", "python3", ATTEMPT]
            .map(Into::into)
            .to_vec();
    words.extend(what.map(Into::into));
    host.run(&words)
}

/// Tries something live, without any scratchpad.
#[track_caller]
pub fn natively<const N: usize>(host: &Machine, what: [&str; N]) -> Done {
    let mut words: Vec<std::ffi::OsString> = ["python3", ATTEMPT].map(Into::into).to_vec();
    words.extend(what.map(Into::into));
    host.run(&words)
}

/// A live daemon that ends when it is reached.
pub struct Daemon<'a> {
    host: &'a Machine,
    running: Process,
    mark: String,
}

impl<'a> Daemon<'a> {
    /// Binds a socket of a kind (`STREAM`, `DGRAM`) to an address.
    pub fn start(host: &'a Machine, kind: &str, address: &str) -> Self {
        let name: String = address.chars().filter(|c| c.is_alphanumeric()).collect();
        let mark = format!("/root/{kind}-{name}");
        let words = ["python3", ATTEMPT, "hold", kind, address, &mark];
        let running = host.host().command(words).spawn();
        let running = running.expect("a live daemon starts");
        host.sh(&format!("until test -e {mark}; do :; done"))
            .code(0);
        Self {
            host,
            running,
            mark,
        }
    }

    /// Must not have been reached, and is ended.
    #[track_caller]
    pub fn was_left_alone(self) {
        let mark = &self.mark;
        assert!(!self.host.exists(&format!("{mark}.reached")), "{mark}");
        self.running
            .crash()
            .expect("the live daemon is still there");
    }
}
