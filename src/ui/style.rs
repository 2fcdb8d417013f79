//! Colours by meaning. Not for deciding whether there is a terminal (`output`). Upholds: no escape
//! sequence leaves when it was not asked for.

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Bytes as they are.
    #[default]
    Plain,
    /// With ANSI colours.
    Colour,
}

/// What a piece of text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The title of an entry.
    Heading,
    /// Something new, or success.
    Added,
    /// Something gone.
    Deleted,
    /// Something that changed.
    Modified,
    /// Something else worth seeing: attributes, moves, hunk headers.
    Noted,
    /// Something of little weight.
    Faint,
    /// Something that went wrong.
    Failure,
    /// Something that may be wrong.
    Doubt,
}

impl Style {
    /// `text` as it is shown.
    pub fn paint(self, role: Role, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\x1b[{}m{text}\x1b[0m", role.code()),
        }
    }
}

impl Role {
    /// The parameter of "select graphic rendition" (ECMA-48, 8.3.117).
    const fn code(self) -> &'static str {
        match self {
            Self::Heading => "1",
            Self::Added => "32",
            Self::Deleted => "31",
            Self::Modified => "33",
            Self::Noted => "36",
            Self::Faint => "2",
            Self::Failure => "1;31",
            Self::Doubt => "1;33",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_style_adds_nothing() {
        assert_eq!(Style::Plain.paint(Role::Failure, "x"), "x");
        assert_eq!(
            Style::Colour.paint(Role::Failure, "x"),
            "\x1b[1;31mx\x1b[0m"
        );
    }
}
