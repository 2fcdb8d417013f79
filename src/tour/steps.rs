//! The tour as data: what is said, what is typed on which host, what must come of it. Decides
//! nothing; `guide` walks through it.

/// One of the two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Where a change is made first.
    Origin,
    /// Where it is replayed.
    Target,
}

impl Side {
    /// Returns the host's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Target => "target",
        }
    }
}

/// What must come of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    /// This exit status.
    Exit(i32),
    /// Any failure.
    Failure,
    /// Exit status 0 and this in what it writes.
    Shows(&'static str),
    /// Exit status 1, for "there are differences", and this in what it writes.
    Finds(&'static str),
}

/// One step of the tour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A heading.
    Chapter(&'static str),
    /// A sentence for the visitor.
    Say(&'static str),
    /// A line of shell, shown as typed, with its real output.
    Type(Side, &'static str, Expect),
    /// A file that is carried from the origin to the target, as on a stick.
    Carry(&'static str),
    /// Lists everything a host has, for the next [`Step::Same`]. Not shown.
    Remember(Side),
    /// Proves that a host is as remembered, isconf's own directory apart.
    Same(Side, &'static str),
}

/// Where isconf keeps its own files; not part of what a change may not touch.
pub(super) const IS_HOME: &str = "/var/is";

/// A secret for both hosts; any text will do, this one is random.
const MAKE_KEY: &str =
    "umask 077; od -An -tx1 -N32 /dev/urandom | tr -d ' \\n' >/var/is/conf/hmac_keys";

/// Fails half-way, after it has changed, removed and added files.
const GO_WRONG: &str = "isconf exec sh -c 'echo broken >/opt/hello/etc/hello.conf; rm /etc/motd; \
                        touch /etc/half-done; exit 3'";

use Expect::{Exit, Failure, Finds, Shows};
use Side::{Origin, Target};
use Step::{Carry, Chapter, Remember, Same, Say, Type};

/// The tour, from the first command to the last.
pub(super) const STEPS: [Step; 41] = [
    Chapter("A change is made once, on the origin, under a lock"),
    Type(Origin, "isconf init example.org generic", Exit(0)),
    Say("Hosts of a domain share a key; without network, it travels by hand like everything else."),
    Type(Origin, MAKE_KEY, Exit(0)),
    Type(
        Origin,
        "tar -czf hello-1.0.tar.gz hello-1.0 && rm -r hello-1.0",
        Exit(0),
    ),
    Type(Origin, "isconf lock \"install hello 1.0\"", Exit(0)),
    Say("Every command runs in a scratchpad first. It reaches the machine only if it succeeds."),
    Type(Origin, "isconf snap /root/hello-1.0.tar.gz", Exit(0)),
    Type(
        Origin,
        "isconf exec tar -C /opt -xzf /root/hello-1.0.tar.gz",
        Exit(0),
    ),
    Type(Origin, "isconf exec make -C /opt/hello-1.0", Exit(0)),
    Type(
        Origin,
        "isconf exec make -C /opt/hello-1.0 install PREFIX=/opt/hello",
        Exit(0),
    ),
    Type(
        Origin,
        "isconf exec rm -r /opt/hello-1.0 /root/hello-1.0.tar.gz",
        Exit(0),
    ),
    Type(Origin, "/opt/hello/bin/hello", Shows("hello, world")),
    Type(Origin, "isconf ci", Exit(0)),
    Chapter("The target is brought to the same state"),
    Type(Origin, "isconf bundle export /root/generic.bundle", Exit(0)),
    Type(Target, "isconf init example.org generic", Exit(0)),
    Carry("/var/is/conf/hmac_keys"),
    Carry("/root/generic.bundle"),
    Type(Target, "isconf bundle import /root/generic.bundle", Exit(0)),
    Say("A preview runs all of it for real, each entry upon the one before, and keeps nothing."),
    Remember(Target),
    Type(Target, "isconf up --noop", Shows("/opt/hello/bin/hello")),
    Same(Target, "The preview changed nothing on the target"),
    Type(Target, "isconf up", Exit(0)),
    Type(Target, "/opt/hello/bin/hello", Shows("hello, world")),
    Type(Target, "isconf history", Exit(0)),
    Chapter("Drift is found"),
    Type(Target, "isconf diff", Exit(0)),
    Say("No differences. Now somebody edits a file by hand:"),
    Type(
        Target,
        "echo '# tuned by hand' >>/opt/hello/etc/hello.conf",
        Exit(0),
    ),
    Type(Target, "isconf diff", Finds("/opt/hello/etc/hello.conf")),
    Chapter("A command that fails half-way leaves nothing behind"),
    Type(Origin, "isconf lock \"a change that goes wrong\"", Exit(0)),
    Remember(Origin),
    Type(Origin, GO_WRONG, Failure),
    Same(
        Origin,
        "The failed command left nothing behind on the origin",
    ),
    Type(
        Origin,
        "ls /etc/motd && cat /opt/hello/etc/hello.conf",
        Shows("greeting"),
    ),
    Type(Origin, "isconf unlock", Exit(0)),
    Type(Origin, "isconf diff", Exit(0)),
    Say("That was it. `isconf --help` lists the verbs; `isconf try CMD` needs no set-up at all."),
];

/// A small program to be packed, built and installed: its files below `/root/hello-1.0`, and
/// whether they need a C compiler.
pub(super) struct Sources {
    /// Names and texts.
    pub(super) files: [(&'static str, &'static str); 3],
}

/// The settings file of the program, which the tour edits by hand.
const SETTINGS: (&str, &str) = ("hello.conf", "greeting = hello, world\n");

/// The program in C.
pub(super) const IN_C: Sources = Sources {
    files: [
        (
            "hello.c",
            "#include <stdio.h>\nint main(void) { return puts(\"hello, world\") < 0; }\n",
        ),
        (
            "Makefile",
            "hello: hello.c\n\tcc -O1 -o hello hello.c\n\
             install: hello\n\tinstall -D hello $(PREFIX)/bin/hello\n\
             \tinstall -D -m 644 hello.conf $(PREFIX)/etc/hello.conf\n",
        ),
        SETTINGS,
    ],
};

/// The program in shell, for machines without a C compiler.
pub(super) const IN_SHELL: Sources = Sources {
    files: [
        ("hello.sh", "#!/bin/sh\necho hello, world\n"),
        (
            "Makefile",
            "hello: hello.sh\n\tcp hello.sh hello\n\
             install: hello\n\tinstall -D hello $(PREFIX)/bin/hello\n\
             \tinstall -D -m 644 hello.conf $(PREFIX)/etc/hello.conf\n",
        ),
        SETTINGS,
    ],
};
