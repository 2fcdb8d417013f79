//! Conflicts are found, named, and nothing is touched.

use super::manifest::{difference, manifest};
use super::stage::Stage;
use super::{make_live, path, places};
use crate::capture::Capture;
use crate::change::Timestamp;
use crate::commit::{CommitError, ConflictKind, UndoError, commit, undo};

/// Commits after `meddle` changed the live tree, and gives the conflicts.
fn conflicts(
    work: impl Fn(&mut Stage),
    meddle: impl Fn(&std::path::Path),
) -> Vec<(String, ConflictKind)> {
    let mut all = Vec::new();
    for place in places() {
        let mut stage = Stage::new(place.path(), make_live);
        work(&mut stage);
        meddle(stage.live());
        let before = manifest(stage.live());
        let Err(CommitError::Conflicts(found)) = commit(&stage.layout, &stage.capture(), b"")
        else {
            panic!("no conflict");
        };
        let after = manifest(stage.live());
        assert_eq!(difference(&before.0, &after.0), "");
        assert_eq!(before.1, after.1);
        all = found
            .list
            .into_iter()
            .map(|c| (c.path.to_string(), c.kind))
            .collect();
    }
    all
}

#[test]
fn a_file_that_was_written_meanwhile() {
    let found = conflicts(
        |s| {
            s.write("a/one", b"ours", false);
            s.write("a/two", b"ours", true);
        },
        |live| {
            std::fs::write(live.join("a/one"), b"theirs").unwrap();
            std::fs::write(live.join("a/two"), b"theirs").unwrap();
        },
    );
    let expected = [
        ("/a/one", ConflictKind::Changed),
        ("/a/two", ConflictKind::Changed),
    ];
    assert_eq!(found, expected.map(|(p, k)| (p.to_owned(), k)));
}

#[test]
fn a_file_that_was_replaced_appeared_or_vanished() {
    let found = conflicts(
        |s| {
            s.write("a/one", b"ours", false);
            s.write("a/two", b"ours", false);
            s.write("new", b"ours", false);
        },
        |live| {
            std::fs::write(live.join("aside"), b"theirs").unwrap();
            std::fs::rename(live.join("aside"), live.join("a/one")).unwrap();
            std::fs::remove_file(live.join("a/two")).unwrap();
            std::fs::write(live.join("new"), b"theirs").unwrap();
        },
    );
    let expected = [
        ("/a/one", ConflictKind::Replaced),
        ("/a/two", ConflictKind::Vanished),
        ("/new", ConflictKind::Appeared),
    ];
    assert_eq!(found, expected.map(|(p, k)| (p.to_owned(), k)));
}

#[test]
fn something_added_below_a_directory_that_goes() {
    let found = conflicts(
        |s| s.remove("a"),
        |live| std::fs::write(live.join("a/b/theirs"), b"theirs").unwrap(),
    );
    assert_eq!(found, [("/a/b/theirs".to_owned(), ConflictKind::Appeared)]);
}

#[test]
fn a_parent_that_was_replaced() {
    let found = conflicts(
        |s| s.write("a/b/new", b"ours", false),
        |live| {
            std::fs::rename(live.join("a/b"), live.join("a/gone")).unwrap();
            std::fs::create_dir(live.join("a/b")).unwrap();
        },
    );
    assert_eq!(found, [("/a/b".to_owned(), ConflictKind::Replaced)]);
}

#[test]
fn a_directory_in_which_others_work_is_no_conflict() {
    for place in places() {
        let mut stage = Stage::new(place.path(), make_live);
        stage.write("a/new", b"ours", false);
        std::fs::write(stage.live().join("a/theirs"), b"theirs").unwrap();
        commit(&stage.layout, &stage.capture(), b"")
            .unwrap()
            .finish()
            .unwrap();
        let (live, _) = manifest(stage.live());
        assert!(live.contains_key(&path("a/new")) && live.contains_key(&path("a/theirs")));
    }
}

#[test]
fn undo_refuses_what_changed_since() {
    type Meddler = (&'static str, fn(&std::path::Path));
    let meddlers: [Meddler; 4] = [
        ("/a/one", |live| {
            std::fs::write(live.join("a/one"), b"hello").unwrap()
        }),
        ("/tree/theirs", |live| {
            std::fs::write(live.join("tree/theirs"), b"").unwrap()
        }),
        ("/a/two", |live| {
            std::fs::write(live.join("a/two"), b"back").unwrap()
        }),
        ("/new", |live| {
            std::fs::remove_file(live.join("new")).unwrap()
        }),
    ];
    for (path, meddle) in meddlers {
        let place = tempfile::tempdir().unwrap();
        let mut stage = Stage::new(place.path(), make_live);
        stage.write("new", b"new", false);
        stage.mkdir("tree");
        stage.write("a/one", b"ours", false);
        stage.remove("a/two");
        commit(&stage.layout, &stage.capture(), b"")
            .unwrap()
            .finish()
            .unwrap();
        meddle(stage.live());
        let before = manifest(stage.live());
        let result = undo(&stage.home(), stage.live(), &stage.layout.tx, b"");
        let Err(UndoError::Conflicts(found)) = result else {
            panic!("no conflict at {path}");
        };
        assert_eq!(found.list.len(), 1);
        assert_eq!(found.list[0].path.to_string(), path);
        assert_eq!(difference(&before.0, &manifest(stage.live()).0), "");
    }
}

#[test]
fn a_time_of_change_ahead_of_the_clock_is_no_conflict_until_it_changes() {
    for place in places() {
        let mut stage = Stage::new(place.path(), make_live);
        stage.write("a/one", b"ours", false);
        // As if the scratchpad had been made and left long before the file's time of change.
        let mut capture = stage.capture();
        let at = |secs| Timestamp { secs, nanos: 0 };
        capture.since = at(1);
        let layout = stage.layout.clone();
        let refused = |capture: &Capture| match commit(&layout, capture, b"") {
            Err(CommitError::Conflicts(found)) => found.list[0].kind == ConflictKind::Changed,
            _ => false,
        };
        assert!(refused(&capture), "the clock was set, or that is not known");
        capture.present = Some(at(2));
        let one = stage.live().join("a/one");
        let (old, mtime) = (std::fs::read(&one).unwrap(), one.metadata().unwrap());
        std::fs::write(&one, b"theirs").unwrap();
        assert!(refused(&capture), "it changed after that");
        std::fs::write(&one, old).unwrap();
        let file = std::fs::File::options().write(true).open(&one).unwrap();
        file.set_modified(mtime.modified().unwrap()).unwrap();
        assert!(
            refused(&capture),
            "it looks as it did, and has another time of change"
        );
    }
    for place in places() {
        let mut stage = Stage::new(place.path(), make_live);
        stage.write("a/one", b"ours", false);
        let mut capture = stage.capture();
        capture.since = Timestamp { secs: 1, nanos: 0 };
        capture.present = Some(Timestamp { secs: 2, nanos: 0 });
        let landed = commit(&stage.layout, &capture, b"").unwrap();
        landed.finish().unwrap();
        assert_eq!(std::fs::read(stage.live().join("a/one")).unwrap(), b"ours");
    }
}
