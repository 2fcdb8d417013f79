//! What isconf does while its disk is recorded, as data; and what others do there. Together the workloads have every kind of
//! step of a commit: new trees, changed, deleted, moved, metadata alone, hard links with names
//! outside the change, files written in place, more files than are synced singly, two volumes; and
//! undo, check-in, replay of several entries, dropped drafts, and each of these interrupted.

/// What may be found between the beginning and the end of a step, beside these two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Between {
    /// Nothing: it is done or not.
    Nothing,
    /// The trees that the origin had after each of its entries.
    Entries,
    /// The tree after that step of the same workload, counted from 1; 0 is the beginning.
    After(usize),
    /// The tree after that step, with one receipt more: a commit that is taken back is completed
    /// instead by a start after a power cut, when what was in its way has gone.
    Completed(usize),
    /// Anything in this directory; elsewhere nothing.
    Beside(&'static str),
}

/// Who does what.
#[derive(Debug, Clone, Copy)]
pub enum Call {
    /// isconf, with these words.
    Isconf(&'static [&'static str]),
    /// A person at a shell, who has made durable what is told.
    Person(&'static str),
    /// Nobody: a script makes what a power cut could have left. Acknowledges nothing.
    Chance(&'static str),
}

/// One call of isconf, or something else that happens.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// What is called.
    pub call: Call,
    /// The crash point at which it is killed; it acknowledges nothing then.
    pub killed_at: Option<&'static str>,
    /// What may be found in the middle.
    pub between: Between,
}

impl Step {
    /// Whether the end of the step says that what it did will last.
    pub const fn acknowledges(&self) -> bool {
        self.killed_at.is_none() && !matches!(self.call, Call::Chance(_))
    }
}

/// A sequence of calls.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// Its name.
    pub name: &'static str,
    /// Where the disks belong; the first is the root.
    pub disks: &'static [&'static str],
    /// Whether the host has the entries of [`ENTRIES`] to replay.
    pub is_target: bool,
    /// The calls.
    pub steps: &'static [Step],
}

const fn does(words: &'static [&'static str]) -> Step {
    happens(Call::Isconf(words))
}

const fn happens(call: Call) -> Step {
    Step {
        call,
        killed_at: None,
        between: Between::Nothing,
    }
}

const fn killed(words: &'static [&'static str], point: &'static str) -> Step {
    Step {
        killed_at: Some(point),
        ..does(words)
    }
}

const fn passing(words: &'static [&'static str], between: Between) -> Step {
    Step {
        between,
        ..does(words)
    }
}

/// Makes the files that a host starts with, all of a time long ago.
pub const PREPARE: &str = "
umask 022
chmod 700 /root; mkdir -p /etc /opt /srv /tmp /var/lib; chmod 1777 /tmp
echo root:x:0:0:root:/root:/bin/sh >/etc/passwd; echo root:x:0: >/etc/group
echo 127.0.0.1 localhost recorded >/etc/hosts
cd /srv && mkdir -p keep/deep dir/sub many
echo one >keep/a; echo two >keep/deep/b; echo f >dir/sub/f
echo app >/etc/app.conf; echo old >gone; echo meta >meta; echo linked >linked; ln linked outside
head -c 100000 /dev/zero | tr '\\0' x >big; ln -s keep pointer; mkdir carried crowd
for n in $(seq 70); do echo $n >crowd/$n; done
find /etc /opt /srv /var /tmp /root -exec touch -h -d 2020-01-01 {} +
";

/// A new tree, with all kinds of things in it.
const TREE: &str = "mkdir -p /opt/new/a/b && echo 1 >/opt/new/a/1 && echo 2 >/opt/new/a/b/2 && \
                    ln -s a/1 /opt/new/link && mkfifo /opt/new/fifo && chmod 750 /opt/new/a";

/// Changed, deleted, moved, metadata alone, a further name.
const MIXED: &str = "echo more >>/etc/app.conf && rm /srv/gone && mv /srv/dir /srv/moved && \
                     chmod 600 /srv/meta && chown 7:8 /srv/meta && echo x >>/srv/big && \
                     ln /srv/big /opt/big";

/// Changed through one of its names: the inode has to stay, so it is written in place.
const LINKED: &str = "echo more >>/srv/linked";

/// A tree that goes and another in its place.
const REPLACED: &str = "rm -r /srv/keep && mkdir /srv/keep && echo again >/srv/keep/a";

/// More files than are synced one by one.
const MANY: &str = "for n in $(seq 90); do echo $n >/srv/many/$n; done";

/// A small change.
const SMALL: &str = "echo small >/opt/small";

/// Another one, of the same file.
const SMALLER: &str = "echo s >/opt/small";

/// Nothing but directories, which have no file whose sync would pay for theirs.
const DIRECTORIES: &str = "mkdir -p /opt/empty/deep/deeper";

/// Nothing but a link, which cannot be opened to be synced.
const LINK: &str = "ln -s nowhere /opt/link";

/// The owner of a link alone, which cannot be opened to be synced either.
const LINK_OWNER: &str = "chown -h 7:8 /srv/pointer";

/// The modes of more files than are synced one by one.
const MODES: &str = "chmod 600 /srv/crowd/*";

/// A mode and a name that goes.
const HOSTS: &str = "chmod 600 /etc/hosts; rm /opt/small";

/// A commit of the same that fails in one of its steps, since somebody mounts something there meanwhile, and is
/// taken back.
const TAKEN_BACK: &str = "
ISCONF_CRASH_AT=commit.intent.durable:1:pause isconf exec sh -c 'chmod 600 /etc/hosts; rm /opt/small' &
until grep -q '^State:.T' /proc/$!/status; do :; done
mount --bind /opt/small /opt/small; kill -CONT $!
! wait $! && umount /opt/small";

/// What a person does by hand to a file of that commit.
const BY_HAND: &str = "chmod 640 /etc/hosts && sync /etc/hosts";

/// The end of the last receipt does not reach the disk.
const TORN: &str = "truncate -s -3 /var/is/conf/history";

const fn exec(script: &'static [&'static str; 4]) -> &'static [&'static str] {
    script
}

const EXEC_TREE: &[&str] = exec(&["exec", "sh", "-c", TREE]);
const EXEC_MIXED: &[&str] = exec(&["exec", "sh", "-c", MIXED]);
const EXEC_LINKED: &[&str] = exec(&["exec", "sh", "-c", LINKED]);
const EXEC_REPLACED: &[&str] = exec(&["exec", "sh", "-c", REPLACED]);
const EXEC_MANY: &[&str] = exec(&["exec", "sh", "-c", MANY]);
const EXEC_SMALL: &[&str] = exec(&["exec", "sh", "-c", SMALL]);
const EXEC_SMALLER: &[&str] = exec(&["exec", "sh", "-c", SMALLER]);
const EXEC_DIRECTORIES: &[&str] = exec(&["exec", "sh", "-c", DIRECTORIES]);
const EXEC_LINK: &[&str] = exec(&["exec", "sh", "-c", LINK]);
const EXEC_HOSTS: &[&str] = exec(&["exec", "sh", "-c", HOSTS]);
const EXEC_LINK_OWNER: &[&str] = exec(&["exec", "sh", "-c", LINK_OWNER]);
const EXEC_MODES: &[&str] = exec(&["exec", "sh", "-c", MODES]);
const SNAP: &[&str] = &["snap", "/etc/app.conf", "/srv/meta"];
/// More blobs than are synced one by one.
const SNAP_CROWD: &[&str] = &["snap", "/srv/crowd"];
const EXPORT: &[&str] = &["bundle", "export", "/srv/carried/bundle"];
const LOCK: &[&str] = &["lock", "recorded"];

/// The entries that a target has to replay, made on an origin.
pub const ENTRIES: [&[&str]; 6] = [
    EXEC_TREE,
    EXEC_MIXED,
    EXEC_LINKED,
    SNAP,
    EXEC_REPLACED,
    EXEC_MANY,
];

/// All workloads.
pub const WORKLOADS: [Workload; 4] = [
    Workload {
        name: "origin",
        disks: &["/"],
        is_target: false,
        steps: &[
            does(LOCK),
            does(EXEC_TREE),
            does(EXEC_MIXED),
            does(EXEC_LINKED),
            does(&["undo"]),
            does(EXEC_REPLACED),
            does(SNAP),
            does(&["ci"]),
            does(LOCK),
            does(SNAP_CROWD),
            does(EXEC_MANY),
            does(&["undo"]),
            does(EXEC_LINKED),
            does(&["ci"]),
            passing(EXPORT, Between::Beside("/srv/carried")),
        ],
    },
    Workload {
        name: "target",
        disks: &["/"],
        is_target: true,
        steps: &[
            passing(&["up"], Between::Entries),
            does(LOCK),
            does(EXEC_SMALL),
            does(EXEC_SMALLER),
            passing(&["unlock", "--discard"], Between::After(3)),
            does(LOCK),
            does(EXEC_DIRECTORIES),
            does(EXEC_LINK),
            does(&["ci"]),
        ],
    },
    Workload {
        name: "interrupted",
        disks: &["/"],
        is_target: false,
        steps: &[
            does(LOCK),
            killed(EXEC_MIXED, "commit.apply.after_move:2"),
            killed(&["status"], "commit.recover.begun"),
            does(&["status"]),
            killed(&["undo"], "commit.apply.after_move:2"),
            killed(&["status"], "commit.recover.applied"),
            does(&["status"]),
            killed(EXEC_LINKED, "commit.apply.after_rewrite"),
            does(&["status"]),
            killed(EXEC_TREE, "settle.draft.durable"),
            does(&["status"]),
            killed(SNAP, "record.draft.durable"),
            does(&["status"]),
            killed(&["ci"], "ci-receipt"),
            does(&["status"]),
            does(LOCK),
            does(EXEC_SMALL),
            does(EXEC_REPLACED),
            killed(&["unlock", "--discard"], "commit.apply.after_move:1"),
            passing(&["unlock", "--discard"], Between::After(17)),
            does(LOCK),
            does(EXEC_SMALL),
            Step {
                between: Between::Completed(27),
                ..happens(Call::Person(TAKEN_BACK))
            },
            happens(Call::Person(BY_HAND)),
            killed(EXEC_HOSTS, "history-append-written"),
            happens(Call::Chance(TORN)),
            does(&["status"]),
        ],
    },
    Workload {
        name: "two volumes",
        disks: &["/", "/srv"],
        is_target: false,
        steps: &[
            does(LOCK),
            does(EXEC_MIXED_VOLUMES),
            does(&["undo"]),
            does(EXEC_LINK_OWNER),
            does(EXEC_MODES),
            does(EXEC_REPLACED),
            killed(EXEC_MIXED_VOLUMES, "commit.apply.after_move:2"),
            does(&["status"]),
            does(&["ci"]),
        ],
    },
];

/// Changes on both volumes; a link cannot lead from one to the other.
const MIXED_VOLUMES: &str = "echo more >>/etc/app.conf && rm /srv/gone && mv /srv/dir /srv/moved && \
                             chmod 600 /srv/meta && echo x >>/srv/linked && mkdir -p /opt/new/a && \
                             echo 1 >/opt/new/a/1 && cp -r /opt/new /srv/new";

const EXEC_MIXED_VOLUMES: &[&str] = exec(&["exec", "sh", "-c", MIXED_VOLUMES]);
