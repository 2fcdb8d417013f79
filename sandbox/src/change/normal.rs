//! The normal form of a change set: what is left when that which legitimately differs from host to
//! host is taken out. Two hosts did the same when their normal forms are equal. Pure.

use std::collections::BTreeMap;

use super::bytes::Writer;
use super::{
    Change, ChangeSet, Content, Digest, Kind, Node, PathPattern, RelPath, Timestamp, put_node,
};

const MAGIC: &str = "isconf normal form\n";
const VERSION: u16 = 1;

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
    /// When the entry ran, first and last moment. A time of modification in between was not set by
    /// the entry, it just happened then.
    pub run: (Timestamp, Timestamp),
    /// Paths that are left out.
    pub ignore: Vec<PathPattern>,
}

impl NormalRules {
    /// The rules with the documented list of ignored paths.
    pub fn for_run(from: Timestamp, to: Timestamp) -> Self {
        Self {
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
        self.changes()
            .iter()
            .filter(|change| !rules.ignores(&change.path) && says_something(change))
            .map(|change| (&change.path, normal(change, rules)))
            .collect()
    }
}

/// Whether more changed than the time of modification of a directory, which is only an echo of
/// what happened in it.
fn says_something(change: &Change) -> bool {
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => {
            let mut aged = before.meta.clone();
            aged.mtime = after.meta.mtime;
            after.kind != Kind::Directory
                || before.kind != Kind::Directory
                || change.moved_from.is_some()
                || aged != after.meta
        }
        (None, None) => false,
        (None, Some(_)) | (Some(_), None) => true,
    }
}

fn normal<'a>(change: &'a Change, rules: &NormalRules) -> NormalChange<'a> {
    let mut after = change.after.clone();
    let mut mtime_set = false;
    if let Some(node) = &mut after {
        mtime_set = is_mtime_set(change.before.as_ref(), node, rules);
        if !mtime_set {
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
        mtime_set,
        moved_from: change.moved_from.as_ref(),
    }
}

fn is_mtime_set(before: Option<&Node>, after: &Node, rules: &NormalRules) -> bool {
    let mtime = after.meta.mtime;
    let (from, to) = rules.run;
    let as_before = before.is_some_and(|b| b.meta.mtime == mtime);
    let echo = after.kind == Kind::Directory && before.is_some_and(|b| b.kind == Kind::Directory);
    !echo && !as_before && !(from..=to).contains(&mtime)
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
