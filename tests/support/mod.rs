//! What the cases share: throwaway hosts with the program under test in them. A host's environment
//! is built from nothing. Upholds: a test that needs root never skips in silence, and never skips
//! in the pipeline.
//!
//! ```ignore
//! let Some(host) = Machine::ready("origin") else { return };
//! host.isconf(["lock", "why"]).code(0).says("locked");
//! ```

#![allow(
    dead_code,
    reason = "a vocabulary for the cases, which need not use all of it"
)]

pub mod cluster;
pub mod debian;
pub mod machine;
pub mod network;
pub mod papers;
pub mod site;

use std::path::Path;

use isconf::tour::{Host, HostSpec, RootKind};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_isconf");

/// The programs that cases use, and the Debian packages that have them.
const TOOLS: [(&str, &str); 19] = [
    ("bsdutils", "script"),
    ("e2fsprogs", "mkfs.ext4"),
    ("e2fsprogs", "chattr"),
    ("xfsprogs", "mkfs.xfs"),
    ("btrfs-progs", "mkfs.btrfs"),
    ("acl", "setfacl"),
    ("attr", "setfattr"),
    ("libcap2-bin", "setcap"),
    ("util-linux", "unshare"),
    ("util-linux", "findmnt"),
    ("mount", "mount"),
    ("python3", "python3"),
    ("make", "make"),
    ("gcc", "cc"),
    ("iproute2", "ip"),
    ("nftables", "nft"),
    ("mmdebstrap", "mmdebstrap"),
    ("systemd-container", "systemd-nspawn"),
    ("xz-utils", "xz"),
];

/// Every file system a host's root can lie on.
pub const ROOTS: [RootKind; 4] = [
    RootKind::Ext4,
    RootKind::Xfs,
    RootKind::Btrfs,
    RootKind::Tmpfs,
];

/// Describes a host that has the program under test.
pub fn spec(name: &str) -> HostSpec {
    HostSpec::new(name).program(PROGRAM)
}

/// Makes a host with the program under test on the usual root; `None` means to skip, as
/// [`start`] says.
pub fn host(name: &str) -> Option<Host> {
    start(spec(name))
}

/// Makes a host as described; `None` means to skip, as [`may_make_hosts`] says.
pub fn start(spec: HostSpec) -> Option<Host> {
    if !may_make_hosts() {
        return None;
    }
    Some(Host::start(spec).unwrap_or_else(|error| panic!("no throwaway host: {error}")))
}

/// Tells whether hosts can be made here. Says so where this is not root; in the pipeline (`CI` is
/// set) that is a failure, as is everything else that is missing.
pub fn may_make_hosts() -> bool {
    if !nix::unistd::geteuid().is_root() && std::env::var_os("CI").is_none() {
        eprintln!("SKIPPED: needs root to make a throwaway host; run the tests as root.");
        return false;
    }
    name_missing_packages();
    true
}

/// Fails with the one command that installs whatever the cases lack.
fn name_missing_packages() {
    let dirs = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let lacks = |tool: &str| !dirs.iter().any(|dir| Path::new(dir).join(tool).exists());
    let mut missing: Vec<&str> = TOOLS
        .iter()
        .filter(|(_, tool)| lacks(tool))
        .map(|(package, _)| *package)
        .collect();
    missing.dedup();
    assert!(
        missing.is_empty(),
        "the tests need Debian packages that are not here: apt-get install {}",
        missing.join(" ")
    );
}
