//! Writes the body of a record: TOML with one form for each value. Not for reading it (the `toml`
//! crate does). Upholds: a record's digest depends on its values alone, and no value can look like
//! the start of another record, since every value is on one line.

use std::fmt::{Display, Write as _};

/// The body of a record while it is written, line by line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordText(String);

impl RecordText {
    /// An empty body.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes `key = "value"`.
    pub fn string(&mut self, key: &str, value: &(impl Display + ?Sized)) -> &mut Self {
        self.line(key, &quoted(value))
    }

    /// Writes `key = value` for a number or a truth value.
    pub fn plain(&mut self, key: &str, value: impl Into<Plain>) -> &mut Self {
        match value.into() {
            Plain::Number(number) => self.line(key, &number.to_string()),
            Plain::Truth(truth) => self.line(key, &truth.to_string()),
        }
    }

    /// Writes `key = ["a", "b"]`.
    pub fn strings<T: Display>(
        &mut self,
        key: &str,
        values: impl IntoIterator<Item = T>,
    ) -> &mut Self {
        let items = values.into_iter().map(|value| quoted(&value));
        self.line(key, &list(items))
    }

    /// Writes `key = [["a", "b"], ["c", "d"]]`.
    pub fn pairs<'a, T: Display + 'a>(
        &mut self,
        key: &str,
        values: impl IntoIterator<Item = &'a (T, T)>,
    ) -> &mut Self {
        let pair = |(a, b): &'a (T, T)| list([quoted(a), quoted(b)].into_iter());
        let items = values.into_iter().map(pair);
        self.line(key, &list(items))
    }

    /// Writes `key = [{ a = "1", b = 2 }, ...]`; each item is made by [`inline`](Self::inline).
    pub fn tables(&mut self, key: &str, items: impl IntoIterator<Item = Self>) -> &mut Self {
        let inline = |item: Self| format!("{{ {} }}", item.0.trim_end().replace('\n', ", "));
        self.line(key, &list(items.into_iter().map(inline)))
    }

    /// Begins the part `[table.name]`.
    pub fn section(&mut self, table: &str, name: &str) -> &mut Self {
        self.0.push_str(&format!("\n[{table}.{name}]\n"));
        self
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Writes one line.
    fn line(&mut self, key: &str, value: &str) -> &mut Self {
        self.0.push_str(key);
        self.0.push_str(" = ");
        self.0.push_str(value);
        self.0.push('\n');
        self
    }
}

/// A value that needs no quotes.
#[derive(Debug, Clone, Copy)]
pub enum Plain {
    /// A number; TOML's integers are signed 64 bit.
    Number(i64),
    /// `true` or `false`.
    Truth(bool),
}

impl From<i64> for Plain {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u64> for Plain {
    /// Numbers past TOML's range are written as the largest it has: no count of ours gets there.
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Plain {
    fn from(truth: bool) -> Self {
        Self::Truth(truth)
    }
}

/// Joins items as a TOML array on one line.
fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// A TOML basic string: quotes, backslashes and all control characters escaped, so that it is
/// always one line (TOML 1.0, "String").
fn quoted(value: &(impl Display + ?Sized)) -> String {
    let value = value.to_string();
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            c if c.is_control() => {
                // Writing to a string cannot fail.
                let _infallible = write!(text, "\\u{:04X}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_shape_is_one_line_of_toml() {
        let mut item = RecordText::new();
        item.string("kind", "mount").plain("count", 2_u64);
        let mut text = RecordText::new();
        text.string("a", "x\n[[entry]]\n\"\\")
            .plain("b", 7_u64)
            .strings("c", ["", "%"])
            .pairs("d", &[("k", "v")])
            .tables("e", [item])
            .section("entry", "f")
            .plain("g", true);
        let expected = concat!(
            "a = \"x\\n[[entry]]\\n\\\"\\\\\"\n",
            "b = 7\n",
            "c = [\"\", \"%\"]\n",
            "d = [[\"k\", \"v\"]]\n",
            "e = [{ kind = \"mount\", count = 2 }]\n",
            "\n[entry.f]\n",
            "g = true\n",
        );
        assert_eq!(text.as_str(), expected);
    }

    proptest! {
        #[test]
        fn any_string_is_read_back_by_toml(value in "\\PC*|.*|[\\x00-\\xff\\n\\r]*") {
            let mut text = RecordText::new();
            text.string("v", &value);
            prop_assert_eq!(text.as_str().lines().count(), 1);
            let table: toml::Table = text.as_str().parse().unwrap();
            prop_assert_eq!(table["v"].as_str().unwrap(), value);
        }
    }
}
