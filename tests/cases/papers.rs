//! Checks that the papers and the tree agree: dependencies, commands of the README, links, heads of
//! files, names of modules.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::support::PROGRAM;
use crate::support::papers::{files, repository, sources};

/// Names of drawers for leftovers.
const DRAWERS: [&str; 8] = [
    "util", "utils", "common", "misc", "helper", "helpers", "shared", "prelude",
];

/// The longest a file of the two crates may be; files of tests are free.
const MAX_LINES: usize = 500;

/// Where sources are.
const FOLDERS: [&str; 4] = ["src", "sandbox", "tests", "vm-tests"];

fn read(name: &str) -> String {
    fs::read_to_string(repository().join(name)).unwrap()
}

#[test]
fn every_file_starts_with_what_it_is_for() {
    for file in FOLDERS.into_iter().flat_map(sources) {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//! "), "{} has no head", file.display());
    }
}

#[test]
fn no_module_is_a_drawer_for_leftovers() {
    for file in FOLDERS.into_iter().flat_map(sources) {
        let inside = file.strip_prefix(repository()).unwrap();
        for name in inside.iter().map(|name| name.to_string_lossy()) {
            let name = name.trim_end_matches(".rs");
            assert!(
                !DRAWERS.contains(&name) && name != "types",
                "{}",
                inside.display()
            );
        }
    }
}

#[test]
fn no_file_of_the_crates_is_longer_than_the_conventions_allow() {
    let long: Vec<String> = ["src", "sandbox", "vm-tests"]
        .into_iter()
        .flat_map(sources)
        .filter(|file| {
            !file
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .ends_with("tests")
        })
        .map(|file| (fs::read_to_string(&file).unwrap().lines().count(), file))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .map(|(lines, file)| format!("{}: {lines} lines", file.display()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn the_list_of_dependencies_is_the_one_of_the_manifests() {
    let mut direct = BTreeSet::new();
    for manifest in [
        "Cargo.toml",
        "sandbox/Cargo.toml",
        "tests/fuzz/Cargo.toml",
        "tests/recorded-disk/Cargo.toml",
        "vm-tests/Cargo.toml",
    ] {
        let manifest: toml::Table = read(manifest).parse().unwrap();
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let crates = manifest.get(section).and_then(toml::Value::as_table);
            direct.extend(crates.into_iter().flat_map(|crates| crates.keys().cloned()));
        }
    }
    let listed: BTreeSet<String> = read("docs/design/dependencies.md")
        .lines()
        .filter_map(|line| {
            line.strip_prefix("| `")?
                .split('`')
                .next()
                .map(str::to_owned)
        })
        .collect();
    let difference: Vec<_> = direct.symmetric_difference(&listed).collect();
    assert!(
        difference.is_empty(),
        "in the manifests or in the list, but not both: {difference:?}"
    );
}

/// Cuts a row of a table into its cells.
fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

#[test]
fn every_acceptance_case_has_a_test_that_exists_or_a_reason() {
    let tests: BTreeSet<String> = ["src", "sandbox", "tests"]
        .into_iter()
        .flat_map(sources)
        .flat_map(|file| {
            let text = fs::read_to_string(&file).unwrap();
            let names = text.lines().filter_map(|line| {
                let name = line.trim_start().strip_prefix("fn ")?;
                Some(name.split('(').next()?.to_owned())
            });
            names.collect::<Vec<_>>()
        })
        .collect();
    let paper = read("docs/acceptance.md");
    let rows: Vec<_> = paper
        .lines()
        .skip_while(|line| !line.starts_with("| case |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(cells)
        .collect();
    let numbers: Vec<String> = rows.iter().map(|row| row[0].to_owned()).collect();
    let expected: Vec<String> = (1..=60).map(|number| number.to_string()).collect();
    assert_eq!(numbers, expected, "the cases of docs/acceptance.md");
    for row in rows {
        let named: Vec<_> = row[2].split('`').skip(1).step_by(2).collect();
        assert!(
            !named.is_empty() || !row[3].is_empty(),
            "case {} has neither test nor reason",
            row[0]
        );
        for name in named {
            assert!(tests.contains(name), "case {}: no test {name}", row[0]);
        }
    }
    let written = tests.iter().filter(|name| name.starts_with("case_"));
    for name in written {
        let has_row = paper.contains(&format!("`{name}`"));
        assert!(has_row, "docs/acceptance.md does not name {name}");
    }
}

#[test]
fn links_in_the_papers_lead_somewhere() {
    let papers = files("docs", "md")
        .into_iter()
        .chain([repository().join("README.md")]);
    for paper in papers {
        let text = fs::read_to_string(&paper).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = link.split('#').next().unwrap_or(link);
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let target = paper.parent().unwrap().join(file);
            assert!(target.exists(), "{}: {link}", paper.display());
        }
    }
}

/// Lists the lines of the README's blocks of shell, without comments.
fn readme_commands() -> Vec<String> {
    let text = read("README.md");
    let blocks = text
        .split("```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    blocks
        .flat_map(str::lines)
        .map(|line| line.split(" # ").next().unwrap_or(line).trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

#[test]
fn the_pipeline_runs_the_test_command_of_the_readme() {
    let commands = readme_commands();
    let test = commands
        .iter()
        .find(|line| line.starts_with("cargo test"))
        .unwrap();
    let pipeline = read(".ci/run");
    assert!(
        pipeline.lines().any(|line| line == test),
        ".ci/run does not run {test}"
    );
}

#[test]
fn every_verb_of_the_readme_exists() {
    let output = Command::new(PROGRAM).arg("--help").output().unwrap();
    let usage = [output.stdout, output.stderr].concat();
    let usage = String::from_utf8_lossy(&usage);
    let words: BTreeSet<&str> = usage
        .split(|c: char| !(c.is_alphanumeric() || c == '-'))
        .collect();
    let typed = readme_commands().into_iter().filter_map(|line| {
        line.strip_prefix("isconf ")?
            .split(' ')
            .next()
            .map(str::to_owned)
    });
    let readme = read("README.md");
    let table = readme
        .lines()
        .skip_while(|line| *line != "| verb | what it does |")
        .skip(2);
    let listed = table
        .take_while(|line| line.starts_with('|'))
        .filter_map(|line| line.split('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned));
    for verb in typed.chain(listed) {
        assert!(
            words.contains(verb.as_str()),
            "isconf has no verb {verb}:\n{usage}"
        );
    }
}
