//! The bytes of an intent: what is written is read, and no damage goes unseen.

use proptest::prelude::*;

use crate::change::{Digest, Metadata, RelPath, Timestamp};
use crate::commit::Damage;
use crate::commit::intent::{Direction, Intent, Left, LeftObject};
use crate::commit::step::{Area, Attributes, Loc, Move, Object, Setting, Steps};
use crate::layout::{CommitPolicy, TxId, Volume};
use crate::sys::inspect::FileHandle;
use std::collections::BTreeMap;

const MAGIC: &[u8; 8] = b"ISCONFIT";
const VERSION: u32 = 2;

fn path() -> impl Strategy<Value = RelPath> {
    prop::collection::vec("[a-z\n\\\\ ]{1,5}", 0..4)
        .prop_map(|names| RelPath::new(names.join("/")).unwrap())
}

fn loc() -> impl Strategy<Value = Loc> {
    (0..2usize, any::<bool>(), path()).prop_map(|(volume, live, path)| Loc {
        volume,
        area: if live { Area::Live } else { Area::Scratch },
        path,
    })
}

fn object() -> impl Strategy<Value = Object> {
    (any::<u64>(), any::<Option<(i64, u64)>>()).prop_map(|(ino, state)| Object {
        ino,
        state: state.map(|(secs, size)| {
            (
                Timestamp {
                    secs,
                    nanos: 999_999_999,
                },
                size,
            )
        }),
    })
}

fn step() -> impl Strategy<Value = Move> {
    let handle = || {
        (any::<i32>(), prop::collection::vec(any::<u8>(), 0..16))
            .prop_map(|(kind, bytes)| FileHandle { kind, bytes })
    };
    prop_oneof![
        (loc(), loc(), object(), any::<[Option<u64>; 2]>()).prop_map(
            |(from, to, object, holders)| Move::Rename {
                from,
                to,
                object,
                holders,
            }
        ),
        (loc(), loc(), object(), object()).prop_map(|(live, scratch, old, new)| {
            Move::Exchange {
                live,
                scratch,
                old,
                new,
            }
        }),
        (loc(), loc(), any::<u64>(), any::<u64>()).prop_map(|(existing, name, ino, holder)| {
            Move::Link {
                existing,
                name,
                ino,
                holder,
            }
        }),
        (loc(), any::<u64>(), handle()).prop_map(|(name, ino, handle)| Move::Release {
            name,
            ino,
            handle
        }),
    ]
}

fn setting() -> impl Strategy<Value = Setting> {
    let meta =
        (any::<[u32; 4]>(), any::<BTreeMap<u8, Vec<u8>>>()).prop_map(|(n, xattrs)| Metadata {
            mode: n[0],
            uid: n[1],
            gid: n[2],
            flags: n[3],
            mtime: Timestamp::default(),
            xattrs: xattrs.into_iter().map(|(k, v)| (vec![k], v)).collect(),
        });
    let attributes = prop_oneof![
        meta.prop_map(Attributes::All),
        any::<i64>().prop_map(|secs| Attributes::Mtime(Timestamp { secs, nanos: 0 })),
        any::<u32>().prop_map(Attributes::Locks),
    ];
    let point = prop::option::of((path(), attributes)).boxed();
    (any::<u64>(), point.clone(), point).prop_map(|(ino, before, after)| Setting {
        volume: 1,
        ino,
        before,
        after,
    })
}

prop_compose! {
    fn intent()(
        moves in prop::collection::vec(step(), 0..6),
        settings in prop::collection::vec(setting(), 0..4),
        payload in prop::collection::vec(any::<u8>(), 0..20),
        places in prop::collection::vec((path(), any::<Option<(u64, Option<u64>)>>()), 0..4),
        backward in any::<bool>(),
    ) -> Intent {
        let site = |policy| Volume {
            mount_point: RelPath::root(),
            fs_type: "ext4".to_owned(),
            device: (8, 1),
            scratch: "/home/scratch".into(),
            policy,
        };
        let left = places.into_iter().map(|(path, object)| Left {
            volume: 0,
            path,
            object: object.map(|(ino, size)| LeftObject {
                ino,
                size,
                meta: size.map(|size| Digest::of(&size.to_le_bytes())),
                content: size.map(|_| Digest::of(b"")),
            }),
        });
        Intent {
            tx: TxId::from_parts(1, 2),
            direction: if backward { Direction::Backward } else { Direction::Forward },
            payload,
            sites: vec![site(CommitPolicy::Rename), site(CommitPolicy::Copy)],
            steps: Steps { moves, rewrites: Vec::new(), settings },
            left: left.collect(),
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(intent in intent()) {
        prop_assert_eq!(Intent::from_bytes(&intent.to_bytes()).unwrap(), intent);
    }

    #[test]
    fn no_damage_goes_unseen(intent in intent(), at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut bytes = intent.to_bytes();
        let at = at.index(bytes.len());
        prop_assert!(Intent::from_bytes(&bytes[..at]).is_err());
        bytes[at] ^= 1u8 << bit;
        prop_assert!(Intent::from_bytes(&bytes).is_err());
    }

    #[test]
    fn garbage_with_a_right_digest_is_an_error_and_no_panic(
        garbage in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = [&MAGIC[..], &VERSION.to_le_bytes(), &garbage].concat();
        let digest = Digest::of(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        prop_assert!(Intent::from_bytes(&bytes).is_err());
    }

    #[test]
    fn steps_reversed_twice_are_the_same(intent in intent()) {
        prop_assert_eq!(intent.steps.clone().reversed().reversed(), intent.steps);
    }
}

#[test]
fn an_unknown_version_is_refused_by_number() {
    let bytes = [&MAGIC[..], &7u32.to_le_bytes(), &[0; 40]].concat();
    assert_eq!(Intent::from_bytes(&bytes), Err(Damage::UnknownVersion(7)));
}
