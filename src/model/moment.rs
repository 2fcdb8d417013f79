//! A point of time as text. Not a clock: moments are handed in. Upholds: clocks only come in
//! through the driver that was given one.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::stored_text::stored_as_text;
use isconf_sandbox::change::Timestamp;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// A point of time, written as RFC 3339 in UTC with nine digits of a second:
/// `2026-11-20T17:44:31.000000001Z`. Years 0000 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(OffsetDateTime);

/// Text that is not a moment, or a time outside of the years 0000 to 9999.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a time of the form 2026-11-20T17:44:31.000000001Z: {0:?}")]
pub struct InvalidMoment(pub String);

impl Moment {
    /// 1970-01-01.
    pub const EPOCH: Self = Self(OffsetDateTime::UNIX_EPOCH);

    /// Takes the time of a file or a clock.
    pub fn from_timestamp(stamp: Timestamp) -> Result<Self, InvalidMoment> {
        let nanos = i128::from(stamp.secs) * 1_000_000_000 + i128::from(stamp.nanos);
        Self::from_nanos(nanos)
    }

    /// The moment so many seconds after 1970-01-01T00:00:00Z; `None` beyond
    /// what a moment can hold.
    pub fn from_unix_seconds(seconds: u64) -> Option<Self> {
        let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
        Self::from_system_time(at).ok()
    }

    /// Takes the time of the standard library's clock.
    pub fn from_system_time(at: SystemTime) -> Result<Self, InvalidMoment> {
        match at.duration_since(UNIX_EPOCH) {
            Ok(after) => Self::from_nanos(after.as_nanos().cast_signed()),
            Err(e) => Self::from_nanos(-e.duration().as_nanos().cast_signed()),
        }
    }

    /// Takes nanoseconds since 1970.
    fn from_nanos(nanos: i128) -> Result<Self, InvalidMoment> {
        OffsetDateTime::from_unix_timestamp_nanos(nanos)
            .ok()
            .filter(|at| (0..=9999).contains(&at.year()))
            .map(Self)
            .ok_or_else(|| InvalidMoment(format!("{nanos} ns since 1970")))
    }

    /// The time as files have it.
    pub fn to_timestamp(self) -> Timestamp {
        Timestamp {
            secs: self.0.unix_timestamp(),
            nanos: self.0.nanosecond(),
        }
    }

    /// The time that passed since `earlier`; zero when the clock went back.
    pub fn since(self, earlier: Self) -> Duration {
        (self.0 - earlier.0).try_into().unwrap_or(Duration::ZERO)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, clock) = (self.0, self.0.time());
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            clock.hour(),
            clock.minute(),
            clock.second(),
            clock.nanosecond()
        )
    }
}

impl FromStr for Moment {
    type Err = InvalidMoment;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidMoment(text.chars().take(80).collect());
        let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| invalid())?;
        let moment = Self(at.to_offset(UtcOffset::UTC));
        // One moment has one text, so that a record has one form.
        if moment.to_string() == text {
            Ok(moment)
        } else {
            Err(invalid())
        }
    }
}

stored_as_text!(Moment);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_text_is_rfc_3339_in_utc_with_nine_digits() {
        let at = Moment::from_timestamp(Timestamp {
            secs: 1_795_196_671,
            nanos: 1,
        });
        assert_eq!(at.unwrap().to_string(), "2026-11-20T17:44:31.000000001Z");
        assert_eq!(Moment::EPOCH.to_string(), "1970-01-01T00:00:00.000000000Z");
        for bad in [
            "",
            "2026-11-20",
            "2026-11-20T17:44:31Z",
            "2026-11-20T17:44:31.000000001+00:00",
        ] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_moment_comes_back(secs in -62_000_000_000_i64..253_000_000_000, nanos in 0_u32..1_000_000_000) {
            let stamp = Timestamp { secs, nanos };
            let moment = Moment::from_timestamp(stamp).unwrap();
            prop_assert_eq!(moment.to_timestamp(), stamp);
            prop_assert_eq!(moment.to_string().parse::<Moment>().unwrap(), moment);
        }
    }
}
