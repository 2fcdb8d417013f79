//! The scratchpad's own `/dev`, as steps. Pure. Upholds: no device is in reach but those that can do
//! no harm.

use nix::mount::MsFlags;

use super::inventory::Inventory;
use super::plan::{inert, place};
use super::step::{Step, c_string};

/// `/dev`: a small tmpfs with the harmless nodes, own terminals, own shared memory. Read-only when
/// done, so that `dd of=/dev/sda` fails and does not make a file of that name.
pub(super) fn push_dev(steps: &mut Vec<Step>, inventory: &Inventory) {
    let no_exec = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    let mount = |fs_type, path, flags, data| Step::Mount {
        fs_type,
        target: place(path),
        flags,
        data,
    };
    steps.push(mount(c"tmpfs", "dev", inert(), c"mode=0755,size=256k"));
    for name in &inventory.devices {
        let path = format!("dev/{name}");
        steps.push(Step::MakeFile {
            target: place(&path),
        });
        steps.push(Step::Bind {
            source: c_string(format!("/{path}").into_bytes()),
            target: place(&path),
            flags: no_exec | MsFlags::MS_RDONLY,
        });
    }
    push_terminal(steps, inventory);
    for (name, to) in [
        ("dev/fd", c"/proc/self/fd"),
        ("dev/stdin", c"/proc/self/fd/0"),
        ("dev/stdout", c"/proc/self/fd/1"),
        ("dev/stderr", c"/proc/self/fd/2"),
        ("dev/ptmx", c"pts/ptmx"),
    ] {
        steps.push(Step::MakeLink {
            target: place(name),
            to,
        });
    }
    for name in ["dev/pts", "dev/shm"] {
        steps.push(Step::MakeDirectory {
            target: place(name),
        });
    }
    // gid 5 is tty on Debian and most others, as glibc's grantpt(3) expects.
    let terminals = c"newinstance,ptmxmode=0666,mode=0620,gid=5";
    steps.push(mount(c"devpts", "dev/pts", no_exec, terminals));
    let no_devices = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    steps.push(mount(c"tmpfs", "dev/shm", no_devices, c"mode=1777"));
    if inventory
        .mounts
        .iter()
        .any(|seen| seen.mount.fs_type == "mqueue")
    {
        steps.push(Step::MakeDirectory {
            target: place("dev/mqueue"),
        });
        steps.push(mount(c"mqueue", "dev/mqueue", inert(), c""));
    }
    steps.push(Step::Remount {
        target: place("dev"),
        flags: inert() | MsFlags::MS_RDONLY,
    });
}

/// The caller's terminal, as `/dev/console`: it is not among the scratchpad's own in `/dev/pts`, and
/// ttyname(3) finds it by looking through `/dev`.
fn push_terminal(steps: &mut Vec<Step>, inventory: &Inventory) {
    if let Some(terminal) = &inventory.terminal {
        steps.push(Step::MakeFile {
            target: place("dev/console"),
        });
        steps.push(Step::Bind {
            source: terminal.clone(),
            target: place("dev/console"),
            flags: MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY,
        });
    }
}
