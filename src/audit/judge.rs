//! Decides whether one path drifted. Pure. Upholds: every attribute that a change set records is
//! compared, or the reason why not stands here.

use isconf_sandbox::change::{Content, Kind, Metadata, Node};

use crate::model::drift::{DriftKind, Field};

/// In which way a path differs from what is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// In which way.
    pub kind: DriftKind,
    /// The attributes that differ.
    pub fields: Vec<Field>,
}

/// Compares what should be with what is; `None` when they agree. Not compared: content that no
/// entry wrote (`Content::Unread`), holes (the filesystem moves them), hard links (they are
/// no property of one path), times of directories, and with `times` false those of all objects.
pub fn judge(expected: Option<&Node>, found: Option<&Node>, times: bool) -> Option<Judgement> {
    let plain = |kind| {
        Some(Judgement {
            kind,
            fields: Vec::new(),
        })
    };
    let (expected, found) = match (expected, found) {
        (None, None) => return None,
        (None, Some(_)) => return plain(DriftKind::Unexpected),
        (Some(_), None) => return plain(DriftKind::Missing),
        (Some(expected), Some(found)) => (expected, found),
    };
    if expected.kind.name() != found.kind.name() {
        return plain(DriftKind::WrongType);
    }
    let times = times && expected.kind != Kind::Directory;
    let fields = differing_fields(&expected.kind, &expected.meta, &found.meta, times);
    if !same_substance(&expected.kind, &found.kind) {
        Some(Judgement {
            kind: DriftKind::Content,
            fields,
        })
    } else if fields.is_empty() {
        None
    } else {
        Some(Judgement {
            kind: DriftKind::Metadata,
            fields,
        })
    }
}

/// Whether two objects of one kind hold the same, as far as an entry wrote it. Content found and
/// not read has the same size and is known not to have changed, or another size.
fn same_substance(expected: &Kind, found: &Kind) -> bool {
    match (expected, found) {
        (
            Kind::File {
                content: Content::Unread,
                ..
            },
            Kind::File { .. },
        ) => true,
        (
            Kind::File {
                size: s1,
                content: Content::Read(d1),
                ..
            },
            Kind::File {
                size: s2, content, ..
            },
        ) => {
            s1 == s2
                && match content {
                    Content::Read(d2) => d1 == d2,
                    Content::Unread => true,
                }
        }
        (expected, found) => expected == found,
    }
}

fn differing_fields(kind: &Kind, expected: &Metadata, found: &Metadata, times: bool) -> Vec<Field> {
    let mut fields = Vec::new();
    // The mode of a symlink cannot be set (symlink(7)).
    if expected.mode != found.mode && !matches!(kind, Kind::Symlink { .. }) {
        fields.push(Field::Mode);
    }
    if (expected.uid, expected.gid) != (found.uid, found.gid) {
        fields.push(Field::Owner);
    }
    if times && expected.mtime != found.mtime {
        fields.push(Field::Mtime);
    }
    let names = expected.xattrs.keys().chain(
        found
            .xattrs
            .keys()
            .filter(|name| !expected.xattrs.contains_key(*name)),
    );
    fields.extend(
        names
            .filter(|name| expected.xattrs.get(*name) != found.xattrs.get(*name))
            .map(|name| Field::Xattr(name.clone())),
    );
    if expected.flags != found.flags {
        fields.push(Field::Flags);
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use isconf_sandbox::change::{Digest, FLAG_IMMUTABLE, Timestamp};

    fn file(bytes: &[u8]) -> Node {
        Node {
            kind: Kind::File {
                size: bytes.len() as u64,
                content: Content::Read(Digest::of(bytes)),
                hole_bytes: 0,
            },
            meta: Metadata {
                mode: 0o644,
                ..Metadata::default()
            },
            link_of: None,
        }
    }

    fn unread(size: u64) -> Node {
        let mut node = file(b"");
        node.kind = Kind::File {
            size,
            content: Content::Unread,
            hole_bytes: 0,
        };
        node
    }

    fn of_kind(kind: Kind) -> Node {
        Node { kind, ..file(b"") }
    }

    fn kind(expected: Option<&Node>, found: Option<&Node>) -> Option<DriftKind> {
        judge(expected, found, false).map(|judgement| judgement.kind)
    }

    #[test]
    fn presence_and_kind_are_judged_first() {
        let directory = of_kind(Kind::Directory);
        assert_eq!(kind(None, None), None);
        assert_eq!(kind(None, Some(&file(b"a"))), Some(DriftKind::Unexpected));
        assert_eq!(kind(Some(&file(b"a")), None), Some(DriftKind::Missing));
        assert_eq!(
            kind(Some(&file(b"a")), Some(&directory)),
            Some(DriftKind::WrongType)
        );
    }

    #[test]
    fn content_is_judged_by_size_and_digest() {
        assert_eq!(kind(Some(&file(b"a")), Some(&file(b"a"))), None);
        assert_eq!(
            kind(Some(&file(b"a")), Some(&file(b"b"))),
            Some(DriftKind::Content)
        );
        assert_eq!(
            kind(Some(&file(b"a")), Some(&unread(2))),
            Some(DriftKind::Content)
        );
        assert_eq!(kind(Some(&unread(1)), Some(&file(b"bb"))), None);
        let link = |target: &[u8]| {
            of_kind(Kind::Symlink {
                target: target.to_vec(),
            })
        };
        assert_eq!(
            kind(Some(&link(b"a")), Some(&link(b"b"))),
            Some(DriftKind::Content)
        );
        let device = |minor| of_kind(Kind::CharDevice { major: 1, minor });
        assert_eq!(
            kind(Some(&device(3)), Some(&device(5))),
            Some(DriftKind::Content)
        );
    }

    #[test]
    fn every_attribute_is_named() {
        let expected = file(b"a");
        let mut found = expected.clone();
        found.meta.mode = 0o600;
        found.meta.gid = 5;
        found.meta.flags = FLAG_IMMUTABLE;
        found.meta.xattrs.insert(b"user.x".to_vec(), b"1".to_vec());
        found.meta.mtime = Timestamp { secs: 1, nanos: 0 };
        let fields = vec![
            Field::Mode,
            Field::Owner,
            Field::Xattr(b"user.x".to_vec()),
            Field::Flags,
        ];
        let judgement = judge(Some(&expected), Some(&found), false).unwrap();
        assert_eq!(judgement.kind, DriftKind::Metadata);
        assert_eq!(judgement.fields, fields);
        let with_times = judge(Some(&expected), Some(&found), true).unwrap();
        assert!(with_times.fields.contains(&Field::Mtime));
    }

    #[test]
    fn times_count_only_when_asked_for_and_never_for_directories() {
        for (kind, drifts) in [(file(b"a").kind, true), (Kind::Directory, false)] {
            let expected = of_kind(kind);
            let mut found = expected.clone();
            found.meta.mtime = Timestamp { secs: 1, nanos: 0 };
            assert_eq!(judge(Some(&expected), Some(&found), false), None);
            assert_eq!(judge(Some(&expected), Some(&found), true).is_some(), drifts);
        }
    }
}
