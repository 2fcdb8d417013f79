//! The scheduling policy of the calling thread, changed for a while (sched(7)). Not for deciding when.
//! Upholds: processes that the thread makes meanwhile have the usual policy.

use nix::errno::Errno;
use nix::unistd::Pid;

use super::checked;

/// As long as this lives, the thread has another policy; then again the one of before. Such values have
/// to be dropped in the reverse order.
#[derive(Debug)]
pub struct Scheduling {
    before: Policy,
}

#[derive(Debug, Clone, Copy)]
struct Policy {
    number: libc::c_int,
    parameters: libc::sched_param,
}

impl Scheduling {
    /// The thread runs before all others of the usual policy, and at once when it was woken
    /// (`SCHED_FIFO`, at its lowest priority). It is for threads that mostly wait: others wait for it.
    /// `EPERM` where that is not allowed.
    pub fn urgent() -> Result<Self, Errno> {
        Self::change(urgent())
    }

    /// The thread takes its turn among all others.
    pub fn usual() -> Result<Self, Errno> {
        Self::change(policy(libc::SCHED_OTHER, 0))
    }

    fn change(to: Policy) -> Result<Self, Errno> {
        let own = Pid::from_raw(0);
        let before = of(own)?;
        set_or_nearly(to)?;
        Ok(Self { before })
    }
}

impl Drop for Scheduling {
    fn drop(&mut self) {
        // Less than what was before is always allowed.
        let _ = set_or_nearly(self.before);
    }
}

/// Sets the own policy. Who may be urgent by a limit (`RLIMIT_RTPRIO`) and not by right may not take
/// back that children are not, which does no harm.
fn set_or_nearly(to: Policy) -> Result<(), Errno> {
    let own = Pid::from_raw(0);
    let nearly = Policy {
        number: to.number | libc::SCHED_RESET_ON_FORK,
        ..to
    };
    set(own, to).or_else(|_| set(own, nearly))
}

/// Makes another process urgent, for good.
pub fn raise(process: Pid) -> Result<(), Errno> {
    set(process, urgent())
}

fn urgent() -> Policy {
    policy(libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, 1)
}

fn policy(number: libc::c_int, priority: libc::c_int) -> Policy {
    // SAFETY: a sched_param of zeroes is valid.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = priority;
    Policy { number, parameters }
}

fn of(process: Pid) -> Result<Policy, Errno> {
    // SAFETY: takes a number only.
    let number = checked(libc::c_long::from(unsafe {
        libc::sched_getscheduler(process.as_raw())
    }))?;
    let mut found = policy(number as libc::c_int, 0);
    // SAFETY: the kernel fills a live sched_param.
    checked(libc::c_long::from(unsafe {
        libc::sched_getparam(process.as_raw(), &raw mut found.parameters)
    }))?;
    Ok(found)
}

fn set(process: Pid, policy: Policy) -> Result<(), Errno> {
    let parameters = &raw const policy.parameters;
    // SAFETY: the kernel reads a live sched_param.
    let result = unsafe { libc::sched_setscheduler(process.as_raw(), policy.number, parameters) };
    checked(libc::c_long::from(result)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_changed_and_changed_back() {
        let number = || of(Pid::from_raw(0)).unwrap().number;
        let before = number();
        // Only where it is allowed.
        let Ok(urgent) = Scheduling::urgent() else {
            return;
        };
        let is_urgent = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
        assert_eq!(number(), is_urgent);
        let usual = Scheduling::usual().unwrap();
        assert_eq!(number(), libc::SCHED_OTHER);
        drop(usual);
        assert_eq!(number(), is_urgent);
        let children = std::process::Command::new("cat")
            .arg("/proc/self/sched")
            .output()
            .unwrap();
        let children = String::from_utf8_lossy(&children.stdout).into_owned();
        let policy = children.lines().find(|line| line.starts_with("policy"));
        assert!(policy.is_none_or(|line| line.ends_with(" 0")), "{policy:?}");
        drop(urgent);
        assert_eq!(number(), before);
    }
}
