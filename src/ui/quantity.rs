//! Sizes, durations, times, errnos and signals for people. Upholds: the same quantity looks the
//! same everywhere.

use std::time::Duration;

use isconf_sandbox::change::Timestamp;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use time::OffsetDateTime;
use time::macros::format_description;

/// Bytes in binary units with one decimal place below 100: `12 B`, `1.5 KiB`, `230 MiB`.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.5 would be shown as 1024 of the smaller unit.
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value < 99.95 {
        format!("{value:.1} {}", UNITS[unit])
    } else {
        format!("{value:.0} {}", UNITS[unit])
    }
}

/// A duration in the unit that fits: `0 s`, `350 µs`, `5.2 ms`, `1.50 s`, `2 min 5 s`, `3 h 4 min`.
pub fn human_duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    let seconds = duration.as_secs();
    match seconds {
        0 if micros == 0 => "0 s".to_owned(),
        0 if micros < 1000 => format!("{micros} µs"),
        0 => format!("{:.1} ms", duration.as_secs_f64() * 1e3),
        1..60 => format!("{:.2} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A time in UTC to the second, `2026-11-20 17:44:31 UTC`; the bare number of seconds when it lies
/// outside of the calendar's years.
pub fn human_time(at: Timestamp) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    calendar(at, format)
}

/// A time in UTC to the nanosecond (RFC 3339), for programs and for comparing.
pub(super) fn exact_time(at: Timestamp) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:9]Z");
    calendar(at, format)
}

fn calendar(at: Timestamp, format: &[time::format_description::BorrowedFormatItem<'_>]) -> String {
    let nanos = i128::from(at.secs) * 1_000_000_000 + i128::from(at.nanos);
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|moment| moment.format(format).ok())
        .unwrap_or_else(|| format!("{}.{:09}", at.secs, at.nanos))
}

/// `EPERM` for 1; the number for one that has no name.
pub(super) fn errno_name(errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::UnknownErrno => format!("errno {errno}"),
        known => format!("{known:?}"),
    }
}

/// `No such file or directory` for 2.
pub(super) fn errno_text(errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::UnknownErrno => format!("error {errno}"),
        known => known.desc().to_owned(),
    }
}

/// `SIGTERM` for 15; the number for one that has no name.
pub(super) fn signal_name(signal: i32) -> String {
    Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |s| s.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_rounded_into_the_unit_that_fits() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (102_400, "100 KiB"),
            (1_048_575, "1.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (bytes, text) in table {
            assert_eq!(human_bytes(bytes), text);
        }
    }

    #[test]
    fn durations_are_rounded_into_the_unit_that_fits() {
        let table = [
            (0, "0 s"),
            (350, "350 µs"),
            (5_240, "5.2 ms"),
            (1_500_000, "1.50 s"),
            (125_000_000, "2 min 5 s"),
            (11_040_000_000, "3 h 4 min"),
        ];
        for (micros, text) in table {
            assert_eq!(human_duration(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn times_are_shown_in_utc_and_never_fail() {
        let at = |secs, nanos| Timestamp { secs, nanos };
        assert_eq!(human_time(at(0, 0)), "1970-01-01 00:00:00 UTC");
        assert_eq!(exact_time(at(-1, 5)), "1969-12-31T23:59:59.000000005Z");
        assert_eq!(human_time(at(i64::MAX, 1)), "9223372036854775807.000000001");
    }

    #[test]
    fn errnos_and_signals_have_names() {
        assert_eq!(errno_name(1), "EPERM");
        assert_eq!(errno_name(100_000), "errno 100000");
        assert_eq!(errno_text(2), "No such file or directory");
        assert_eq!(signal_name(15), "SIGTERM");
        assert_eq!(signal_name(40), "signal 40");
    }
}
