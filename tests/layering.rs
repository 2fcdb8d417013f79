//! Checks the borders between the parts: every use of another part in `src/` must be permitted by
//! the table in `docs/architecture.md`. Reads source text, so it sees what the compiler permits and
//! the design does not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::papers::{repository, sources};

/// Which part may use which.
type Table = BTreeMap<String, BTreeSet<String>>;

/// Reads the rows of the table whose header is `| part | may use |`.
fn table(text: &str) -> Table {
    let quoted = |cell: &str| -> BTreeSet<String> {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    text.lines()
        .skip_while(|line| *line != "| part | may use |")
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .filter_map(|line| {
            let mut cells = line.trim_matches('|').split('|');
            let part = quoted(cells.next()?).into_iter().next()?;
            Some((part, quoted(cells.next()?)))
        })
        .collect()
}

/// Returns the part a file of `src/` belongs to, and how deep its module is (1: the part itself).
fn place(file: &Path) -> Option<(String, usize)> {
    let inside = file.strip_prefix(repository().join("src")).ok()?;
    let names: Vec<_> = inside.iter().map(|name| name.to_string_lossy()).collect();
    let part = names.first()?.trim_end_matches(".rs").to_owned();
    let module_file = names.last()? == "mod.rs";
    let root = names.len() == 1 && (part == "lib" || part == "main");
    (!root).then_some((part, names.len() - usize::from(module_file)))
}

/// Tells whether a file holds nothing but unit tests; those may set their scene with any part.
fn is_test(file: &Path) -> bool {
    let names = file.iter().map(|name| name.to_string_lossy());
    names
        .map(|name| name.trim_end_matches(".rs").to_owned())
        .any(|name| name == "tests" || name.ends_with("_tests"))
}

/// Returns the text up to the unit tests at the end of a file.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(text)
}

/// Returns the code of a line, without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or(line)
}

/// Lists the parts that a text uses, with line numbers; `parts` are the known ones.
fn uses(text: &str, depth: usize, parts: &Table) -> Vec<(usize, String)> {
    let climb = "super::".repeat(depth);
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = code(line);
        let mut note = |name: &str| found.push((number + 1, name.to_owned()));
        if line.contains("isconf_sandbox") {
            note("sandbox");
        }
        for start in ["crate::", climb.as_str()] {
            for (at, _) in line.match_indices(start) {
                let rest = &line[at + start.len()..];
                // A group of several parts is written on the lines that follow, which name no
                // crate; it is refused so that none escapes.
                if start == "crate::" && rest.starts_with('{') {
                    note("a group of parts");
                }
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
                let name = &rest[..end.unwrap_or(rest.len())];
                if parts.contains_key(name) {
                    note(name);
                }
            }
        }
    }
    found
}

#[test]
fn parts_use_only_what_the_table_permits() {
    let papers = repository().join("docs/architecture.md");
    let table = table(&fs::read_to_string(papers).unwrap());
    assert!(
        table.contains_key("model"),
        "no table in docs/architecture.md"
    );
    let mut broken = Vec::new();
    let mut unused = table.clone();
    for file in sources("src") {
        let inside = file.strip_prefix(repository()).unwrap();
        let Some((part, depth)) = place(&file).filter(|_| !is_test(inside)) else {
            continue;
        };
        let Some(permitted) = table.get(&part) else {
            broken.push(format!("{}: {part} is not in the table", file.display()));
            continue;
        };
        let text = fs::read_to_string(&file).unwrap();
        for (line, used) in uses(without_tests(&text), depth, &table) {
            if let Some(rest) = unused.get_mut(&part) {
                rest.remove(&used);
            }
            if used != part && !permitted.contains(&used) {
                broken.push(format!(
                    "{}:{line}: {part} may not use {used}",
                    file.display()
                ));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "docs/architecture.md does not permit:\n{}",
        broken.join("\n")
    );
    unused.retain(|_, rest| !rest.is_empty());
    assert!(
        unused.is_empty(),
        "docs/architecture.md permits what nobody does: {unused:?}"
    );
}

#[test]
fn the_sandbox_does_not_know_isconf() {
    let manifest = fs::read_to_string(repository().join("sandbox/Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let crates = manifest.get(section).and_then(toml::Value::as_table);
        assert!(
            crates.is_none_or(|crates| !crates.contains_key("isconf")),
            "in {section}"
        );
    }
}

#[test]
fn a_use_is_found_in_every_form_it_can_have() {
    let parts = table("| part | may use |\n|---|---|\n| `a` | `b` |\n| `b` | |\n\nend");
    assert_eq!(parts["a"], BTreeSet::from(["b".to_owned()]));
    let text = "use crate::b::X;\n// crate::b\nlet x = crate::b::f();\nuse super::super::b;\n\
                use isconf_sandbox::change;\nuse crate::{a, b};\nuse super::x;";
    let found = uses(text, 2, &parts);
    let expected = [
        (1, "b"),
        (3, "b"),
        (4, "b"),
        (5, "sandbox"),
        (6, "a group of parts"),
    ];
    assert_eq!(found, expected.map(|(line, name)| (line, name.to_owned())));
    let file: PathBuf = repository().join("src/a/mod.rs");
    assert_eq!(place(&file), Some(("a".to_owned(), 1)));
}
