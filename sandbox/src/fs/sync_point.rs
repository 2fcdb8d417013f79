//! The names of all syncs, so that a test can leave one out and see whether the recorded disk
//! misses it. Not for production: without the feature `leave-out-syncs`, which no release has,
//! nothing is ever left out. Upholds: every fsync and syncfs has a name, and the proof visits each.

/// The environment variable that names the sync to leave out.
pub const LEAVE_OUT: &str = "ISCONF_LEAVE_OUT";

/// Every sync of both crates, and what it makes durable.
pub const ALL: &[(&str, &str)] = &[
    ("before.files", "new files, one by one"),
    ("before.directories", "directories of new trees, one by one"),
    ("before.filesystem", "new objects, when there are many"),
    ("intent.bytes", "the bytes of the intent"),
    ("intent.name", "the name of the intent"),
    (
        "after.directories",
        "live directories in which names changed",
    ),
    (
        "after.objects",
        "live objects whose bytes or attributes changed",
    ),
    (
        "after.filesystem",
        "all that changed, when it is much, and on btrfs",
    ),
    (
        "unopened.filesystem",
        "links, pipes and devices, which cannot be opened for it",
    ),
    ("record.advanced", "the next state of a transaction"),
    (
        "record.removed",
        "that a transaction which was taken back is gone",
    ),
    ("replaced.bytes", "the bytes of one of isconf's small files"),
    ("replaced.name", "the name of one of isconf's small files"),
    ("made.name", "the name of one of isconf's directories"),
    ("removed.name", "that one of isconf's small files is gone"),
    ("chain.appended", "records of journal, history or wip"),
    ("chain.cut", "that a torn record is gone"),
    ("blobs.bytes", "the bytes of new blobs, one by one"),
    (
        "blobs.filesystem",
        "the bytes of new blobs, when there are many",
    ),
    ("blobs.names", "the names of new blobs"),
    ("bundle.bytes", "the bytes of a bundle"),
    ("room.taken", "nothing: asks whether there is room"),
];

/// Tells whether a test wants this sync left out.
#[cfg(feature = "leave-out-syncs")]
pub fn is_left_out(name: &str) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| std::env::var(LEAVE_OUT).ok());
    chosen.as_deref() == Some(name)
}

/// Tells that no sync is left out.
#[cfg(not(feature = "leave-out-syncs"))]
#[inline]
pub const fn is_left_out(_name: &str) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// What calls the kernel: `(of a program, of the library)`.
    const CALLS: [&str; 5] = [
        "unistd::fsync(",
        "unistd::syncfs(",
        ".sync_all()",
        ".sync_data()",
        "sync_together(",
    ];

    fn look(directory: &Path, used: &mut BTreeSet<String>, calls: &mut Vec<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") && !path.ends_with("tour") {
                look(&path, used, calls);
            } else if path.extension().is_some_and(|e| e == "rs")
                && !path.ends_with("sync_point.rs")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]").next().unwrap();
                let quoted = |name: &&str| text.contains(&format!("\"{name}\""));
                used.extend(
                    ALL.iter()
                        .map(|(name, _)| *name)
                        .filter(quoted)
                        .map(str::to_owned),
                );
                for part in text.split("is_left_out(\"").skip(1) {
                    used.insert(part.split('"').next().unwrap().to_owned());
                }
                let called = CALLS.iter().any(|call| text.contains(call));
                if called && !text.contains("is_left_out(") {
                    calls.push(path.display().to_string());
                }
            }
        }
    }

    #[test]
    fn the_table_and_the_sources_name_the_same_syncs() {
        let (mut used, mut calls) = (BTreeSet::new(), Vec::new());
        let top = Path::new(env!("CARGO_MANIFEST_DIR"));
        for sources in [top.join("src"), top.join("../src")] {
            look(&sources, &mut used, &mut calls);
        }
        let table: BTreeSet<String> = ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(used, table);
        // What only passes the call on; its callers have the names.
        let passing = ["fs/dir.rs", "fs/together.rs"];
        calls.retain(|file| !passing.iter().any(|known| file.ends_with(known)));
        assert!(calls.is_empty(), "a sync without a name in {calls:?}");
    }
}
