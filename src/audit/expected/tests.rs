//! The fold of change sets: cases, and the property that it is the final state.

use std::collections::BTreeMap;

use isconf_sandbox::change::{Digest, Metadata, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::model::drift::WriterDeed;

type Tree = BTreeMap<RelPath, Node>;

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn node(kind: Kind) -> Node {
    Node {
        kind,
        meta: Metadata::default(),
        link_of: None,
    }
}

fn file(bytes: &[u8]) -> Node {
    node(Kind::File {
        size: bytes.len() as u64,
        content: Content::Read(Digest::of(bytes)),
        hole_bytes: 0,
    })
}

fn unread(size: u64) -> Node {
    node(Kind::File {
        size,
        content: Content::Unread,
        hole_bytes: 0,
    })
}

fn directory() -> Node {
    node(Kind::Directory)
}

fn writer(number: u64) -> Writer {
    Writer {
        deed: WriterDeed::OutOfBand(number),
        author: None,
        message: String::new(),
    }
}

fn change(at: &str, before: Option<Node>, after: Option<Node>) -> Change {
    Change {
        path: path(at),
        before,
        after,
        moved_from: None,
    }
}

fn moved(from: &str, to: &str, node: Node) -> Change {
    Change {
        moved_from: Some(path(from)),
        ..change(to, Some(node.clone()), Some(node))
    }
}

fn fold(sets: Vec<Vec<Change>>) -> ExpectedState {
    let mut state = ExpectedState::new();
    for (number, changes) in sets.into_iter().enumerate() {
        state.apply(writer(number as u64), &ChangeSet::new(changes).unwrap());
    }
    state
}

fn node_at<'a>(state: &'a ExpectedState, at: &str) -> Option<Option<&'a Node>> {
    state.get(&path(at)).map(|expected| expected.node)
}

fn writer_at(state: &ExpectedState, at: &str) -> WriterDeed {
    state.get(&path(at)).unwrap().writer.deed
}

#[test]
fn last_writer_is_named() {
    let state = fold(vec![
        vec![
            change("a", None, Some(file(b"1"))),
            change("b", None, Some(file(b"1"))),
        ],
        vec![change("b", Some(file(b"1")), Some(file(b"2")))],
    ]);
    assert_eq!(writer_at(&state, "a"), WriterDeed::OutOfBand(0));
    assert_eq!(writer_at(&state, "b"), WriterDeed::OutOfBand(1));
    assert_eq!(node_at(&state, "b"), Some(Some(&file(b"2"))));
}

#[test]
fn renamed_directory_takes_all_below_along() {
    let state = fold(vec![
        vec![
            change("d", None, Some(directory())),
            change("d!", None, Some(file(b"sibling"))),
            change("d/e/f", None, Some(file(b"1"))),
            change("d/g", None, Some(file(b"2"))),
        ],
        vec![
            moved("d", "n/d", directory()),
            change("n/d/g", Some(file(b"2")), None),
        ],
    ]);
    assert_eq!(node_at(&state, "d"), Some(None));
    assert_eq!(node_at(&state, "d/e/f"), None);
    assert_eq!(node_at(&state, "n/d/e/f"), Some(Some(&file(b"1"))));
    assert_eq!(writer_at(&state, "n/d/e/f"), WriterDeed::OutOfBand(0));
    assert_eq!(node_at(&state, "n/d/g"), Some(None));
    assert_eq!(node_at(&state, "d!"), Some(Some(&file(b"sibling"))));
}

#[test]
fn two_directories_that_change_places_do_not_meet() {
    let state = fold(vec![
        vec![
            change("a", None, Some(directory())),
            change("a/1", None, Some(file(b"1"))),
            change("b", None, Some(directory())),
            change("b/2", None, Some(file(b"2"))),
        ],
        vec![moved("b", "a", directory()), moved("a", "b", directory())],
    ]);
    assert_eq!(node_at(&state, "a/2"), Some(Some(&file(b"2"))));
    assert_eq!(node_at(&state, "b/1"), Some(Some(&file(b"1"))));
    assert_eq!(node_at(&state, "a/1"), None);
    assert_eq!(node_at(&state, "a"), Some(Some(&directory())));
}

#[test]
fn new_directory_in_place_of_one_that_moved_into_it_is_expected() {
    let state = fold(vec![vec![
        change("d", Some(directory()), Some(directory())),
        moved("d", "d/old", directory()),
    ]]);
    assert_eq!(node_at(&state, "d"), Some(Some(&directory())));
    assert_eq!(node_at(&state, "d/old"), Some(Some(&directory())));
}

#[test]
fn object_moved_out_of_a_moved_directory_goes_its_own_way() {
    let state = fold(vec![
        vec![
            change("a", None, Some(directory())),
            change("a/x", None, Some(file(b"x"))),
            change("a/y", None, Some(file(b"y"))),
        ],
        vec![moved("a", "b", directory()), moved("a/x", "c", unread(1))],
    ]);
    assert_eq!(node_at(&state, "c"), Some(Some(&file(b"x"))));
    assert_eq!(node_at(&state, "b/y"), Some(Some(&file(b"y"))));
    assert_eq!(node_at(&state, "b/x"), None);
    assert_eq!(node_at(&state, "a"), Some(None));
}

#[test]
fn content_that_was_not_read_again_is_the_one_known_before() {
    let mut mode = unread(1);
    mode.meta.mode = 0o600;
    let state = fold(vec![
        vec![change("a", None, Some(file(b"1")))],
        vec![change("a", Some(unread(1)), Some(mode.clone()))],
        vec![change("other", Some(unread(1)), Some(mode.clone()))],
    ]);
    let mut wanted = file(b"1");
    wanted.meta.mode = 0o600;
    assert_eq!(node_at(&state, "a"), Some(Some(&wanted)));
    assert_eq!(node_at(&state, "other"), Some(Some(&mode)));
}

#[test]
fn directory_with_only_a_new_time_is_not_written() {
    let mut later = directory();
    later.meta.mtime = Timestamp { secs: 1, nanos: 0 };
    let echo = || change("etc", Some(directory()), Some(later.clone()));
    let state = fold(vec![vec![echo()]]);
    assert!(state.is_empty());
    let written = fold(vec![
        vec![change("etc", None, Some(directory()))],
        vec![echo()],
    ]);
    assert_eq!(node_at(&written, "etc"), Some(Some(&later)));
}

#[test]
fn object_in_place_of_a_directory_hides_all_below() {
    let state = fold(vec![
        vec![
            change("d", None, Some(directory())),
            change("d/f", None, Some(file(b"1"))),
        ],
        vec![change("d", Some(directory()), Some(file(b"2")))],
    ]);
    assert_eq!(node_at(&state, "d"), Some(Some(&file(b"2"))));
    assert_eq!(node_at(&state, "d/f"), None);
}

/// One thing that an entry does to a tree.
#[derive(Debug, Clone)]
enum Deed {
    Write(RelPath, u8),
    MakeDirectory(RelPath),
    Remove(RelPath),
    Rename(RelPath, RelPath),
}

/// Few names, so that paths meet, and siblings that sort between a directory and what is in it.
fn some_path() -> impl Strategy<Value = RelPath> {
    let name = prop_oneof![Just("a"), Just("a!"), Just("b"), Just("\u{1}"), Just("0")];
    proptest::collection::vec(name, 1..4).prop_map(|names| path(&names.join("/")))
}

fn some_deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => (some_path(), any::<u8>()).prop_map(|(at, byte)| Deed::Write(at, byte)),
        2 => some_path().prop_map(Deed::MakeDirectory),
        1 => some_path().prop_map(Deed::Remove),
        2 => (some_path(), some_path()).prop_map(|(from, to)| Deed::Rename(from, to)),
    ]
}

fn is_directory_in(tree: &Tree, at: &RelPath) -> bool {
    at.is_root() || tree.get(at).is_some_and(is_directory)
}

/// Does it to the tree, if it can be done, and says what changed.
fn perform(tree: &mut Tree, deed: &Deed) -> Vec<Change> {
    let of = |path: &RelPath, before: Option<Node>, after: Option<Node>| Change {
        path: path.clone(),
        before,
        after,
        moved_from: None,
    };
    let fits = |tree: &Tree, at: &RelPath| is_directory_in(tree, &at.parent().unwrap());
    match deed {
        Deed::Write(at, byte) if fits(tree, at) && !is_directory_in(tree, at) => {
            let before = tree.insert(at.clone(), file(&[*byte]));
            vec![of(at, before, Some(file(&[*byte])))]
        }
        Deed::MakeDirectory(at) if fits(tree, at) && !tree.contains_key(at) => {
            tree.insert(at.clone(), directory());
            vec![of(at, None, Some(directory()))]
        }
        Deed::Remove(at) => {
            let gone: Vec<RelPath> = tree.keys().filter(|p| p.starts_with(at)).cloned().collect();
            gone.iter().map(|p| of(p, tree.remove(p), None)).collect()
        }
        Deed::Rename(from, to)
            if tree.contains_key(from)
                && fits(tree, to)
                && !tree.contains_key(to)
                && !to.starts_with(from) =>
        {
            let taken: Vec<RelPath> = tree
                .keys()
                .filter(|p| p.starts_with(from))
                .cloned()
                .collect();
            let top = tree[from].clone();
            for old in taken {
                let new = to.join(&old.strip_prefix(from).unwrap()).unwrap();
                let node = tree.remove(&old).unwrap();
                tree.insert(new, node);
            }
            vec![Change {
                path: to.clone(),
                before: Some(top.clone()),
                after: Some(top),
                moved_from: Some(from.clone()),
            }]
        }
        Deed::Write(..) | Deed::MakeDirectory(_) | Deed::Rename(..) => Vec::new(),
    }
}

proptest! {
    /// The fold of change sets is the final state: all that is there is expected as it is, and
    /// nothing that is expected is missing.
    #[test]
    fn fold_of_change_sets_is_the_final_state(
        deeds in proptest::collection::vec(some_deed(), 0..40),
    ) {
        let mut tree = Tree::new();
        let mut state = ExpectedState::new();
        for (number, deed) in deeds.iter().enumerate() {
            let set = ChangeSet::new(perform(&mut tree, deed)).unwrap();
            state.apply(writer(number as u64), &set);
        }
        for (at, node) in &tree {
            prop_assert_eq!(state.get(at).map(|e| e.node), Some(Some(node)), "{}", at);
        }
        for (at, expected) in state.iter() {
            prop_assert_eq!(expected.node, tree.get(at), "{}", at);
        }
    }
}
