//! Names of domains, branches, hosts and people, checked once. Not for reading them from files.
//! Upholds: no path is ever built from unchecked bytes.

use std::fmt;
use std::str::FromStr;

use super::stored_text::stored_as_text;

/// The longest domain or branch name, in bytes; a name is one component of a path.
pub const MAX_NAME_BYTES: usize = 128;

/// The longest host name, in bytes (RFC 1035, section 2.3.4).
pub const MAX_HOST_BYTES: usize = 253;

/// The longest user name, in bytes; `LOGIN_NAME_MAX` of Linux.
pub const MAX_USER_BYTES: usize = 256;

/// Text that is not a name of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Does not match `\w+[-\w\.]+` (ASCII), or is too long.
    #[error(
        "not a {what} name (2 to {MAX_NAME_BYTES} of A-Z a-z 0-9 _ . -, not starting with . or -): {found:?}"
    )]
    Component {
        /// `domain` or `branch`.
        what: &'static str,
        /// The text, shortened.
        found: String,
    },
    /// Not a host name.
    #[error(
        "not a host name (1 to {MAX_HOST_BYTES} of A-Z a-z 0-9 _ . -, not starting with . or -): {0:?}"
    )]
    Host(String),
    /// Not `user@host`.
    #[error("not an author (user@host, without spaces, colons and control characters): {0:?}")]
    Author(String),
}

/// The start of `text`, for an error message.
fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Whether `byte` is `\w` in ASCII.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether all bytes may stand in a name, and the first is neither `.` nor `-`.
fn is_component(text: &str) -> bool {
    text.bytes().all(|b| is_word(b) || matches!(b, b'-' | b'.'))
        && text.bytes().next().is_some_and(is_word)
}

/// Defines a checked name with the usual conversions.
macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Checks `text`.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                let check: fn(&str) -> Result<(), InvalidName> = $check;
                check(&text)?;
                Ok(Self(text))
            }

            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        stored_as_text!($name);
    };
}

/// Checks a domain's or branch's name.
fn check_component(what: &'static str, text: &str) -> Result<(), InvalidName> {
    if (2..=MAX_NAME_BYTES).contains(&text.len()) && is_component(text) {
        Ok(())
    } else {
        let found = shortened(text);
        Err(InvalidName::Component { what, found })
    }
}

/// Checks a host's name.
fn check_host(text: &str) -> Result<(), InvalidName> {
    if text.len() <= MAX_HOST_BYTES && is_component(text) {
        Ok(())
    } else {
        Err(InvalidName::Host(shortened(text)))
    }
}

/// Checks `user@host`; the last `@` divides, since a user's name may hold one.
fn check_author(text: &str) -> Result<(), InvalidName> {
    let is_user = |user: &str| {
        (1..=MAX_USER_BYTES).contains(&user.len())
            && user
                .chars()
                .all(|c| c != ':' && !c.is_whitespace() && !c.is_control())
    };
    match text.rsplit_once('@') {
        Some((user, host)) if is_user(user) && check_host(host).is_ok() => Ok(()),
        Some(_) | None => Err(InvalidName::Author(shortened(text))),
    }
}

checked_name! {
    /// A domain: hosts that share cache, journals and keys. Matches `\w+[-\w\.]+`.
    DomainName, |text| check_component("domain", text)
}
checked_name! {
    /// A branch: a host model. Matches `\w+[-\w\.]+`.
    BranchName, |text| check_component("branch", text)
}
checked_name! {
    /// A host.
    HostName, check_host
}
checked_name! {
    /// Who made an entry or holds the lock: `user@host`.
    Author, check_author
}

impl BranchName {
    /// The branch of a host that was never told one.
    pub fn generic() -> Self {
        Self("generic".to_owned())
    }
}

impl Author {
    /// Joins a user's name and a host.
    pub fn of(user: &str, host: &HostName) -> Result<Self, InvalidName> {
        Self::new(format!("{user}@{host}"))
    }

    /// The part after the last `@`.
    pub fn host(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, host)| host)
    }

    /// The part before the last `@`.
    pub fn user(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(user, _)| user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_name_is_what_the_pattern_says() {
        for good in ["ab", "example.com", "web-01", "_x", "a..", "generic"] {
            assert!(BranchName::new(good).is_ok(), "{good}");
        }
        let long = "a".repeat(129);
        for bad in [
            "", "a", ".", "..", ".a", "-a", "a/b", "a b", "é1", "ab\n", "a\0", &long,
        ] {
            assert!(DomainName::new(bad).is_err(), "{bad:?}");
        }
        assert!(BranchName::new("a".repeat(128)).is_ok());
    }

    #[test]
    fn an_author_is_divided_at_the_last_at() {
        let author = Author::new("a@realm@h1.example.com").unwrap();
        assert_eq!(
            (author.user(), author.host()),
            ("a@realm", "h1.example.com")
        );
        for bad in ["", "a", "@h", "a@", "a b@h", "a:b@h", "a@h h", "a\n@h"] {
            assert!(Author::new(bad).is_err(), "{bad:?}");
        }
    }
}
