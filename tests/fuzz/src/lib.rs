//! A fuzz target for each parser of bytes that others can write: what they read must never end in a
//! panic or take unbounded memory, and what they accept has one form, which is written back the
//! same. Not for what accepted values mean. Each target is a plain function, so that kept seeds are
//! also replayed by `cargo test`.

mod chains;
mod sandbox;
mod text;

/// A parser and what must hold of it.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its folder in `seeds/`.
    pub name: &'static str,
    /// Gives it bytes; panics when the rule is broken.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "journal",
        run: chains::journal,
    },
    Target {
        name: "history",
        run: chains::history,
    },
    Target {
        name: "bundle",
        run: chains::bundle,
    },
    Target {
        name: "pending",
        run: chains::pending,
    },
    Target {
        name: "intent",
        run: sandbox::intent,
    },
    Target {
        name: "netlink",
        run: sandbox::netlink,
    },
    Target {
        name: "requests",
        run: text::requests,
    },
    Target {
        name: "peers",
        run: text::peers,
    },
    Target {
        name: "voters",
        run: text::voters,
    },
    Target {
        name: "upper",
        run: sandbox::upper,
    },
    Target {
        name: "change_set",
        run: sandbox::change_set,
    },
    Target {
        name: "kept",
        run: sandbox::kept,
    },
    Target {
        name: "main_cf",
        run: text::main_cf,
    },
    Target {
        name: "cli",
        run: text::cli,
    },
];

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
