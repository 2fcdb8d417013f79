//! The names of all syncs, so that a test can leave one out and see whether the recorded disk
//! misses it. Not for production: without the feature `leave-out-syncs`, which no member of the
//! workspace turns on by itself and no release can have, nothing is ever left out. Upholds: every
//! fsync and syncfs has a name, and the proof visits each.

// The whole promise rests on the syncs: nobody is to get a program that can be told to omit them.
#[cfg(all(feature = "leave-out-syncs", not(debug_assertions)))]
compile_error!("leave-out-syncs is for tests of debug builds");

/// The environment variable that names the syncs to leave out, with commas between.
pub const LEAVE_OUT: &str = "ISCONF_LEAVE_OUT";

/// Every sync of both crates, and what it makes durable.
pub const ALL: &[(&str, &str)] = &[
    ("before.files", "new files, one by one"),
    ("before.directories", "directories of new trees, one by one"),
    ("before.filesystem", "new objects, when there are many"),
    (
        "companion.bytes",
        "the bytes of the change set that a receipt will name",
    ),
    ("companion.names", "the name of that change set"),
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
        "begun.filesystem",
        "the steps that were done, before the record that they are taken back",
    ),
    (
        "unopened.filesystem",
        "links, pipes and devices, which cannot be opened for it",
    ),
    (
        "record.withdrawn",
        "that a record which could not be made durable is gone",
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
    ("partial.bytes", "a blob that arrived from another host"),
    ("bundle.bytes", "the bytes of a bundle"),
    ("bundle.name", "the name of a bundle"),
    ("room.taken", "nothing: asks whether there is room"),
];

/// Does a sync, unless a test leaves out the one of this name. Without the feature it is the call of
/// `sync` and nothing else.
#[inline]
pub fn sync_at<E>(name: &'static str, sync: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
    if is_left_out(name) {
        return Ok(());
    }
    sync()
}

/// Tells whether a test wants this sync left out.
#[cfg(feature = "leave-out-syncs")]
pub fn is_left_out(name: &str) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| std::env::var(LEAVE_OUT).ok());
    chosen
        .as_ref()
        .is_some_and(|chosen| chosen.split(',').any(|one| one == name))
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

    /// What calls the kernel, or passes such a call on.
    const CALLS: [&str; 9] = [
        "unistd::fsync(",
        "unistd::syncfs(",
        ".sync()",
        ".sync_all()",
        ".sync_data()",
        ".sync_filesystem()",
        "sync_together(",
        "sync_directory_of(",
        "sync_directories(",
    ];

    /// The functions that pass a call on, for which their callers have the names; `together` has
    /// only what `wanted` lets through.
    const PASSING: [&str; 8] = [
        "sync",
        "sync_at_once",
        "sync_directories",
        "sync_directory",
        "sync_directory_of",
        "sync_filesystem",
        "sync_together",
        "together",
    ];

    /// The places where a name may stand.
    const NAMED: [&str; 4] = ["sync_at(", "is_left_out(", "wanted(", "filesystem("];

    /// What the sources say of syncs.
    #[derive(Default)]
    struct Said {
        names: BTreeSet<String>,
        nameless: Vec<String>,
    }

    impl Said {
        fn hear(&mut self, directory: &Path) {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let is_code = path.extension().is_some_and(|e| e == "rs");
                if path.is_dir() && !path.ends_with("tests") && !path.ends_with("tour") {
                    self.hear(&path);
                } else if is_code && !path.ends_with("sync_point.rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    self.hear_file(&path, text.split("#[cfg(test)]").next().unwrap());
                }
            }
        }

        fn hear_file(&mut self, path: &Path, text: &str) {
            let (mut function, mut before) = ("", ["", ""]);
            for line in text.lines().filter(|l| !l.trim_start().starts_with("//")) {
                let here = [before[0], before[1], line].concat();
                if let Some((_, name)) = line.split_once("fn ") {
                    function = name.split(['(', '<']).next().unwrap();
                } else if CALLS.iter().any(|call| line.contains(call))
                    && !PASSING.contains(&function)
                    && !here.contains("sync_at(")
                {
                    self.nameless.push(format!("{}: {line}", path.display()));
                }
                if NAMED.iter().any(|call| here.contains(call)) {
                    let words = line.split('"').skip(1).step_by(2);
                    let names = words.filter(|word| !word.contains(' ') && word.contains('.'));
                    self.names.extend(names.map(str::to_owned));
                }
                before = [before[1], line];
            }
        }
    }

    #[test]
    fn every_sync_has_a_name_in_the_table_and_every_name_a_sync() {
        let mut said = Said::default();
        let top = Path::new(env!("CARGO_MANIFEST_DIR"));
        for sources in [top.join("src"), top.join("../src")] {
            said.hear(&sources);
        }
        let table: BTreeSet<String> = ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(said.names, table);
        let none: [String; 0] = [];
        assert_eq!(said.nameless, none, "syncs without a name");
    }

    #[test]
    fn what_nobody_asked_for_by_name_is_not_built_in() {
        // Features of all members unite in a build of the workspace: none may have it by default.
        let built_in = cfg!(feature = "leave-out-syncs");
        assert!(!built_in);
        let mut done = false;
        let synced = sync_at("intent.bytes", || {
            done = true;
            Ok::<(), ()>(())
        });
        assert!(done && synced.is_ok());
    }
}
