//! The normal form of a change set: what is left when that which legitimately differs from host to
//! host is taken out. Two hosts did the same when their normal forms are equal. Pure.

use std::collections::{BTreeMap, HashSet};

use super::bytes::Writer;
use super::{
    Change, ChangeSet, Content, Digest, Kind, Metadata, Node, PathPattern, RelPath, Timestamp,
    put_node,
};

const MAGIC: &str = "isconf normal form\n";
const VERSION: u16 = 2;

/// Paths whose content is the machine's own business: logs, caches, what lives until the next
/// boot, and files that are different each time a program writes them.
const DEFAULT_IGNORE: [&str; 12] = [
    "/run/**",
    "/tmp/**",
    "/var/tmp/**",
    "/var/log/**",
    "/var/cache/**",
    "/var/lib/apt/lists/**",
    "/var/lib/systemd/random-seed",
    "/var/lib/systemd/timers/**",
    "/**/__pycache__/**",
    "/**/.cache/**",
    "/root/.*_history",
    "/home/*/.*_history",
];

/// What is taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalRules {
    /// From when on a time of modification may be one that a clock gave, in this entry or in an
    /// earlier one of which this one keeps it (`cp -a`, `mv`, `tar`). It must be the same for all
    /// runs of an entry on all hosts, as the time of the journal's first entry is.
    pub since: Timestamp,
    /// When the entry ran, first and last moment. Says which times the clock gave where it is
    /// behind `since`.
    pub run: (Timestamp, Timestamp),
    /// Paths that are left out.
    pub ignore: Vec<PathPattern>,
}

impl NormalRules {
    /// The rules for an entry that is the first one, with the documented list of ignored paths.
    pub fn for_run(from: Timestamp, to: Timestamp) -> Self {
        Self {
            since: from,
            run: (from, to),
            ignore: Self::default_ignore(),
        }
    }

    /// The documented list of ignored paths: docs/formats.md, section "Normal form".
    pub fn default_ignore() -> Vec<PathPattern> {
        let patterns = DEFAULT_IGNORE.iter().filter_map(|text| text.parse().ok());
        patterns.collect()
    }

    fn ignores(&self, path: &RelPath) -> bool {
        self.ignore.iter().any(|pattern| pattern.matches(path))
    }

    /// Whether a time may have been given by a clock while entries were made or replayed.
    fn may_be_of_clock(&self, time: Timestamp) -> bool {
        let (from, to) = self.run;
        time >= self.since || (from..=to).contains(&time)
    }
}

/// Tells the times of modification that an entry chose from those that it only happened to give.
struct Times<'a> {
    rules: &'a NormalRules,
    /// The times that something had before: who keeps a copy of the old state keeps its time too.
    before: HashSet<Timestamp>,
}

impl<'a> Times<'a> {
    fn of(set: &ChangeSet, rules: &'a NormalRules) -> Self {
        let before = set.changes().iter().filter_map(|c| c.before.as_ref());
        Self {
            rules,
            before: before.map(|node| node.meta.mtime).collect(),
        }
    }

    /// Whether the entry chose the time that this change ended with.
    fn is_chosen(&self, change: &Change) -> bool {
        let is_directory = |node: &Node| node.kind == Kind::Directory;
        change.after.as_ref().is_some_and(|after| {
            let is_echo = is_directory(after) && change.before.as_ref().is_some_and(is_directory);
            let time = after.meta.mtime;
            !is_echo && !self.before.contains(&time) && !self.rules.may_be_of_clock(time)
        })
    }
}

/// A change as far as it must be the same on every host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NormalChange<'a> {
    /// The kind's name before.
    pub(super) before: Option<&'static str>,
    /// The state after, without holes; with the length only if the content was read.
    pub(super) after: Option<Node>,
    /// Whether `after`'s time of modification was set by the entry; it is zero otherwise.
    pub(super) mtime_set: bool,
    pub(super) moved_from: Option<&'a RelPath>,
}

impl ChangeSet {
    /// The SHA-256 of the normal form.
    pub fn normal_digest(&self, rules: &NormalRules) -> Digest {
        let mut writer = Writer::begin(MAGIC, VERSION);
        let form = self.normal_form(rules);
        writer.count(form.len());
        for (path, change) in form {
            writer.path(path);
            writer.option(change.before, |w, name| w.bytes(name.as_bytes()));
            writer.option(change.after.as_ref(), put_node);
            writer.u8(change.mtime_set.into());
            writer.option(change.moved_from, Writer::path);
        }
        Digest::of(&writer.into_bytes())
    }

    /// The changes that must be the same on every host.
    pub(super) fn normal_form(&self, rules: &NormalRules) -> BTreeMap<&RelPath, NormalChange<'_>> {
        let times = Times::of(self, rules);
        self.changes()
            .iter()
            .filter(|change| !rules.ignores(&change.path))
            .map(|change| (change, times.is_chosen(change)))
            .filter(|(change, is_time_chosen)| *is_time_chosen || says_something(change))
            .map(|(change, is_time_chosen)| (&change.path, normal(change, is_time_chosen)))
            .collect()
    }
}

/// Whether more changed than a time of modification. Such a time is only an echo of what happened
/// in a directory; and whether a file that was touched has another one than before depends on how
/// finely the clock ticks.
fn says_something(change: &Change) -> bool {
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => {
            let aged = Metadata {
                mtime: after.meta.mtime,
                ..before.meta.clone()
            };
            renamed_from(change).is_some()
                || before.kind != after.kind
                || after.link_of.is_some()
                || aged != after.meta
        }
        (None, None) => false,
        (None, Some(_)) | (Some(_), None) => true,
    }
}

/// The other name that it had. What kept its name while its directory was replaced had none.
fn renamed_from(change: &Change) -> Option<&RelPath> {
    change
        .moved_from
        .as_ref()
        .filter(|from| **from != change.path)
}

fn normal(change: &Change, is_time_chosen: bool) -> NormalChange<'_> {
    let mut after = change.after.clone();
    if let Some(node) = &mut after {
        if !is_time_chosen {
            node.meta.mtime = Timestamp::default();
        }
        if let Kind::File {
            size,
            content,
            hole_bytes,
        } = &mut node.kind
        {
            *hole_bytes = 0;
            if *content == Content::Unread {
                *size = 0;
            }
        }
    }
    NormalChange {
        before: change.before.as_ref().map(|node| node.kind.name()),
        after,
        mtime_set: is_time_chosen,
        moved_from: renamed_from(change),
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::*;
    use proptest::prelude::*;

    const fn at(secs: i64) -> Timestamp {
        Timestamp { secs, nanos: 0 }
    }

    fn rules() -> NormalRules {
        NormalRules::for_run(at(100), at(200))
    }

    fn node(kind: Kind, mtime: i64) -> Node {
        let meta = Metadata {
            mtime: at(mtime),
            ..Metadata::default()
        };
        Node {
            kind,
            meta,
            link_of: None,
        }
    }

    fn file(text: &str, hole_bytes: u64, mtime: i64) -> Node {
        let kind = Kind::File {
            size: text.len() as u64,
            content: Content::Read(Digest::of(text.as_bytes())),
            hole_bytes,
        };
        node(kind, mtime)
    }

    fn set(path: &str, before: Option<Node>, after: Option<Node>) -> ChangeSet {
        ChangeSet::new(vec![Change {
            path: RelPath::new(path).unwrap(),
            before,
            after,
            moved_from: None,
        }])
        .unwrap()
    }

    #[test]
    fn the_default_patterns_are_patterns() {
        assert_eq!(NormalRules::default_ignore().len(), DEFAULT_IGNORE.len());
    }

    #[test]
    fn what_legitimately_differs_does_not_count() {
        let one = set("etc/a", Some(file("old", 0, 1)), Some(file("new", 0, 120)));
        let other = set(
            "etc/a",
            Some(file("older", 9, 2)),
            Some(file("new", 4, 130)),
        );
        assert_eq!(one.normal_digest(&rules()), other.normal_digest(&rules()));
        assert_ne!(one.digest(), other.digest());
    }

    #[test]
    fn what_the_entry_set_counts() {
        let one = set("etc/a", None, Some(file("new", 0, 120)));
        for other in [
            set("etc/a", None, Some(file("neu", 0, 120))),
            set("etc/a", None, Some(file("new", 0, 50))),
            set(
                "etc/a",
                Some(node(Kind::Fifo, 1)),
                Some(file("new", 0, 120)),
            ),
            set("etc/b", None, Some(file("new", 0, 120))),
        ] {
            assert_ne!(one.normal_digest(&rules()), other.normal_digest(&rules()));
        }
    }

    #[test]
    fn a_time_that_an_earlier_entry_gave_does_not_count() {
        let rules = NormalRules {
            since: at(100),
            run: (at(200), at(300)),
            ignore: Vec::new(),
        };
        let copy = |mtime| set("srv/b", None, Some(file("x", 0, mtime)));
        let digest = |mtime| copy(mtime).normal_digest(&rules);
        assert_eq!(digest(150), digest(250));
        assert_eq!(
            digest(150),
            digest(1_000),
            "a clock that was set back since"
        );
        assert_ne!(digest(150), digest(99));
        assert_ne!(digest(98), digest(99));
    }

    #[test]
    fn a_time_that_came_with_a_copy_of_the_old_state_does_not_count() {
        let backup = |old: i64| {
            let was = || Some(file("old", 0, old));
            let change = |path: &str, before, after| Change {
                path: RelPath::new(path).unwrap(),
                before,
                after,
                moved_from: None,
            };
            ChangeSet::new(vec![
                change("etc/passwd", was(), Some(file("new", 0, 150))),
                change("etc/passwd-", None, was()),
            ])
            .unwrap()
        };
        assert_eq!(
            backup(1).normal_digest(&rules()),
            backup(2).normal_digest(&rules())
        );
    }

    #[test]
    fn a_file_that_was_only_touched_does_not_count() {
        let touch = |mtime| set("srv/stamp", Some(file("", 0, 1)), Some(file("", 0, mtime)));
        let empty = ChangeSet::default().normal_digest(&rules());
        assert_eq!(touch(150).normal_digest(&rules()), empty);
        assert_ne!(touch(50).normal_digest(&rules()), empty);
    }

    #[test]
    fn echoes_and_ignored_paths_are_left_out() {
        let empty = ChangeSet::default().normal_digest(&rules());
        let directory = |mtime| Some(node(Kind::Directory, mtime));
        let echo = set("etc", directory(1), directory(150));
        let log = set("var/log/x/y", None, Some(file("line", 0, 150)));
        assert_eq!(echo.normal_digest(&rules()), empty);
        assert_eq!(log.normal_digest(&rules()), empty);
    }

    proptest! {
        #[test]
        fn equal_normal_forms_have_no_differences(set in arbitrary::change_set()) {
            prop_assert_eq!(differences(&set, &set, &rules()), vec![]);
        }

        #[test]
        fn the_digest_says_whether_there_are_differences(
            one in arbitrary::change_set(), other in arbitrary::change_set(),
        ) {
            let same = one.normal_digest(&rules()) == other.normal_digest(&rules());
            prop_assert_eq!(differences(&one, &other, &rules()).is_empty(), same);
        }
    }
}
