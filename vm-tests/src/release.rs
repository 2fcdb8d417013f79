//! The Debian releases that machines run. Not for what is made of them, see `supplies`.

/// A stock Debian, with its kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Debian 12, kernel 6.1: the old mount API has to do, and there is no Landlock scope.
    Bookworm,
    /// Debian 13, kernel 6.12.
    Trixie,
}

impl Release {
    /// The name of its suite.
    pub const fn suite(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }

    /// How `uname -r` begins.
    pub const fn kernel(self) -> &'static str {
        match self {
            Self::Bookworm => "6.1.",
            Self::Trixie => "6.12.",
        }
    }
}
