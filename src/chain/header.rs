//! The first lines of a chain: its kind, version and what it is bound to. Upholds: unknown versions
//! are refused; chains of another domain cannot be swapped in, since the header is the genesis.

use isconf_sandbox::change::Digest;

use super::ChainKind;

/// The longest header, in bytes; its fields are names and digests.
pub(super) const MAX_HEADER_BYTES: usize = 4096;

/// The header of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    kind: ChainKind,
    values: Vec<String>,
}

/// Why bytes are not the wanted header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeaderFault {
    /// The line, from 1.
    pub line: u64,
    /// What should stand there.
    pub expected: String,
    /// What stands there, shortened.
    pub found: String,
}

impl Header {
    /// Makes a header; `values` belong to [`ChainKind::header_fields`], in that order. They are
    /// checked names or digests, and so have no line ends.
    pub fn new<const N: usize>(kind: ChainKind, values: [String; N]) -> Self {
        debug_assert_eq!(kind.header_fields().len(), N, "one value for each field");
        let values = values.into();
        Self { kind, values }
    }

    /// The kind of the chain.
    pub fn kind(&self) -> ChainKind {
        self.kind
    }

    /// The value of the field `name`; empty when this kind has no such field.
    pub fn value(&self, name: &str) -> &str {
        let fields = self.kind.header_fields().iter();
        let position = fields.clone().position(|field| *field == name);
        position
            .and_then(|i| self.values.get(i))
            .map_or("", String::as_str)
    }

    /// The bytes as in the file.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\n", first_line(self.kind));
        for (name, value) in self.kind.header_fields().iter().zip(&self.values) {
            text.push_str(&format!("# {name} {value}\n"));
        }
        text
    }

    /// The digest that stands for the record before the first.
    pub fn genesis(&self) -> Digest {
        Digest::of(self.to_text().as_bytes())
    }

    /// Reads a header from the start of a file.
    pub(super) fn parse(kind: ChainKind, bytes: &[u8]) -> Result<Self, HeaderFault> {
        let mut lines = bytes.split_inclusive(|b| *b == b'\n');
        let mut number = 0;
        let mut next = |expected: String| {
            number += 1;
            let line = lines.next().unwrap_or_default();
            let fault = HeaderFault {
                line: number,
                expected,
                found: String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned(),
            };
            let text = line
                .strip_suffix(b"\n")
                .and_then(|l| str::from_utf8(l).ok());
            match text {
                Some(text) => Ok((text, fault)),
                None => Err(fault),
            }
        };
        let (line, fault) = next(first_line(kind))?;
        if line != fault.expected {
            return Err(fault);
        }
        let mut values = Vec::new();
        for name in kind.header_fields() {
            let (line, fault) = next(format!("# {name} ..."))?;
            match line.strip_prefix(&format!("# {name} ")) {
                Some(value) if !value.is_empty() => values.push(value.to_owned()),
                Some(_) | None => return Err(fault),
            }
        }
        Ok(Self { kind, values })
    }
}

impl HeaderFault {
    /// The version that the first line names, where it is the right line but for that.
    pub(super) fn version(&self, kind: ChainKind) -> Option<u32> {
        let start = format!("# isconf {} ", kind.name());
        let version = self.found.strip_prefix(&start)?.strip_suffix('\n')?;
        version.parse().ok().filter(|_| self.line == 1)
    }
}

/// The line that names kind and version.
fn first_line(kind: ChainKind) -> String {
    format!("# isconf {} {}", kind.name(), ChainKind::VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_and_another_version_is_refused() {
        let header = Header::new(ChainKind::Journal, ["example.com".to_owned()]);
        let text = header.to_text();
        assert_eq!(text, "# isconf journal 1\n# domain example.com\n");
        assert_eq!(
            Header::parse(ChainKind::Journal, text.as_bytes()).unwrap(),
            header
        );
        assert_eq!(header.value("domain"), "example.com");
        assert_eq!(header.value("branch"), "");

        let newer = text.replace("journal 1", "journal 2");
        let fault = Header::parse(ChainKind::Journal, newer.as_bytes()).unwrap_err();
        assert_eq!(
            (fault.line, fault.found.as_str()),
            (1, "# isconf journal 2\n")
        );
        assert_eq!(fault.version(ChainKind::Journal), Some(2));
        assert_eq!(fault.version(ChainKind::Wip), None);
        let fault = Header::parse(ChainKind::Journal, b"# isconf journal 1\n").unwrap_err();
        assert_eq!(fault.line, 2);
        assert!(Header::parse(ChainKind::History, text.as_bytes()).is_err());
    }
}
