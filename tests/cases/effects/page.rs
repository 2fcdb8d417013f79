//! The page about effects: each row of its table has a test.

/// The page's rows that name tests, and the sources that have those.
const PAGE: &str = include_str!("../../../docs/effects.md");

#[test]
fn each_row_of_the_page_names_a_test_that_exists() {
    let sources = sources();
    let mut count = 0;
    for row in rows("effects").chain(rows("limits")) {
        let tests = row.trim_end_matches([' ', '|']).rsplit('|').next();
        let names: Vec<&str> = tests
            .unwrap_or_default()
            .split('`')
            .skip(1)
            .step_by(2)
            .collect();
        assert!(!names.is_empty(), "no test in {row}");
        for name in names {
            let function = format!("\nfn {name}() {{");
            assert!(sources.contains(&function), "no test {name}, of {row}");
            count += 1;
        }
    }
    assert!(count > 30, "{count} tests are named");
}

/// The rows of a table of the page.
fn rows(name: &str) -> impl Iterator<Item = &'static str> {
    let marks = [
        format!("<!-- {name} -->\n"),
        format!("<!-- end of {name} -->"),
    ];
    let (_, rest) = PAGE.split_once(&marks[0]).expect("a table");
    let (table, _) = rest.split_once(&marks[1]).expect("its end");
    table.lines().filter(|line| line.starts_with('|')).skip(2)
}

/// The text of all cases.
fn sources() -> String {
    let cases = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");
    let mut text = String::new();
    let mut folders = vec![std::path::PathBuf::from(cases)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the cases are there") {
            let path = entry.expect("a directory can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                text += &std::fs::read_to_string(path).expect("a source is text");
            }
        }
    }
    text
}
