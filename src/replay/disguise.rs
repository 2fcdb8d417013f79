//! What tells this host from others, as the system says it, and a disguise that tells otherwise.
//! Not for looking for it in files (`hazards`). Upholds: what the system does not tell is left out,
//! and stops nothing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use isconf_sandbox::change::RelPath;
use isconf_sandbox::mounts::Disguise;

use super::this_host::ThisHost;
use crate::hazards::HostFacts;

/// Where a host's machine-id is (machine-id(5)); D-Bus has its own, or a link.
const MACHINE_ID: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// Where the kernel lists network interfaces.
const INTERFACES: &str = "/sys/class/net";

/// The hardware type of what has an Ethernet address (`ARPHRD_ETHER`, if_arp.h).
const ETHERNET: &str = "1";

/// The name of the disguised host. No host is likely to have it, and no text.
const OTHER_NAME: &str = "isconf-other-host";

/// Its machine-id.
const OTHER_MACHINE_ID: &str = "15c0f07e4057a11ce5e1f00dfeed5eed";

/// What tells this host from others.
pub(super) fn facts(host: &ThisHost) -> HostFacts {
    let mut facts = HostFacts::new().with_name(host.settings.host.value.as_str());
    if let Ok(name) = nix::unistd::gethostname() {
        facts = facts.with_name(&name.to_string_lossy());
    }
    for id in MACHINE_ID
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
    {
        facts = facts.with_machine_id(&id);
    }
    let addresses = address_files();
    for address in addresses
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
    {
        facts = facts.with_address(&address);
    }
    facts
}

/// Another host, and what tells it from this one. An address that a program asks the kernel for by
/// netlink stays the true one: it belongs to the network, which is shared.
pub(super) fn other_host() -> (Disguise, HostFacts) {
    let mut facts = HostFacts::new()
        .with_name(OTHER_NAME)
        .with_machine_id(OTHER_MACHINE_ID);
    let mut files = Vec::new();
    for path in MACHINE_ID.map(PathBuf::from) {
        // What a link points to is disguised under its own name.
        let is_file = fs::symlink_metadata(&path).is_ok_and(|status| status.is_file());
        if let (true, Ok(path)) = (is_file, RelPath::from_absolute(&path)) {
            files.push((path, format!("{OTHER_MACHINE_ID}\n").into_bytes()));
        }
    }
    for (number, path) in (1_u64..).zip(address_files()) {
        let [.., high, low] = number.to_be_bytes();
        let address = format!("02:15:c0:f0:{high:02x}:{low:02x}");
        if let Ok(path) = RelPath::from_absolute(&path) {
            files.push((path, format!("{address}\n").into_bytes()));
            facts = facts.with_address(&address);
        }
    }
    let disguise = Disguise {
        host_name: OTHER_NAME.into(),
        files,
    };
    (disguise, facts)
}

/// The files with the addresses of Ethernet interfaces, without links on the way.
fn address_files() -> Vec<PathBuf> {
    let Ok(interfaces) = fs::read_dir(INTERFACES) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = interfaces
        .flatten()
        .filter_map(|interface| fs::canonicalize(interface.path()).ok())
        .filter(|interface| {
            let kind = fs::read_to_string(interface.join("type"));
            kind.is_ok_and(|kind| kind.trim() == ETHERNET)
        })
        .map(|interface| interface.join("address"))
        .filter(|file| fs::symlink_metadata(file).is_ok_and(|status| status.mode() != 0))
        .collect();
    files.sort();
    files
}
