//! What must hold of every plan.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::disk::{Disk, Tree};
use super::ground::{CRASH, Fragile};
use super::rig::{Rig, Story};
use super::work::{Work, at, entry, setup};
use crate::commit::apply::{Pass, apply};
use crate::commit::step::Steps;
use crate::commit::step_error::StepError;

fn story() -> impl Strategy<Value = Story> {
    (setup(), entry(), any::<u8>(), any::<bool>()).prop_map(|(setup, entry, choice, ages)| Story {
        setup,
        entry,
        choice,
        ages,
    })
}

fn stories() -> impl Strategy<Value = Vec<Story>> {
    prop_oneof![
        3 => prop::collection::vec(story(), 1),
        1 => prop::collection::vec(story(), 2),
    ]
}

fn trees(disks: &[Disk]) -> Vec<Tree> {
    disks.iter().map(Disk::tree).collect()
}

/// What two lists of trees do not share.
fn difference(found: &[Tree], wanted: &[Tree]) -> String {
    let mut text = String::new();
    for (found, wanted) in found.iter().zip(wanted) {
        let paths: std::collections::BTreeSet<_> = found.keys().chain(wanted.keys()).collect();
        for path in paths {
            if found.get(path) != wanted.get(path) {
                let (found, wanted) = (found.get(path), wanted.get(path));
                text += &format!("{path}\n  found  {found:?}\n  wanted {wanted:?}\n");
            }
        }
    }
    text
}

fn is_crash(error: &StepError) -> bool {
    matches!(error, StepError::Failed { errno, .. } if *errno == CRASH)
}

/// Does the steps until the crash, and then the steps `next` from there.
fn crash_and(
    rig: &Rig,
    disks: &[Disk],
    (first, next): (&Steps, &Steps),
    after: usize,
) -> Result<Option<Fragile>, TestCaseError> {
    let mut ground = Fragile {
        disks: disks.to_vec(),
        left: after,
    };
    match apply(&mut ground, first, Pass::First, &mut |_, _| {}) {
        Ok(_) => return Ok(None),
        Err(error) if is_crash(&error) => {}
        Err(error) => prop_assert!(false, "{error}\n{:?}", rig.listing()),
    }
    ground.left = usize::MAX;
    let done = apply(&mut ground, next, Pass::Again, &mut |_, _| {});
    prop_assert!(
        done.is_ok(),
        "crash after {after}: {done:?}\n{}\n{first:?}\n{next:?}",
        rig.listing()
    );
    Ok(Some(ground))
}

/// Does all of it, and then again with a crash after every change, each ended by going on and by
/// going back; and the same for the way back.
fn holds(rig: &Rig) -> Result<(), TestCaseError> {
    let ready = match rig.plan() {
        Ok(Ok(ready)) => ready,
        other => {
            let other = other.map(|planned| planned.err());
            return Err(TestCaseError::fail(format!("{other:?}\n{}", rig.listing())));
        }
    };
    let before = trees(&ready.disks);
    let numbers: Vec<_> = ready.disks.iter().map(Disk::numbers).collect();
    let (forward, back) = (&ready.steps, &ready.steps.clone().reversed());
    let mut all = ready.fragile(usize::MAX);
    let done = apply(&mut all, forward, Pass::First, &mut |_, _| {});
    prop_assert!(done.is_ok(), "{done:?}\n{}\n{forward:?}", rig.listing());
    let end = trees(&all.disks);
    let wrong = difference(&end, &rig.wanted);
    prop_assert!(wrong.is_empty(), "{wrong}\n{}\n{forward:?}", rig.listing());
    let committed = all.disks.clone();
    for (disks, first, second, [to, from]) in [
        (&ready.disks, forward, back, [&end, &before]),
        (&committed, back, forward, [&before, &end]),
    ] {
        for after in 0.. {
            let Some(on) = crash_and(rig, disks, (first, first), after)? else {
                break;
            };
            let wrong = difference(&trees(&on.disks), to);
            prop_assert!(wrong.is_empty(), "on after {after}: {wrong}\n{forward:?}");
            if let Some(taken_back) = crash_and(rig, disks, (first, second), after)? {
                let wrong = difference(&trees(&taken_back.disks), from);
                prop_assert!(wrong.is_empty(), "back after {after}: {wrong}\n{forward:?}");
            }
        }
    }
    let undone = apply(&mut all, back, Pass::First, &mut |_, _| {});
    prop_assert!(
        undone.is_ok(),
        "undo: {undone:?}\n{}\n{forward:?}",
        rig.listing()
    );
    let wrong = difference(&trees(&all.disks), &before);
    prop_assert!(
        wrong.is_empty(),
        "undo: {wrong}\n{}\n{forward:?}",
        rig.listing()
    );
    let now: Vec<_> = all.disks.iter().map(Disk::numbers).collect();
    prop_assert_eq!(now, numbers, "inodes");
    Ok(())
}

/// Checks work by name; each of the cases was a defect once.
fn check(setup: &[Work], entry: &[Work]) {
    let story = |choice| Story {
        setup: setup.to_vec(),
        entry: entry.to_vec(),
        choice,
        ages: choice.is_multiple_of(2),
    };
    for choice in 0..12 {
        holds(&Rig::new(&[story(choice)])).unwrap();
    }
}

fn directory(path: &str) -> Work {
    Work::Make(at(path), 1)
}

fn file(path: &str) -> Work {
    Work::Make(at(path), 0)
}

#[test]
fn files_move_between_directories_that_change_places() {
    check(
        &[
            directory("a"),
            directory("b"),
            directory("a/a"),
            directory("a/c"),
            file("a/b"),
            file("a/c/a"),
            file("a/a/a"),
            file("a/c/b"),
        ],
        &[
            Work::Move(at("a/a/a"), at("b/c")),
            Work::Exchange(at("a/c"), at("b/c")),
            Work::Move(at("b/c/a"), at("a/a/b")),
            Work::Exchange(at("a"), at("b")),
        ],
    );
}

#[test]
fn a_locked_directory_goes_with_a_name_of_a_file_that_stays() {
    check(
        &[
            file("a"),
            directory("d"),
            Work::Link(at("a"), at("d/b")),
            Work::Lock(at("d"), crate::change::FLAG_IMMUTABLE),
        ],
        &[Work::Lock(at("d"), 0), Work::Remove(at("d"))],
    );
}

#[test]
fn files_change_in_a_locked_directory_and_are_locked() {
    let lock = crate::change::FLAG_IMMUTABLE;
    check(
        &[
            directory("d"),
            file("d/a"),
            Work::Link(at("d/a"), at("d/b")),
            Work::Make(at("d/s"), 2),
            file("d/c"),
            Work::Lock(at("d"), lock),
        ],
        &[
            Work::Write(at("d/a")),
            Work::Write(at("d/c")),
            Work::Lock(at("d/a"), lock),
        ],
    );
    check(
        &[file("a"), file("b"), Work::Link(at("a"), at("c"))],
        &[
            Work::Link(at("a"), at("d")),
            Work::Write(at("d")),
            Work::Lock(at("d"), lock),
        ],
    );
}

#[test]
fn directories_with_names_of_one_file_change_places() {
    let both = [
        directory("a"),
        directory("b"),
        directory("c"),
        file("b/a"),
        Work::Link(at("b/a"), at("a/b")),
    ];
    let entry = [
        Work::Move(at("b/a"), at("c/a")),
        Work::Exchange(at("c"), at("b")),
    ];
    check(&both, &entry);
}

#[test]
fn a_directory_takes_the_place_of_one_with_a_name_of_a_file_that_stays() {
    check(
        &[
            directory("a"),
            directory("b"),
            directory("b/a"),
            file("b/b"),
            Work::Link(at("b/b"), at("a/a")),
        ],
        &[Work::Remove(at("a")), Work::Move(at("b"), at("a"))],
    );
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(150),
        max_shrink_iters: 4000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_plan_leads_to_what_was_to_be_and_back_from_anywhere(stories in stories()) {
        holds(&Rig::new(&stories))?;
    }

    #[test]
    fn what_others_changed_meanwhile_is_named_and_nothing_is_planned(
        stories in stories(), which in any::<usize>(), how in 0..4usize,
    ) {
        let mut rig = Rig::new(&stories);
        if let Some(path) = rig.meddle(which, how) {
            let planned = rig.plan().map(|planned| planned.err());
            let named = matches!(&planned, Ok(Some(conflicts))
                if conflicts.list.iter().any(|conflict| conflict.path == path));
            prop_assert!(named, "{path} {how}: {planned:?}\n{}", rig.listing());
        }
    }
}
