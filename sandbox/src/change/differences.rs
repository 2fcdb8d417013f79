//! Where two hosts did not do the same; pure.

use std::collections::BTreeSet;

use super::normal::NormalChange;
use super::{ChangeSet, Node, NormalRules, RelPath};

/// One path at which a host did something else than the origin.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Difference {
    /// Where.
    pub path: RelPath,
    /// In what; at least one, each once.
    pub aspects: Vec<DifferenceKind>,
}

/// In what two changes of one path differ. The changes themselves are in the two sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DifferenceKind {
    /// Only the origin changed it.
    OnlyAtOrigin,
    /// Only this host changed it.
    OnlyHere,
    /// What was there before: nothing, or an object of another kind.
    Before,
    /// Whether something is there after, or of which kind.
    Existence,
    /// Bytes, link target or device number.
    Content,
    /// Mode.
    Mode,
    /// Owner or group.
    Owner,
    /// A time of modification that the entry set.
    Mtime,
    /// Extended attributes.
    Xattrs,
    /// Inode flags.
    Flags,
    /// Which path it is one more name of.
    Link,
    /// Where it was renamed from.
    MovedFrom,
}

impl DifferenceKind {
    /// The name for JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnlyAtOrigin => "only_at_origin",
            Self::OnlyHere => "only_here",
            Self::Before => "before",
            Self::Existence => "existence",
            Self::Content => "content",
            Self::Mode => "mode",
            Self::Owner => "owner",
            Self::Mtime => "mtime",
            Self::Xattrs => "xattrs",
            Self::Flags => "flags",
            Self::Link => "link",
            Self::MovedFrom => "moved_from",
        }
    }
}

/// Compares what the origin did with what this host did, by their normal forms under the same
/// rules for paths; empty exactly when the normal digests are equal.
pub fn differences(origin: &ChangeSet, here: &ChangeSet, rules: &NormalRules) -> Vec<Difference> {
    differences_of_runs((origin, rules), (here, rules))
}

/// Like [`differences`], for runs at different times: each set with its own rules.
pub fn differences_of_runs(
    origin: (&ChangeSet, &NormalRules),
    here: (&ChangeSet, &NormalRules),
) -> Vec<Difference> {
    let (origin, here) = (origin.0.normal_form(origin.1), here.0.normal_form(here.1));
    let paths: BTreeSet<&RelPath> = origin.keys().chain(here.keys()).copied().collect();
    let compare = |path: &RelPath| match (origin.get(path), here.get(path)) {
        (Some(one), Some(other)) => aspects(one, other),
        (Some(_), None) => vec![DifferenceKind::OnlyAtOrigin],
        (None, Some(_)) => vec![DifferenceKind::OnlyHere],
        (None, None) => Vec::new(),
    };
    paths
        .into_iter()
        .map(|path| Difference {
            path: path.clone(),
            aspects: compare(path),
        })
        .filter(|difference| !difference.aspects.is_empty())
        .collect()
}

fn aspects(one: &NormalChange<'_>, other: &NormalChange<'_>) -> Vec<DifferenceKind> {
    let mut found = Vec::new();
    let mut check = |differs: bool, kind| {
        if differs {
            found.push(kind);
        }
    };
    check(one.before != other.before, DifferenceKind::Before);
    let kind = |node: &Option<Node>| node.as_ref().map(|n| n.kind.name());
    let same_kind = kind(&one.after) == kind(&other.after);
    check(!same_kind, DifferenceKind::Existence);
    if let (Some(a), Some(b)) = (&one.after, &other.after) {
        check(same_kind && a.kind != b.kind, DifferenceKind::Content);
        let (m, n) = (&a.meta, &b.meta);
        check(m.mode != n.mode, DifferenceKind::Mode);
        check((m.uid, m.gid) != (n.uid, n.gid), DifferenceKind::Owner);
        let mtimes = (one.mtime_set, m.mtime) != (other.mtime_set, n.mtime);
        check(mtimes, DifferenceKind::Mtime);
        check(m.xattrs != n.xattrs, DifferenceKind::Xattrs);
        check(m.flags != n.flags, DifferenceKind::Flags);
        check(a.link_of != b.link_of, DifferenceKind::Link);
    }
    check(
        one.moved_from != other.moved_from,
        DifferenceKind::MovedFrom,
    );
    found
}
