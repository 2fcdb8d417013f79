//! Tells whether somebody set the system's clock while a scratchpad was in use. Not a clock itself.
//! Upholds: a time of change is called impossible only when no clock could have given it since.

use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::clock_gettime;

use crate::change::Timestamp;

/// A time that does not come: the timer is there for its cancellation.
const NEVER_SECS: i64 = i64::MAX / 2_000_000_000;

/// Watches `CLOCK_REALTIME` from its making on.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    timer: TimerFd,
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
        Ok(Self { timer })
    }

    /// The present time, which no time given since the watch began is later than; `None` when
    /// somebody set the clock meanwhile, or it cannot be told.
    pub(crate) fn present(&self) -> Option<Timestamp> {
        let now = clock_gettime(nix::time::ClockId::CLOCK_REALTIME).ok()?;
        // The clock is read first: set after that, it makes no difference.
        match self.timer.wait() {
            Err(Errno::EAGAIN) => Some(Timestamp {
                secs: now.tv_sec(),
                nanos: u32::try_from(now.tv_nsec()).ok()?,
            }),
            Ok(()) | Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_nobody_sets_goes_on() {
        let watch = ClockWatch::begin().unwrap();
        let first = watch.present().unwrap();
        assert!(watch.present().unwrap() >= first);
    }
}
