//! Every kind of change that somebody makes on the live side while a scratchpad is in use, against
//! every kind of change that the scratchpad holds, at both moments: while the command runs, and
//! before a kept scratchpad is committed. Nothing live is lost: a refused commit leaves the tree as
//! it was found, to the bit, and names path and states; one that goes through ends as if the command
//! had run after the live change, with all that somebody made still there.
//!
//! The commands, and which pair ends how, are data: `changed_meanwhile.txt`. All pairs of a moment
//! share one host, each in a directory of its own. Those that change the same and end alike share a
//! scratchpad.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use crate::support::machine::Machine;

/// Enough for some hundred scratchpads on a slow machine.
const LIMIT: Duration = Duration::from_secs(600);

/// The commands.
const DATA: &str = include_str!("changed_meanwhile.txt");

/// When the live change comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    WhileRunning,
    WhileKept,
}

/// One change of a scratchpad and one of somebody else's.
struct Pair {
    /// Its directory.
    id: String,
    captured: &'static str,
    live: &'static str,
    /// The path that the live change is made at.
    target: &'static str,
    ending: Ending,
}

/// How a commit is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    Committed,
    Refused,
    /// The live change cannot be made.
    NotApplicable,
}

impl Pair {
    /// The scratchpad that it shares with all that change the same and end so: what is refused is
    /// refused for each of them, or it would not be named.
    fn group(&self) -> String {
        let ending = match self.ending {
            Ending::Committed => "committed",
            Ending::Refused => "refused",
            Ending::NotApplicable => "none",
        };
        format!("{}-{ending}", self.captured)
    }
}

/// What is below a pair's directory, by path: all but the path itself.
type Tree = BTreeMap<String, String>;

/// The lines of a section of the data, cut into so many fields.
fn section(name: &str, fields: usize) -> Vec<Vec<&'static str>> {
    let begin = DATA
        .find(&format!("\n[{name}]\n"))
        .expect("the section exists");
    let body = DATA[begin + 1..].lines().skip(1);
    body.take_while(|line| !line.starts_with('['))
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| line.splitn(fields, " | ").map(str::trim).collect())
        .collect()
}

/// All pairs, and how each is to end.
fn pairs(moment: Moment) -> Vec<Pair> {
    let table = match moment {
        Moment::WhileRunning => section("while running", 2),
        Moment::WhileKept => section("while kept", 2),
    };
    let (captured, live) = (section("captured", 3), section("live", 2));
    let mut pairs = Vec::new();
    assert_eq!(
        table.len(),
        captured.len(),
        "a row for each captured change"
    );
    for (row, (captured, endings)) in captured.iter().zip(&table).enumerate() {
        assert_eq!(endings[0], captured[0], "rows in the order of the changes");
        assert_eq!(
            endings[1].len(),
            live.len(),
            "a letter for each live change"
        );
        for (column, (live, letter)) in live.iter().zip(endings[1].chars()).enumerate() {
            pairs.push(Pair {
                id: format!("{row:02}-{column:02}"),
                captured: captured[0],
                live: live[0],
                target: captured[1],
                ending: match letter {
                    'c' => Ending::Committed,
                    'r' => Ending::Refused,
                    '.' => Ending::NotApplicable,
                    other => panic!("{other:?} says nothing"),
                },
            });
        }
    }
    pairs
}

/// Puts the commands and the lists of pairs on the host and makes the directories: `w` for the
/// scratchpads, `n` for doing the same natively.
fn prepare(host: &Machine, pairs: &[Pair]) {
    run(
        host,
        "mkdir -p /root/c /root/l /root/o /root/g /srv/w /srv/n /srv/t; mkfifo /root/in /root/out",
    );
    for fields in section("captured", 3) {
        host.write(&format!("/root/c/{}", fields[0]), fields[2]);
    }
    for fields in section("live", 2) {
        host.write(&format!("/root/l/{}", fields[0]), fields[1]);
    }
    let mut lists: BTreeMap<String, String> = BTreeMap::new();
    for pair in pairs {
        let line = format!(
            "{} {} {} {}\n",
            pair.id, pair.captured, pair.live, pair.target
        );
        lists.entry("pairs".to_owned()).or_default().push_str(&line);
        if pair.ending != Ending::NotApplicable {
            let list = lists.entry(format!("g/{}", pair.group())).or_default();
            list.push_str(&line);
        }
    }
    for (name, list) in &lists {
        host.write(&format!("/root/{name}"), list);
    }
    let tree: Vec<_> = section("tree", 1).into_iter().flatten().collect();
    run(
        host,
        &format!(
            "set -e; cd /srv/t; {}; while read id c l t; do \
               cp -a /srv/t /srv/n/$id; cp -a /srv/t /srv/w/$id; done </root/pairs",
            tree.join("; ")
        ),
    );
}

/// Runs a script that must succeed.
fn run(host: &Machine, script: &str) {
    let command = host.host().shell(script).timeout(LIMIT);
    if let Err(error) = command.ok() {
        let last = host.sh("cd /root/o; last=$(ls -t | head -n 1); echo $last; cat $last");
        panic!("{error}\n{}", last.out());
    }
}

/// What is below `/srv/w` or `/srv/n`, by pair.
fn trees(host: &Machine, top: &str) -> BTreeMap<String, Tree> {
    let manifest = host.host().manifest(top).expect("the tree can be listed");
    let mut trees: BTreeMap<String, Tree> = BTreeMap::new();
    for line in manifest.to_string().lines() {
        let line = line.replace(&format!("{top}/"), "/");
        let Some((id, rest)) = line[1..].split_once('/') else {
            continue;
        };
        let (path, state) = rest.split_once(' ').expect("a path and its state");
        let state = state.replace(&format!("=/{id}/"), "=");
        let tree = trees.entry(id.to_owned()).or_default();
        tree.insert(path.to_owned(), state);
    }
    trees
}

/// The state without what need not be equal between two runs of the same commands.
fn timeless(state: &str) -> String {
    let is_directory = state.starts_with("dir ");
    let by_chance =
        |word: &str| word.starts_with("mtime=") || (is_directory && word.starts_with("nlink="));
    let words = state.split(' ').filter(|word| !by_chance(word));
    words.collect::<Vec<_>>().join(" ")
}

/// What an object is, whatever its names.
fn object(state: &str) -> String {
    let words = timeless(state);
    let words = words
        .split(' ')
        .filter(|word| !word.starts_with("same-as=") && !word.starts_with("nlink="));
    words.collect::<Vec<_>>().join(" ")
}

fn timeless_tree(tree: &Tree) -> Tree {
    let states = tree.iter();
    states
        .map(|(path, state)| (path.clone(), timeless(state)))
        .collect()
}

/// Does the live change and then the captured one natively, as far as it then can be done; checks
/// which live changes apply.
fn natively(host: &Machine, pairs: &[Pair]) {
    run(
        host,
        "while read id c l t; do \
           (cd /srv/n/$id; T=$t sh -e /root/l/$l) </dev/null >/dev/null; echo $id $?; \
           (cd /srv/n/$id; sh /root/c/$c) </dev/null >/dev/null; \
         done </root/pairs >/root/applies 2>/dev/null",
    );
    let applies = host.read("/root/applies");
    for (pair, line) in pairs.iter().zip(applies.lines()) {
        let applies = line == format!("{} 0", pair.id);
        let (captured, live) = (pair.captured, pair.live);
        let says = pair.ending != Ending::NotApplicable;
        assert_eq!(says, applies, "whether {live} applies to {captured}");
    }
}

/// Keeps a scratchpad for every group and makes its live changes, at their moment.
fn keep_and_change(host: &Machine, moment: Moment) {
    let inside = "while read id c l t; do (cd /srv/w/$id; . /root/c/$c); done </root/g/$0";
    let live = "while read id c l t; do \
                  (cd /srv/w/$id; T=$t sh -e /root/l/$l) </dev/null >/dev/null 2>&1 || exit 1; \
                done </root/g/$g";
    let each = match moment {
        Moment::WhileKept => format!(
            "isconf try --keep $g sh -ec '{inside}' $g </dev/null >/root/o/$g.try 2>&1 || exit 1; \
             {live}"
        ),
        // The command says when it has done its work, and waits until the live changes are made.
        Moment::WhileRunning => format!(
            "isconf try --keep $g sh -ec '{inside}; echo done; read x' $g \
               <>/root/in >/root/out 2>/root/o/$g.try & pid=$!; \
             exec 8</root/out; read x <&8; {live}; \
             echo go >/root/in; cat <&8 >>/root/o/$g.try; wait $pid || exit 1"
        ),
    };
    run(host, &format!("cd /root/g; for g in *; do {each}; done"));
}

/// Commits every kept scratchpad; gives how each ended.
fn commit(host: &Machine) -> BTreeMap<String, i32> {
    run(
        host,
        "cd /root/g; for g in *; do \
           isconf try --commit $g </dev/null >/root/o/$g.out 2>/root/o/$g.err; \
           echo $g $? >>/root/endings; \
         done",
    );
    let endings = host.read("/root/endings");
    let endings = endings.lines().filter_map(|line| line.split_once(' '));
    endings
        .map(|(group, status)| (group.to_owned(), status.parse().expect("a status")))
        .collect()
}

/// The trees of one pair.
struct Trees<'a> {
    start: &'a Tree,
    /// With the live change.
    found: &'a Tree,
    /// After the commit, or its refusal.
    result: &'a Tree,
    native: &'a Tree,
}

/// What is wrong with a pair that was refused.
fn faults_of_refused(host: &Machine, pair: &Pair, trees: &Trees<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    if trees.found != trees.result {
        faults.push("the live tree is not as it was found".to_owned());
    }
    let output = |kind| host.read(&format!("/root/o/{}.{kind}", pair.group()));
    if !output("err").contains(&format!("`isconf try --drop {}`", pair.group())) {
        faults.push("it is not said what to do".to_owned());
    }
    let out = output("out");
    let lines: Vec<&str> = out.lines().collect();
    let place = format!("    /srv/w/{}/", pair.id);
    let told = lines.windows(3).any(|lines| {
        lines[0].starts_with(&place)
            && lines[1].starts_with("      seen:  ")
            && lines[2].starts_with("      found: ")
            && lines[1][13..] != lines[2][13..]
    });
    if !told {
        faults.push("its path and both states are not named".to_owned());
    }
    faults
}

/// What is wrong with a pair that was committed.
fn faults_of_committed(trees: &Trees<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    if timeless_tree(trees.result) != timeless_tree(trees.native) {
        faults.push("it is not as if it had run after the live change".to_owned());
    }
    let now: BTreeSet<String> = trees.result.values().map(|state| object(state)).collect();
    for (path, state) in trees.found {
        let before = trees.start.get(path).map(|state| object(state));
        if before != Some(object(state)) && !now.contains(&object(state)) {
            faults.push(format!("{path} is lost"));
        }
    }
    faults
}

/// Goes through all pairs of a moment.
fn every_pair(name: &str, moment: Moment) {
    let Some(host) = Machine::bare(name) else {
        return;
    };
    let pairs = pairs(moment);
    prepare(&host, &pairs);
    let start = trees(&host, "/srv/w");
    natively(&host, &pairs);
    let native = trees(&host, "/srv/n");
    keep_and_change(&host, moment);
    let found = trees(&host, "/srv/w");
    let endings = commit(&host);
    let result = trees(&host, "/srv/w");
    let mut bad = String::new();
    let applying = pairs
        .iter()
        .filter(|pair| pair.ending != Ending::NotApplicable);
    // One from which somebody removed everything has no lines.
    let nothing = Tree::new();
    for pair in applying {
        let trees = Trees {
            start: start.get(&pair.id).unwrap_or(&nothing),
            found: found.get(&pair.id).unwrap_or(&nothing),
            result: result.get(&pair.id).unwrap_or(&nothing),
            native: native.get(&pair.id).unwrap_or(&nothing),
        };
        let faults = match (pair.ending, endings[&pair.group()]) {
            (Ending::Committed, 0) => faults_of_committed(&trees),
            (Ending::Refused, 3) => faults_of_refused(&host, pair, &trees),
            (_, status) => vec![format!("status {status}")],
        };
        if !faults.is_empty() {
            let (captured, live) = (pair.captured, pair.live);
            let Trees {
                found,
                result,
                native,
                ..
            } = trees;
            writeln!(
                bad,
                "=== {captured}, live {live} ({:?}): {}\n\
                 found {found:#?}\nresult {result:#?}\nnative {native:#?}\n{}{}",
                pair.ending,
                faults.join("; "),
                host.read(&format!("/root/o/{}.err", pair.group())),
                host.read(&format!("/root/o/{}.out", pair.group())),
            )
            .unwrap();
        }
    }
    assert!(bad.is_empty(), "{moment:?}\n{bad}");
}

#[test]
fn what_changes_while_a_command_runs_is_never_lost() {
    every_pair("whilerunning", Moment::WhileRunning);
}

#[test]
fn what_changes_while_a_scratchpad_is_kept_is_never_lost() {
    every_pair("whilekept", Moment::WhileKept);
}
