//! The second table: commits of very many files against the programs that people use for it. Not
//! for measuring.

use std::fmt;

use crate::series::Series;

/// What is done to the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Each is replaced by one of another content.
    Modified,
    /// As many come into directories that are there.
    New,
    /// A directory with all of them comes.
    NewTree,
    /// All go.
    Deleted,
}

impl Change {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Modified, Self::New, Self::NewTree, Self::Deleted];

    /// The word for the driver.
    pub fn word(self) -> &'static str {
        match self {
            Self::Modified => "modified",
            Self::New => "new",
            Self::NewTree => "tree",
            Self::Deleted => "deleted",
        }
    }
}

/// One line, all in milliseconds.
#[derive(Debug)]
pub struct Commit {
    /// What was done.
    pub change: Change,
    /// To how many files.
    pub files: u32,
    /// On which filesystem.
    pub filesystem: &'static str,
    /// The phase `commit` of `isconf exec`.
    pub commit: Series,
    /// The whole of `isconf undo`.
    pub undo: Series,
    /// A bare loop of the same renames, and a sync.
    pub renames: Series,
    /// `cp -a` of the new files over the old ones (`rm -r` of them), and a sync.
    pub copy: Series,
    /// `rsync -aHAX --delete` of the new state over the old one, and a sync; nothing where it is
    /// not installed.
    pub rsync: Option<Series>,
}

impl Commit {
    /// Whether what is demanded holds: 100,000 modified files faster than `cp -a`, and 10,000 in
    /// at most twice the bare loop.
    fn is_met(&self) -> Option<bool> {
        match (self.change, self.files) {
            (Change::Modified, 100_000) => Some(self.commit.median() < self.copy.median()),
            (Change::Modified, 10_000) => Some(self.commit.median() <= 2.0 * self.renames.median()),
            _ => None,
        }
    }
}

/// All lines.
#[derive(Debug, Default)]
pub struct Commits(Vec<Commit>);

impl Commits {
    /// Adds a line, and shows it at once: the whole takes long.
    pub fn add(&mut self, commit: Commit) {
        eprintln!("  {commit}");
        self.0.push(commit);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let commit = self.commit.median();
        let against = |other: &Series| {
            let other = other.median();
            format!("{other:.0} ms | {:.2}", commit / other)
        };
        let rsync = self.rsync.as_ref().map_or(" | ".to_owned(), against);
        let met = match self.is_met() {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        write!(
            f,
            "| {} | {} | {} | {commit:.0} ms | {:.0} ms | {} | {} | {rsync} | {met} |",
            self.change.word(),
            self.files,
            self.filesystem,
            self.undo.median(),
            against(&self.renames),
            against(&self.copy),
        )
    }
}

impl fmt::Display for Commits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = "| change | files | on | commit | undo | renames | ratio | cp -a, rm -r | ratio | rsync | ratio | met |";
        writeln!(
            f,
            "{head}\n|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---|"
        )?;
        self.0.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
