//! Generated values for property tests: nasty names, every kind, few distinct paths so that they
//! meet.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;

/// A path of few short names, some of them odd.
pub(crate) fn path() -> impl Strategy<Value = RelPath> {
    let name = prop_oneof![
        Just(b"a".to_vec()),
        Just(b"a.".to_vec()),
        Just(b"b\n".to_vec()),
        Just(vec![0xff, b'\\']),
        Just(b"a-".to_vec()),
        Just(vec![b'n'; 255]),
    ];
    vec(name, 0..5).prop_map(|names| RelPath::new(names.join(&b'/')).unwrap())
}

fn kind() -> impl Strategy<Value = Kind> {
    let content = option::of(any::<[u8; 32]>()).prop_map(|digest| match digest {
        Some(bytes) => Content::Read(Digest::from_bytes(bytes)),
        None => Content::Unread,
    });
    prop_oneof![
        (any::<u64>(), content, any::<u64>()).prop_map(|(size, content, hole_bytes)| Kind::File {
            size,
            content,
            hole_bytes
        }),
        Just(Kind::Directory),
        vec(any::<u8>(), 0..20).prop_map(|target| Kind::Symlink { target }),
        Just(Kind::Fifo),
        Just(Kind::Socket),
        any::<(u32, u32)>().prop_map(|(major, minor)| Kind::CharDevice { major, minor }),
        any::<(u32, u32)>().prop_map(|(major, minor)| Kind::BlockDevice { major, minor }),
    ]
}

pub(crate) fn timestamp() -> impl Strategy<Value = Timestamp> {
    (any::<i64>(), 0..1_000_000_000u32).prop_map(|(secs, nanos)| Timestamp { secs, nanos })
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let xattrs = btree_map(vec(1..=255u8, 1..9), vec(any::<u8>(), 0..9), 0..3);
    (0..0o10000u32, any::<(u32, u32, u32)>(), timestamp(), xattrs).prop_map(
        |(mode, (uid, gid, flags), mtime, xattrs)| Metadata {
            mode,
            uid,
            gid,
            mtime,
            xattrs,
            flags: flags & KEPT_FLAGS,
        },
    )
}

pub(crate) fn node() -> impl Strategy<Value = Node> {
    (kind(), metadata(), option::of(path())).prop_map(|(kind, meta, link_of)| Node {
        kind,
        meta,
        link_of,
    })
}

pub(crate) fn change_set() -> impl Strategy<Value = ChangeSet> {
    let states = (option::of(node()), option::of(node()), option::of(path()));
    btree_map(path(), states, 0..12).prop_map(|changes| {
        let changes = changes
            .into_iter()
            .map(|(path, (before, after, moved_from))| Change {
                path,
                before,
                after,
                moved_from,
            });
        ChangeSet::new(changes.collect()).unwrap()
    })
}
