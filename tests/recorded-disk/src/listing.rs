//! The tree of a host as lines to compare. Not for making it (that is `isconf::tour::Manifest`).
//! Leaves out isconf's own directories, whose content is looked at through isconf.

use isconf::tour::Manifest;

/// The beginning of the names of isconf's directories at the top of a volume.
const HIDDEN: &str = "/.isconf";

/// How many lines of a difference are shown.
const SHOWN: usize = 6;

/// A tree, a line a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing(Vec<String>);

impl Listing {
    /// The lines of a manifest.
    pub fn of(manifest: &Manifest) -> Self {
        let text = manifest.to_string();
        let own = |line: &&str| !line.split(' ').next().is_some_and(|p| p.contains(HIDDEN));
        Self(text.lines().filter(own).map(without_count).collect())
    }

    /// The same without the times of change from `begun` on, in seconds since 1970: those that the
    /// run of a command made, and another run would make otherwise. Without those of directories
    /// too: whether a file there is replaced by an equal one depends on its own time.
    pub fn without_times(&self, begun: u64) -> Self {
        let lines = self.0.iter().map(|line| without_time(line, begun));
        Self(lines.collect())
    }

    /// The same without a directory and all below it.
    pub fn without(&self, directory: &str) -> Self {
        let below = |line: &&String| match line.strip_prefix(directory) {
            Some(rest) => !rest.starts_with([' ', '/']),
            None => true,
        };
        Self(self.0.iter().filter(below).cloned().collect())
    }

    /// Lists what differs, at most a few lines of it: `-` is here, `+` in the other one.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let gone = self.0.iter().filter(|line| !other.0.contains(line));
        let new = other.0.iter().filter(|line| !self.0.contains(line));
        let gone = gone.map(|line| format!("-{line}"));
        gone.chain(new.map(|line| format!("+{line}")))
            .take(SHOWN)
            .collect()
    }
}

/// How many directories a directory has is seen by their lines, but for isconf's own, which comes
/// and goes.
fn without_count(line: &str) -> String {
    let is_count = |word: &&str| !(line.contains(" dir ") && word.starts_with("nlink="));
    line.split(' ')
        .filter(is_count)
        .collect::<Vec<_>>()
        .join(" ")
}

fn without_time(line: &str, begun: u64) -> String {
    let is_directory = line.contains(" dir ");
    let since = |word: &str| {
        let seconds = word.strip_prefix("mtime=")?.split('.').next()?;
        seconds
            .parse::<u64>()
            .ok()
            .filter(|at| is_directory || *at >= begun)
    };
    let words = line.split(' ').map(|word| match since(word) {
        Some(_) => "mtime=*",
        None => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_left_out_with_all_below_and_no_neighbour() {
        let listing = |text: &str| Listing(text.lines().map(str::to_owned).collect());
        let all = listing("/a dir 0755\n/a/b dir 0755\n/a/b/c file 0644\n/a/bc file 0644");
        let rest = listing("/a dir 0755\n/a/bc file 0644");
        assert_eq!(all.without("/a/b"), rest);
    }

    #[test]
    fn only_times_of_the_recording_are_left_out() {
        let line = "/a file 0644 0:0 size=1 mtime=2000.5 rdev=0:0";
        assert_eq!(without_time(line, 2001), line);
        assert!(without_time(line, 2000).contains(" mtime=* "));
        let line = "/a dir 0755 0:0 size=0 mtime=2000.5 rdev=0:0 nlink=3 flags=0";
        assert!(without_time(line, 9000).contains(" mtime=* "));
        assert!(!without_count(line).contains("nlink"));
    }
}
