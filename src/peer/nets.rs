//! The file of addresses (`IS_NETS`). Pure. Upholds: the original's lines are understood; a line that
//! is not is named, and the others count all the same.
//!
//! ```text
//! # a comment
//! udp 10.0.0.7            the original's form; `tcp` lines are passed over, as it did
//! web1.example.com        a name, with the port of IS_PORT
//! [2001:db8::7]:7777      an address with a port
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The longest file, in bytes.
pub const MAX_NETS_BYTES: u64 = 1 << 20;

/// The most lines that count.
const MAX_PLACES: usize = 10_000;

/// Where a host may be reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// An address.
    Address(SocketAddr),
    /// A name that has to be resolved, and a port.
    Name(String, u16),
}

/// Text that is neither an address nor a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an address or a host name, with or without a port: {0:?}")]
pub struct InvalidPlace(pub String);

/// A line that does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub line: usize,
    /// Why.
    pub fault: InvalidPlace,
}

impl Place {
    /// Reads an address or a name, with `port` where it names none.
    pub fn parse(text: &str, port: u16) -> Result<Self, InvalidPlace> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            let is_one = address.port() > 0;
            let invalid = InvalidPlace(text.chars().take(80).collect());
            return is_one.then_some(Self::Address(address)).ok_or(invalid);
        }
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        if let Some(Ok(address)) = bare.map(str::parse::<Ipv6Addr>) {
            return Ok(Self::Address(SocketAddr::new(address.into(), port)));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(SocketAddr::new(address, port)));
        }
        let invalid = || InvalidPlace(text.chars().take(80).collect());
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, port.parse().map_err(|_| invalid())?),
            None => (text, port),
        };
        let is_name = !name.is_empty()
            && name.len() <= 253
            && !name.starts_with(['-', '.'])
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
            // What looks like an address and is none is no name.
            && !name.chars().all(|c| c.is_ascii_digit() || c == '.');
        if is_name && port > 0 {
            Ok(Self::Name(name.to_owned(), port))
        } else {
            Err(invalid())
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

/// Reads the file: the places, and the lines that do not count.
pub fn places(bytes: &[u8], port: u16) -> (Vec<Place>, Vec<BadLine>) {
    let (mut places, mut bad) = (Vec::new(), Vec::new());
    let text = String::from_utf8_lossy(bytes);
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.split('#').next().unwrap_or_default();
        let mut words = text.split_whitespace();
        let place = match (words.next(), words.next(), words.next()) {
            (None, _, _) | (Some("tcp"), Some(_), None) => continue,
            (Some("udp"), Some(place), None) => Place::parse(place, port),
            (Some(place), None, None) if place != "udp" && place != "tcp" => {
                Place::parse(place, port)
            }
            _ => Err(InvalidPlace(text.trim().chars().take(80).collect())),
        };
        match place {
            Ok(place) if places.contains(&place) => {}
            Ok(place) if places.len() < MAX_PLACES => places.push(place),
            Ok(_) => {}
            Err(fault) => bad.push(BadLine { line, fault }),
        }
    }
    (places, bad)
}

/// How many places and how many bad lines a file has.
pub(crate) fn counted_places(bytes: &[u8]) -> (usize, usize) {
    let (places, bad) = places(bytes, 65027);
    (places.len(), bad.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_original_s_lines_and_ours_are_read() {
        let text = b"udp 10.0.0.7\ntcp 10.0.0.8\n\n# all\n  udp web1 # the first\n\
            web2.example.com:7777\n2001:db8::7\n[2001:db8::7]:7\n10.0.0.7\n";
        let (found, bad) = places(text, 65027);
        let shown: Vec<_> = found.iter().map(ToString::to_string).collect();
        let expected = [
            "10.0.0.7:65027",
            "web1:65027",
            "web2.example.com:7777",
            "[2001:db8::7]:65027",
            "[2001:db8::7]:7",
        ];
        assert_eq!(shown, expected);
        assert!(bad.is_empty(), "{bad:?}");
    }

    #[test]
    fn a_bad_line_is_named_and_the_others_count() {
        let (found, bad) = places(
            b"udp\nhttp web1\nweb1:0\n10.0.0\n\xff\nweb2\n-x\na b c\n",
            1,
        );
        assert_eq!(found, [Place::Name("web2".to_owned(), 1)]);
        let lines: Vec<_> = bad.iter().map(|bad| bad.line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5, 7, 8]);
    }
}
