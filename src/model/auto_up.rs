//! When a host brings itself up to date. Pure. Upholds: a time of day is one of UTC, which is the same on every host.

use std::fmt;
use std::str::FromStr;

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// What a daemon does when a new entry came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AutoUp {
    /// Nothing.
    #[default]
    Off,
    /// It previews, and keeps what that says.
    Noop,
    /// It applies; at an entry that reboots it stops.
    On,
    /// It applies, and reboots where an entry says so.
    Reboot,
}

impl AutoUp {
    /// All of them, by name.
    const NAMED: [(&'static str, Self); 4] = [
        ("off", Self::Off),
        ("noop", Self::Noop),
        ("on", Self::On),
        ("reboot", Self::Reboot),
    ];

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        let mut named = Self::NAMED.iter();
        named
            .find(|(known, _)| *known == name)
            .map(|(_, auto)| *auto)
    }

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        let mut named = Self::NAMED.iter();
        named
            .find(|(_, known)| *known == self)
            .map_or("off", |(name, _)| name)
    }
}

/// A part of each day: `HH:MM-HH:MM`. One that ends before it begins goes on over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DailyWindow {
    from: u16,
    to: u16,
}

/// Text that is no part of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not HH:MM-HH:MM")]
pub struct InvalidWindow;

impl DailyWindow {
    /// Whether it holds a moment, given in seconds since 1970.
    pub fn contains(self, seconds: u64) -> bool {
        let minute = u16::try_from(seconds / 60 % u64::from(DAY)).unwrap_or(0);
        match self.from <= self.to {
            true => (self.from..self.to).contains(&minute),
            false => minute >= self.from || minute < self.to,
        }
    }
}

impl FromStr for DailyWindow {
    type Err = InvalidWindow;

    fn from_str(text: &str) -> Result<Self, InvalidWindow> {
        let (from, to) = text.split_once('-').ok_or(InvalidWindow)?;
        let (from, to) = (minute_of(from)?, minute_of(to)?);
        match from == to {
            true => Err(InvalidWindow),
            false => Ok(Self { from, to }),
        }
    }
}

fn minute_of(text: &str) -> Result<u16, InvalidWindow> {
    let (hour, minute) = text.split_once(':').ok_or(InvalidWindow)?;
    let number = |digits: &str, end: u16| {
        let is_plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse::<u16>().ok().filter(|number| *number < end);
        number.filter(|_| is_plain).ok_or(InvalidWindow)
    };
    Ok(number(hour, 24)? * 60 + number(minute, 60)?)
}

impl fmt::Display for DailyWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from, self.to);
        let (h, m) = (from / 60, from % 60);
        write!(f, "{h:02}:{m:02}-{:02}:{:02}", to / 60, to % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_a_part_of_the_day_also_over_midnight() {
        let window = |text: &str| text.parse::<DailyWindow>();
        let at = |hour: u64, minute: u64| 20_000 * 86_400 + hour * 3600 + minute * 60;
        let day = window("09:30-17:00").unwrap();
        assert!(day.contains(at(9, 30)) && day.contains(at(16, 59)));
        assert!(!day.contains(at(9, 29)) && !day.contains(at(17, 0)));
        let night = window("22:00-04:15").unwrap();
        assert!(night.contains(at(23, 0)) && night.contains(at(0, 0)) && night.contains(at(4, 14)));
        assert!(!night.contains(at(12, 0)));
        assert_eq!(night.to_string(), "22:00-04:15");
        for bad in [
            "",
            "1:00-2:00",
            "24:00-01:00",
            "10:60-11:00",
            "10:00",
            "10:00-10:00",
            "+1:00-02:00",
        ] {
            assert_eq!(window(bad), Err(InvalidWindow), "{bad:?}");
        }
    }

    #[test]
    fn every_name_is_read_as_it_is_written() {
        for (name, auto) in AutoUp::NAMED {
            assert_eq!(AutoUp::named(name), Some(auto));
            assert_eq!(auto.name(), name);
        }
        assert_eq!(AutoUp::named("yes"), None);
    }
}
