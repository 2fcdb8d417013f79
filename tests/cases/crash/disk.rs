//! A filesystem in an image to which something happens while isconf works on it, and the verbs that
//! are at work then. Not for what happens: the tests beside say that. Upholds: a round starts with
//! the same image, and nothing but isconf's own syncs makes anything durable.

use super::{CHANGE, LOOK, PREPARE, Scenario, followed, made, recovered, replayed, taken_back};
use crate::support::machine::{DOMAIN, Done, Machine};

/// A verb to which something happens.
pub(super) struct Row {
    /// The points that it comes to.
    pub(super) scenario: &'static Scenario,
    /// Shell that makes what is there before it.
    before: &'static [&'static str],
    /// The command.
    pub(super) verb: &'static str,
}

/// Puts the directory for tests of a real root where the power can fail.
pub(super) fn on_data(script: &str) -> String {
    script
        .replace("/srv", "/data/srv")
        .replace("/root/l", "/data/l")
}

const LOCKED: &str = "isconf lock x";
const MADE: &str = "isconf exec sh /cut/change";
const REBOOT: &str = "isconf reboot";
const CHECKED_IN: &str = "isconf ci";
/// The host becomes a target that has the journal and replayed nothing of it.
const NEW_TARGET: &str = "isconf bundle export /cut/b; rm -rf /data/is/*; sh /cut/init; \
                          isconf bundle import /cut/b";
const PREPARED: &str = "sh /cut/prepare";
// The next line belongs to these.
const STOPPED_AT: &str = "! ISCONF_CRASH_AT=commit.apply.after_move \\";
const STOPPED_BEHIND: &str = "! ISCONF_CRASH_AT=ci-journal \\";
const OVERLAY: &str = "cd /data; mkdir -p o/l/dir/sub o/l/a o/u o/w; echo old >o/l/file; echo gone >o/l/gone; \
     mount -t overlay none -o lowerdir=o/l,upperdir=o/u,workdir=o/w,redirect_dir=off /data/srv";

/// The rows of `exec`, `undo` and `up`, which need room for the change and for its records.
pub(super) const LIVE: [&Row; 3] = [&ROWS[0], &ROWS[1], &ROWS[9]];

/// Everything that writes durably. Each point comes at least once.
pub(super) const ROWS: &[Row] = &[
    Row {
        scenario: &made::EXEC,
        before: &[LOCKED, PREPARED],
        verb: MADE,
    },
    Row {
        scenario: &taken_back::UNDO,
        before: &[LOCKED, PREPARED, MADE],
        verb: "isconf undo",
    },
    Row {
        scenario: &made::SNAP,
        before: &[LOCKED, PREPARED],
        verb: "isconf snap /data/srv/file",
    },
    Row {
        scenario: &made::CHECK_IN,
        before: &[LOCKED, PREPARED, MADE],
        verb: CHECKED_IN,
    },
    Row {
        scenario: &made::REBOOT,
        before: &[LOCKED],
        verb: REBOOT,
    },
    Row {
        scenario: &taken_back::UNDO_OF_NOTHING,
        before: &[LOCKED, REBOOT],
        verb: "isconf undo",
    },
    Row {
        scenario: &taken_back::FAILING_STEP,
        before: &[OVERLAY, LOCKED],
        verb: "isconf exec sh /cut/fails",
    },
    Row {
        scenario: &recovered::COMMIT,
        before: &[LOCKED, PREPARED, STOPPED_AT, MADE],
        verb: "isconf try true",
    },
    Row {
        scenario: &replayed::REBOOT,
        before: &[LOCKED, REBOOT, CHECKED_IN, NEW_TARGET],
        verb: "isconf up -r",
    },
    Row {
        scenario: &replayed::UPDATE,
        before: &[LOCKED, PREPARED, MADE, CHECKED_IN, NEW_TARGET, PREPARED],
        verb: "isconf up",
    },
    Row {
        scenario: &recovered::UNDO,
        before: &[LOCKED, PREPARED, MADE, STOPPED_AT, "isconf undo"],
        verb: "isconf try true",
    },
    Row {
        scenario: &recovered::CHECK_IN,
        before: &[LOCKED, PREPARED, MADE, STOPPED_BEHIND, CHECKED_IN],
        verb: "isconf try true",
    },
    Row {
        scenario: &followed::FOLLOWED,
        before: &[LOCKED, PREPARED],
        verb: "isconf exec sh /cut/asks",
    },
    Row {
        scenario: &followed::NOT_FOLLOWED,
        before: &[LOCKED, PREPARED],
        verb: "isconf exec sh /cut/asks-in-vain",
    },
];

/// A machine with an image in it, mounted at `/data`.
pub(super) struct Disk {
    host: Machine,
}

impl Disk {
    /// Makes the machine; the images come with [`Disk::prepare`].
    pub(super) fn of(filesystem: &str) -> Option<Self> {
        let host = Machine::bare("disk")?;
        host.sh(
            "mkdir /cut /data; mount -t tmpfs none /cut; mkdir /cut/device; \
             mount -t tmpfs none /cut/device; mknod /dev/loop-control c 10 237; \
             for n in $(seq 0 255); do mknod /dev/loop$n b 7 $n; done",
        )
        .code(0);
        host.write("/cut/kind", filesystem);
        host.write("/cut/mkfs", "");
        host.write("/cut/disk", include_str!("disk.sh"));
        host.write("/cut/change", on_data(CHANGE));
        host.write("/cut/prepare", on_data(PREPARE));
        host.write("/cut/fails", on_data(taken_back::FAILS));
        host.sh(followed::SCRIPTS).code(0);
        for (name, asks) in [
            ("asks", followed::ASKS),
            ("asks-in-vain", followed::ASKS_IN_VAIN),
        ] {
            host.write(&format!("/cut/{name}"), on_data(&format!("{CHANGE}{asks}")));
        }
        let keys = "/data/is/conf/hmac_keys";
        let init = format!("isconf init {DOMAIN}; echo a-key-for-tests >{keys}; chmod 600 {keys}");
        host.write("/cut/init", init);
        Some(Self { host })
    }

    /// Makes the filesystem with these arguments from now on.
    pub(super) fn made_with(&self, arguments: &str) {
        self.host.write("/cut/mkfs", arguments);
    }

    /// Has the entry change something else.
    pub(super) fn change(&self, script: &str) {
        self.host.write("/cut/change", on_data(script));
    }

    /// Makes the image with which the rounds of a row start; gives what is there before its verb
    /// and after it.
    pub(super) fn prepare(&self, row: &Row) -> (String, String) {
        let look = if row.before.contains(&OVERLAY) {
            taken_back::look_there()
        } else {
            LOOK.to_owned()
        };
        // Of content a sum is enough.
        let look = look.replace("tr \"\\n\" ,", "cksum");
        self.host.write("/cut/look", on_data(&look));
        let before = row.before.join("\n");
        self.run("base", &[&format!("sh /cut/init\n{before}")]);
        (
            self.run("whole", &["true"]).out(),
            self.run("whole", &[row.verb]).out(),
        )
    }

    /// Runs a verb of the script beside this file.
    pub(super) fn run(&self, what: &str, args: &[&str]) -> Done {
        let words = ["/bin/sh", "/cut/disk", what, "0"];
        let words: Vec<_> = words.iter().chain(args).map(Into::into).collect();
        self.host.run(&words).code(0)
    }
}
