//! The head file: how much of a chain is acknowledged. Upholds: bytes of a crashed append are never
//! taken for records, and a shortened chain is noticed.

use isconf_sandbox::change::Digest;

/// The longest head file, in bytes.
pub(super) const MAX_HEAD_BYTES: u64 = 512;

/// The end of the acknowledged part of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head {
    /// The last record's sequence number; 0 for none.
    pub seq: u64,
    /// The last record's digest; the genesis for none.
    pub id: Digest,
    /// The length of header and records, in bytes.
    pub length: u64,
}

impl Head {
    /// The bytes as in the file.
    pub fn to_text(&self) -> String {
        let Self { seq, id, length } = self;
        format!("# isconf head 1\nseq = {seq}\nid = \"{id}\"\nlength = {length}\n")
    }

    /// Reads a head file; anything but the exact text that some head has is refused.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok()?;
        let rest = text.strip_prefix("# isconf head 1\nseq = ")?;
        let (seq, rest) = rest.split_once("\nid = \"")?;
        let (id, rest) = rest.split_once("\"\nlength = ")?;
        let head = Self {
            seq: seq.parse().ok()?,
            id: id.parse().ok()?,
            length: rest.strip_suffix('\n')?.parse().ok()?,
        };
        (head.to_text() == text).then_some(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_changed_bit_is_refused_or_gives_another_head() {
        let head = Head {
            seq: 12,
            id: Digest::of(b"x"),
            length: 4711,
        };
        let text = head.to_text();
        assert_eq!(Head::parse(text.as_bytes()), Some(head));
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(Head::parse(&bytes), Some(head), "bit {bit}");
        }
        assert_eq!(Head::parse(text.trim_end().as_bytes()), None);
        assert_eq!(Head::parse(text.replace("12", "+12").as_bytes()), None);
    }
}
