//! Kept scratchpads for programs, as `docs/host.schema.json` describes. Not for what is in one
//! (`report_json`). Upholds: output for programs is versioned and has a schema.

use serde::Serialize;

use super::report_json::{JSON_VERSION, line};

/// The names of the kept scratchpads, each with its command, as one line of JSON.
pub fn kept_json(kept: &[(String, String)]) -> Result<String, serde_json::Error> {
    let rows = kept.iter().map(|(name, command)| RowJson { name, command });
    line(&KeptJson {
        version: JSON_VERSION,
        kind: "kept",
        kept: rows.collect(),
    })
}

#[derive(Serialize)]
struct KeptJson<'a> {
    version: u32,
    kind: &'static str,
    kept: Vec<RowJson<'a>>,
}

#[derive(Serialize)]
struct RowJson<'a> {
    name: &'a str,
    command: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::schema::assert_valid;

    #[test]
    fn kept_scratchpads_are_as_the_schema_says() {
        let row = |name: &str, command: &str| (name.to_owned(), command.to_owned());
        for rows in [vec![], vec![row("a", "sh -c 'echo \"x\"'"), row("b", "")]] {
            assert_valid("host.schema.json", &kept_json(&rows).unwrap());
        }
    }
}
