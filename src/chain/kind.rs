//! The kinds of chains and how they differ. Plain facts.

/// A kind of chained file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChainKind {
    /// A branch's entries. What is acknowledged is said by a head file; each record is sealed by
    /// the host's signature.
    Journal,
    /// A host's receipts. No head file: an image of the host legitimately has a shorter history,
    /// and one write and one sync a receipt are enough. A checksum seals each record, so that a
    /// torn one is told from a changed one.
    History,
    /// Drafts that are not checked in. With a head file; sealed by a checksum.
    Wip,
}

impl ChainKind {
    /// The format's version; other versions are refused.
    pub const VERSION: u32 = 1;

    /// The kind's name in the header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::History => "history",
            Self::Wip => "wip",
        }
    }

    /// The TOML table of a record.
    pub const fn table(self) -> &'static str {
        match self {
            Self::Journal => "entry",
            Self::History => "receipt",
            Self::Wip => "draft",
        }
    }

    /// The fields of the header, in order. A child branch's journal is a byte copy of its parent's,
    /// and so a journal is bound to its domain only.
    pub const fn header_fields(self) -> &'static [&'static str] {
        match self {
            Self::Journal | Self::History => &["domain"],
            Self::Wip => &["domain", "branch", "base_seq", "base_id"],
        }
    }

    /// Whether a head file says how much of the file is acknowledged.
    pub const fn has_head(self) -> bool {
        match self {
            Self::Journal | Self::Wip => true,
            Self::History => false,
        }
    }

    /// The key of the seal, which is a record's last line.
    pub const fn seal_key(self) -> &'static str {
        match self {
            Self::Journal => "sig",
            Self::History | Self::Wip => "check",
        }
    }

    /// The number of hexadecimal digits of the seal: an Ed25519 signature or a SHA-256.
    pub const fn seal_digits(self) -> usize {
        match self {
            Self::Journal => 128,
            Self::History | Self::Wip => 64,
        }
    }

    /// The names of the crash points of an append: before anything, after the write, after its
    /// sync, after the head.
    pub const fn crash_points(self) -> [&'static str; 4] {
        match self {
            Self::Journal => [
                "journal-append-begin",
                "journal-append-written",
                "journal-append-synced",
                "journal-append-acknowledged",
            ],
            Self::History => [
                "history-append-begin",
                "history-append-written",
                "history-append-synced",
                "history-append-acknowledged",
            ],
            Self::Wip => [
                "wip-append-begin",
                "wip-append-written",
                "wip-append-synced",
                "wip-append-acknowledged",
            ],
        }
    }
}
