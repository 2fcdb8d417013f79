//! Who said what a setting is. Upholds: the origin of each value can be asked for.

use std::fmt;
use std::path::PathBuf;

/// Where a value comes from, weakest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The system told it (the host's name).
    System,
    /// The variable of that name in the caller's environment.
    Environment,
    /// A line of main.cf.
    MainCf {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The target of the stanza, as written.
        target: String,
    },
    /// A file that holds nothing but this value.
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::System => f.write_str("system"),
            Self::Environment => f.write_str("environment"),
            Self::MainCf { file, line, target } => {
                write!(f, "{}:{line} ({target})", file.display())
            }
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

/// A value and its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Who said so.
    pub origin: Origin,
}
