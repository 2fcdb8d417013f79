//! From the text of a setting to its typed value, one pure function a form. Not for where the text
//! comes from. Upholds: what a form does not allow is refused, not corrected.

use std::ffi::OsStr;
use std::path::PathBuf;

use crate::model::{
    Author, AutoUp, BranchName, CachePolicy, DailyWindow, DomainName, Home, HostName, Network,
};

use super::path_glob::PathGlob;

/// Text as it is, of one line.
pub(super) fn line(raw: &OsStr) -> Option<String> {
    let text = raw.to_str()?;
    (!text.contains(['\n', '\0'])).then(|| text.to_owned())
}

/// An absolute path; any bytes.
pub(super) fn path(raw: &OsStr) -> Option<PathBuf> {
    let path = PathBuf::from(raw);
    path.is_absolute().then_some(path)
}

/// The directory of everything.
pub(super) fn home(raw: &OsStr) -> Option<Home> {
    path(raw).map(Home::new)
}

/// The name of a domain.
pub(super) fn domain(raw: &OsStr) -> Option<DomainName> {
    DomainName::new(raw.to_str()?).ok()
}

/// The name of a branch.
pub(super) fn branch(raw: &OsStr) -> Option<BranchName> {
    BranchName::new(raw.to_str()?).ok()
}

/// The name of a host.
pub(super) fn host(raw: &OsStr) -> Option<HostName> {
    HostName::new(raw.to_str()?).ok()
}

/// The name of a user, such that it can be half of an author.
pub(super) fn user(raw: &OsStr) -> Option<String> {
    let user = raw.to_str()?;
    Author::new(format!("{user}@host")).ok()?;
    Some(user.to_owned())
}

/// A port, not 0.
pub(super) fn port(raw: &OsStr) -> Option<u16> {
    digits(raw.to_str()?)?.try_into().ok().filter(|p| *p != 0)
}

/// Yes unless empty, as in the original.
pub(super) fn is_set(raw: &OsStr) -> Option<bool> {
    Some(!raw.is_empty())
}

/// How many entries can be undone; a million is more than a journal has.
pub(super) fn entries(raw: &OsStr) -> Option<u32> {
    let number = digits(raw.to_str()?)?;
    u32::try_from(number).ok().filter(|n| *n <= 1_000_000)
}

/// A number of bytes, with a binary unit.
pub(super) fn bytes(raw: &OsStr) -> Option<u64> {
    let text = raw.to_str()?;
    let (number, shift) = match text.as_bytes().last()? {
        b'K' => (&text[..text.len() - 1], 10),
        b'M' => (&text[..text.len() - 1], 20),
        b'G' => (&text[..text.len() - 1], 30),
        b'T' => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    digits(number)?.checked_mul(1 << shift)
}

/// A time in seconds, minutes or hours.
pub(super) fn seconds(raw: &OsStr) -> Option<u64> {
    let text = raw.to_str()?;
    let (number, unit) = match text.as_bytes().last()? {
        b's' => (&text[..text.len() - 1], 1),
        b'm' => (&text[..text.len() - 1], 60),
        b'h' => (&text[..text.len() - 1], 3600),
        _ => (text, 1),
    };
    // A year is longer than anything that somebody waits for, and shorter than what clocks hold.
    let seconds = digits(number)?.checked_mul(unit)?;
    (seconds <= 365 * 24 * 3600).then_some(seconds)
}

/// A number in plain digits; `parse` alone would take a `+`.
fn digits(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

/// The names of variables, of which the last byte may be `*`.
pub(super) fn variable_names(raw: &OsStr) -> Option<Vec<String>> {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let is_name = |name: &str| {
        let stem = name.strip_suffix('*').unwrap_or(name);
        stem.bytes().all(is_word) && !stem.starts_with(|c: char| c.is_ascii_digit())
    };
    let names: Vec<_> = raw.to_str()?.split_ascii_whitespace().collect();
    let owned = || names.iter().map(|n| (*n).to_owned()).collect();
    names.iter().all(|n| is_name(n)).then(owned)
}

/// Patterns of paths.
pub(super) fn globs(raw: &OsStr) -> Option<Vec<PathGlob>> {
    let words = raw.to_str()?.split_ascii_whitespace();
    words.map(|w| PathGlob::new(w).ok()).collect()
}

/// `yes` or `no`.
pub(super) fn yes_or_no(raw: &OsStr) -> Option<bool> {
    match raw.to_str()? {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// What the daemon does when a new entry came.
pub(super) fn auto_up(raw: &OsStr) -> Option<AutoUp> {
    AutoUp::named(raw.to_str()?)
}

/// Which contents are kept.
pub(super) fn cache_policy(raw: &OsStr) -> Option<CachePolicy> {
    CachePolicy::named(raw.to_str()?)
}

/// How many hosts are to have a content: no more than a host is connected with.
pub(super) fn copies(raw: &OsStr) -> Option<u32> {
    let number = entries(raw)?;
    (1..=16).contains(&number).then_some(number)
}

/// A part of each day.
pub(super) fn daily_window(raw: &OsStr) -> Option<DailyWindow> {
    raw.to_str()?.parse().ok()
}

/// What network commands see.
pub(super) fn network(raw: &OsStr) -> Option<Network> {
    Network::named(raw.to_str()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_plain_digits_in_range() {
        let port = |t: &str| port(OsStr::new(t));
        assert_eq!(port("65027"), Some(65027));
        for bad in ["", "0", "65536", "+1", "-1", " 1", "1 ", "x"] {
            assert_eq!(port(bad), None, "{bad:?}");
        }
        let bytes = |t: &str| bytes(OsStr::new(t));
        assert_eq!((bytes("7"), bytes("2K")), (Some(7), Some(2048)));
        assert_eq!(bytes("10G"), Some(10 << 30));
        for bad in ["", "K", "1k", "1KB", "99999999999T", "é"] {
            assert_eq!(bytes(bad), None, "{bad:?}");
        }
        let seconds = |t: &str| seconds(OsStr::new(t));
        assert_eq!(
            (seconds("0"), seconds("7"), seconds("7s")),
            (Some(0), Some(7), Some(7))
        );
        assert_eq!((seconds("2m"), seconds("4h")), (Some(120), Some(14400)));
        for bad in [
            "",
            "s",
            "-1",
            "1d",
            "1 h",
            "9000h",
            "99999999999999999999",
            "é",
        ] {
            assert_eq!(seconds(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn names_of_variables_may_end_in_a_star_only() {
        let names = |t: &str| variable_names(OsStr::new(t));
        assert_eq!(names("A LC_* *").map(|n| n.len()), Some(3));
        assert_eq!(names("").map(|n| n.len()), Some(0));
        for bad in ["A*B", "1A", "A=B", "é"] {
            assert_eq!(names(bad), None, "{bad:?}");
        }
    }
}
