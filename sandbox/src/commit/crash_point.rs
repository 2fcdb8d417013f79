//! Named points at which a test may stop the process, as a power cut would. Not for production
//! logic. Upholds: every durable or visible step has a point before and after it, and the crash
//! suite visits every one.

use nix::sys::signal::Signal;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The environment variable that names the point: `NAME`, or `NAME:N` for its N-th passage;
/// `NAME:N:pause` has the process wait there for `SIGCONT` instead. Of several names with commas
/// between them each passage counts.
pub const CRASH_AT: &str = "ISCONF_CRASH_AT";

/// Every point of this crate. Other crates keep a table of their own under another prefix.
pub const ALL: &[&str] = &[
    "commit.prepare.begun",
    "commit.prepare.done",
    "commit.presync.done",
    "commit.intent.written",
    "commit.intent.synced",
    "commit.intent.renamed",
    "commit.intent.durable",
    "commit.apply.unlocked",
    "commit.apply.before_move",
    "commit.apply.after_move",
    "commit.apply.before_rewrite",
    "commit.apply.after_rewrite",
    "commit.apply.before_setting",
    "commit.apply.after_setting",
    "commit.apply.done",
    "commit.postsync.done",
    "commit.finish.renamed",
    "commit.finish.durable",
    "commit.rollback.decided",
    "commit.rollback.durable",
    "commit.rollback.applied",
    "commit.rollback.synced",
    "commit.rollback.removed",
    "commit.recover.begun",
    "commit.recover.applied",
    "commit.undo.checked",
    "commit.forget.renamed",
    "commit.forget.volume_removed",
    "commit.forget.removed",
];

/// The points that the environment chose.
#[derive(Debug)]
struct Chosen {
    names: Vec<String>,
    /// How many of their passages are left to survive.
    left: AtomicU64,
    /// What the process then does to itself.
    signal: Signal,
}

static CHOSEN: OnceLock<Option<Chosen>> = OnceLock::new();

/// Stops the process at once, with nothing flushed and nothing dropped, when the environment chose
/// this point; otherwise does nothing.
pub fn crash_point(name: &str) {
    let chosen = CHOSEN.get_or_init(|| std::env::var(CRASH_AT).ok().and_then(|v| parse(&v)));
    if let Some(chosen) = chosen
        && chosen.names.iter().any(|chosen| chosen == name)
        && chosen.left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        let sent = nix::sys::signal::raise(chosen.signal);
        // Neither signal can be refused to oneself; should it be, the test notices that we go on.
        debug_assert!(sent.is_ok(), "a process may always stop itself");
    }
}

/// Reads the value; `None` when it says anything else.
fn parse(value: &str) -> Option<Chosen> {
    let mut parts = value.split(':');
    let (names, passage, what) = (parts.next()?, parts.next(), parts.next());
    let left = passage.unwrap_or("1").parse::<u64>().ok();
    let signal = match what {
        None => Signal::SIGKILL,
        Some("pause") => Signal::SIGSTOP,
        Some(_) => return None,
    };
    Some(Chosen {
        names: names.split(',').map(str::to_owned).collect(),
        left: AtomicU64::new(left.filter(|n| *n > 0)?),
        signal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn names_used(dir: &Path, used: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                names_used(&path, used);
            } else if path.extension().is_some_and(|e| e == "rs")
                && !path.ends_with("crash_point.rs")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                for part in text.split("crash_point(\"").skip(1) {
                    used.insert(part.split('"').next().unwrap().to_owned());
                }
            }
        }
    }

    #[test]
    fn the_table_and_the_sources_name_the_same_points() {
        let mut used = BTreeSet::new();
        names_used(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            &mut used,
        );
        let table: BTreeSet<String> = ALL.iter().map(|s| (*s).to_owned()).collect();
        assert_eq!(used, table);
        assert_eq!(table.len(), ALL.len(), "a name appears twice");
    }

    #[test]
    fn a_passage_number_is_understood_and_nonsense_is_not() {
        let third = parse("a.b:3").unwrap();
        assert_eq!(
            (third.names, third.left.into_inner()),
            (vec!["a.b".to_owned()], 3)
        );
        assert_eq!(parse("a.b,c:2").unwrap().names, ["a.b", "c"]);
        assert_eq!(parse("a.b").unwrap().left.into_inner(), 1);
        assert_eq!(parse("a.b:1:pause").unwrap().signal, Signal::SIGSTOP);
        assert!(parse("a.b:1:sleep").is_none());
        assert!(parse("a.b:0").is_none());
        assert!(parse("a.b:x").is_none());
    }
}
