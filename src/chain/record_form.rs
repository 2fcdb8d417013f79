//! The form of a record, whatever it means: one TOML table in the words of its kind, and in no other
//! text than isconf writes. The reading side of `record_text`. Pure. Upholds: one value has one
//! text, and what a newer isconf wrote is refused by name.

use serde::de::DeserializeOwned;

use super::ChainKind;

/// Why a record cannot be read, before it is asked what it means.
#[derive(Debug, thiserror::Error)]
pub enum FormFault {
    /// Not TOML, or a field is missing or of the wrong type.
    #[error("not a record")]
    Toml(#[source] Box<toml::de::Error>),
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// A field that this version does not know.
    #[error("unknown field `{0}`: written by a newer isconf")]
    UnknownField(String),
    /// It stands alone, and its checksum is missing or wrong.
    #[error("its checksum is missing or wrong")]
    NotSealed,
    /// It says the right things in another form than isconf writes.
    #[error("not in the one form that isconf writes")]
    NotCanonical,
}

/// Reads the one table of a record as a `T`. `unknown` finds a field that this version does not know.
pub fn parse_row<T: DeserializeOwned>(
    kind: ChainKind,
    record: &[u8],
    unknown: impl FnOnce(&toml::Table) -> Option<String>,
) -> Result<T, FormFault> {
    let text = str::from_utf8(record).map_err(|_| FormFault::NotUtf8)?;
    let toml = |e| FormFault::Toml(Box::new(e));
    let mut file: toml::Table = text.parse().map_err(toml)?;
    let Some(toml::Value::Array(rows)) = file.remove(kind.table()) else {
        return Err(FormFault::NotCanonical);
    };
    let Ok([toml::Value::Table(row)]) = <[_; 1]>::try_from(rows) else {
        return Err(FormFault::NotCanonical);
    };
    match unknown(&row) {
        Some(name) => Err(FormFault::UnknownField(name)),
        None => row.try_into().map_err(toml),
    }
}

/// Compares a record with the body that isconf would have written. The lines before and after the
/// body have one form by the chain's own check.
pub fn check_form(record: &[u8], body: &str) -> Result<(), FormFault> {
    let mut lines = record.splitn(4, |b| *b == b'\n');
    let rest = lines.nth(3).unwrap_or_default();
    let seal_line = rest.strip_prefix(body.as_bytes());
    // The seal is one line; anything more between would be content that was not read.
    match seal_line.map(|line| line.iter().filter(|b| **b == b'\n').count()) {
        Some(1) => Ok(()),
        Some(_) | None => Err(FormFault::NotCanonical),
    }
}
