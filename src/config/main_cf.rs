//! main.cf as a value: its stanzas, and which of them speak for a host. Not for reading lines (see
//! `main_cf_parse`). Upholds: the first target that matches is the only one used, `DEFAULT` is
//! always used, and what stands later wins (manual of ISconf 4, CONFIGURATION).
//!
//! An include means the section as it stands above that line, as in the original, so includes
//! cannot form a cycle. Each section is therefore a chain of versions:
//!
//! ```text
//! I1:  v = a     version 0 = block 0
//! a: I1          version 1 = block 1 + version 0
//! I1:  w = b     version 2 = block 2, before it version 0
//! ```
//!
//! A host's variables are found by walking these backwards, where the first value seen wins and
//! each block is visited once: the time is linear in the file, however deep the includes nest.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use crate::durable::{self, FileError};

use super::main_cf_parse::{Fault, MAX_MAIN_CF_BYTES, parse};
use super::target::{HostNames, Target};

/// The section that every host gets, and that must come first.
pub(super) const DEFAULT_SECTION: &str = "DEFAULT";

/// A whole main.cf.
#[derive(Debug, Clone, Default)]
pub struct MainCf {
    pub(super) blocks: Vec<Block>,
    versions: Vec<Version>,
    latest: HashMap<String, usize>,
}

/// One stanza as written.
#[derive(Debug, Clone)]
pub(super) struct Block {
    /// The names before the colon; at least one.
    pub(super) targets: Vec<Target>,
    /// The names after the colon, each with the version it means.
    pub(super) includes: Vec<(String, usize)>,
    /// The lines below it.
    pub(super) body: Vec<BodyLine>,
}

/// One `name = value` line.
#[derive(Debug, Clone)]
pub(super) struct BodyLine {
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) value: String,
}

/// A section as it stands after one of the blocks that define it.
#[derive(Debug, Clone, Copy)]
struct Version {
    block: usize,
    previous: Option<usize>,
}

/// A variable that main.cf sets for a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The value, verbatim, without white space around it.
    pub value: String,
    /// The line, from 1.
    pub line: usize,
    /// The targets of its stanza, as written.
    pub target: String,
}

/// A main.cf that cannot be used; nothing of it is.
#[derive(Debug, thiserror::Error)]
pub enum MainCfError {
    /// It could not be read, or is longer than [`MAX_MAIN_CF_BYTES`].
    #[error(transparent)]
    Read(#[from] FileError),
    /// It breaks the grammar; every line that does is listed.
    #[error("{}", listed(path, faults))]
    Faults {
        /// The file.
        path: PathBuf,
        /// What is wrong, in the order of lines; at least one.
        faults: Vec<Fault>,
    },
}

/// One line a fault: `FILE:LINE: what`.
fn listed(path: &Path, faults: &[Fault]) -> String {
    let line = |f: &Fault| format!("{}:{}: {}", path.display(), f.line, f.kind);
    faults.iter().map(line).collect::<Vec<_>>().join("\n")
}

impl MainCf {
    /// Reads the file; `None` when it does not exist.
    pub fn read(path: &Path) -> Result<Option<Self>, MainCfError> {
        let Some(bytes) = durable::read_small(path, MAX_MAIN_CF_BYTES)? else {
            return Ok(None);
        };
        match parse(&bytes) {
            Ok(main_cf) => Ok(Some(main_cf)),
            Err(faults) => Err(MainCfError::Faults {
                path: path.to_owned(),
                faults,
            }),
        }
    }

    /// Parses the bytes of a main.cf; gives every fault, not only the first.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<Fault>> {
        parse(bytes)
    }

    /// The version of `section` that an include at the end of what was read so far means.
    pub(super) fn latest(&self, section: &str) -> Option<usize> {
        self.latest.get(section).copied()
    }

    /// Adds a stanza after the others.
    pub(super) fn push(&mut self, block: Block) {
        let index = self.blocks.len();
        for target in &block.targets {
            let previous = self.latest(target.as_str());
            let name = target.as_str().to_owned();
            self.latest.insert(name, self.versions.len());
            self.versions.push(Version {
                block: index,
                previous,
            });
        }
        self.blocks.push(block);
    }

    /// The target that speaks for the host: the first of the file that matches.
    pub fn target_of(&self, host: &HostNames) -> Option<&Target> {
        let targets = self.blocks.iter().flat_map(|b| &b.targets);
        targets
            .filter(|t| t.as_str() != DEFAULT_SECTION)
            .find(|t| t.matches(host))
    }

    /// The variables of the host by name: those of `DEFAULT` and of the target that speaks for it.
    pub fn variables_of(&self, host: &HostNames) -> BTreeMap<String, Variable> {
        let mut walk = Walk::over(self);
        let own = self.target_of(host).map(Target::as_str);
        for section in own.into_iter().chain([DEFAULT_SECTION]) {
            if let Some(version) = self.latest(section) {
                walk.collect(version);
            }
        }
        walk.found
    }

    /// Every variable that any stanza sets, as line and name, in the order of the file.
    pub fn all_names(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.blocks.iter().flat_map(|b| &b.body);
        lines.map(|l| (l.line, l.name.as_str()))
    }
}

/// What is still to be visited, latest first.
enum Step {
    Version(usize),
    Block(usize),
}

/// The backwards walk of the module's head.
struct Walk<'a> {
    main_cf: &'a MainCf,
    versions_seen: Vec<bool>,
    blocks_seen: Vec<bool>,
    found: BTreeMap<String, Variable>,
}

impl<'a> Walk<'a> {
    fn over(main_cf: &'a MainCf) -> Self {
        Self {
            main_cf,
            versions_seen: vec![false; main_cf.versions.len()],
            blocks_seen: vec![false; main_cf.blocks.len()],
            found: BTreeMap::new(),
        }
    }

    /// Adds what `version` sets and nothing found before did. A list of steps and no recursion, as
    /// the depth is the file's choice.
    fn collect(&mut self, version: usize) {
        let mut steps = vec![Step::Version(version)];
        while let Some(step) = steps.pop() {
            match step {
                Step::Version(v) => {
                    if !std::mem::replace(&mut self.versions_seen[v], true) {
                        let version = self.main_cf.versions[v];
                        steps.extend(version.previous.map(Step::Version));
                        steps.push(Step::Block(version.block));
                    }
                }
                Step::Block(b) => {
                    if !std::mem::replace(&mut self.blocks_seen[b], true) {
                        self.take_body(b);
                        let includes = &self.main_cf.blocks[b].includes;
                        steps.extend(includes.iter().map(|(_, v)| Step::Version(*v)));
                    }
                }
            }
        }
    }

    /// Takes the lines of a block, the last one of a name first.
    fn take_body(&mut self, index: usize) {
        let block = &self.main_cf.blocks[index];
        for line in block.body.iter().rev() {
            self.found
                .entry(line.name.clone())
                .or_insert_with(|| Variable {
                    value: line.value.clone(),
                    line: line.line,
                    target: label(&block.targets),
                });
        }
    }
}

/// The targets for a message: bounded, since each variable carries it.
fn label(targets: &[Target]) -> String {
    let names = joined(targets.iter().take(4).map(Target::as_str));
    names.chars().take(80).collect()
}

/// The names with a space between them.
fn joined<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(" ")
}

/// Prints the canonical form, which parses to the same stanzas.
impl fmt::Display for MainCf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, block) in self.blocks.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let targets = joined(block.targets.iter().map(Target::as_str));
            let includes = joined(block.includes.iter().map(|(name, _)| name.as_str()));
            let space = if includes.is_empty() { "" } else { " " };
            writeln!(f, "{targets}:{space}{includes}")?;
            for line in &block.body {
                // A `#` after white space would begin a comment.
                let space = if line.value.starts_with('#') { "" } else { " " };
                writeln!(f, "    {} ={space}{}", line.name, line.value)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "main_cf_tests.rs"]
mod tests;
