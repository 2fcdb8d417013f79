//! Tells whether somebody set the system's clock while a scratchpad was in use. Not a clock itself.
//! Upholds: a time of change is called impossible only when no clock could have given it since.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::clock_gettime;

use crate::capture::Window;
use crate::change::Timestamp;

/// A time that does not come: the timer is there for its cancellation.
const NEVER_SECS: i64 = i64::MAX / 2_000_000_000;

/// No clock of a machine in use is before it, clock_settime(2).
const EPOCH: Timestamp = Timestamp { secs: 0, nanos: 0 };

/// Watches `CLOCK_REALTIME` from its making on.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    timer: TimerFd,
    /// Somebody set the clock.
    was_set: AtomicBool,
}

impl ClockWatch {
    /// Begins to watch.
    pub(crate) fn begin() -> Result<Self, Errno> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_REALTIME, flags)?;
        // timerfd_create(2): a read fails with ECANCELED after any discontinuous change of the
        // clock, also after one forth and one back, which no comparison of clocks would tell.
        timer.set(
            Expiration::OneShot(TimeSpec::new(NEVER_SECS, 0)),
            TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET,
        )?;
        Ok(Self {
            timer,
            was_set: AtomicBool::new(false),
        })
    }

    /// The times that a change since then may have, when the watch began just after `since`.
    ///
    /// When somebody set the clock meanwhile, a change may have any time: also one before `since`.
    /// Then whatever this scratchpad changed counts as changed by others too. That can cost a
    /// refusal; believing the clock can cost what somebody else wrote.
    pub(crate) fn window(&self, since: Timestamp) -> Window {
        let present = self.present();
        let since = if present.is_some() { since } else { EPOCH };
        Window { since, present }
    }

    /// The present time, which no time given since the watch began is later than; `None` when
    /// somebody set the clock meanwhile, or it cannot be told.
    fn present(&self) -> Option<Timestamp> {
        if self.was_set.load(Ordering::Relaxed) {
            return None;
        }
        let now = clock_gettime(nix::time::ClockId::CLOCK_REALTIME).ok()?;
        // The clock is read first: set after that, it makes no difference.
        if self.timer.wait() == Err(Errno::EAGAIN) {
            let nanos = u32::try_from(now.tv_nsec()).ok()?;
            return Some(Timestamp {
                secs: now.tv_sec(),
                nanos,
            });
        }
        // The kernel says it only once.
        self.was_set.store(true, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_the_clock_was_set_every_time_tells_of_a_change() {
        let watch = ClockWatch::begin().unwrap();
        let at = |secs| Timestamp { secs, nanos: 0 };
        assert!(!watch.window(at(2)).holds(at(1)));
        watch.was_set.store(true, Ordering::Relaxed);
        for _ in 0..2 {
            assert!(watch.window(at(2)).holds(at(1)));
        }
    }

    #[test]
    fn a_clock_that_nobody_sets_goes_on() {
        let watch = ClockWatch::begin().unwrap();
        let first = watch.present().unwrap();
        assert!(watch.present().unwrap() >= first);
    }
}
