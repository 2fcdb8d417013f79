//! Turns treatments into the list of steps, the layout and the findings. Pure. Not for performing
//! anything. Upholds: an overlay is always `nodev`; nothing live is shown writable.
//!
//! Steps come in the order of the live mounts, so that a mount point exists when something is
//! mounted on it, and an alias is made from an overlay that is there already.

use std::ffi::{CString, OsStr, OsString};
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;

use super::classify::{
    Classified, PlanError, Reason, Treatment, Uncovered, Uncovering, can_be_upper, classify,
    holder, is_special,
};
use super::devices::push_dev;
use super::disguise::Disguise;
use super::inventory::{Inventory, Shows};
use super::mountinfo::Mount;
use super::step::{Step, Target, c_string, live};
use crate::change::RelPath;
use crate::layout::{CommitPolicy, HOME_SCRATCH_DIR, Layout, TxId, VOLUME_SCRATCH_DIR, Volume};
use crate::reach::Reach;

/// The most sockets that are shown by a mount of their own.
const MAX_SOCKETS: usize = 200;

/// What plan needs besides the inventory.
#[derive(Debug, Clone)]
pub struct PlanSettings {
    /// The transaction.
    pub tx: TxId,
    /// The home, without symbolic links.
    pub home: RelPath,
    /// Mount points (and what is below) whose changes are shown and never committed.
    pub show_only: Vec<RelPath>,
    /// Mount points whose scratch directory or overlay was tried and failed.
    pub unusable: Vec<RelPath>,
    /// Mount points at whose top somebody else has the usual name of the hidden directory, each with
    /// the name to use.
    pub hidden: Vec<(RelPath, OsString)>,
    /// Mount points whose live content the kernel refused to show.
    pub unshowable: Vec<RelPath>,
    /// How much of the running system is in reach.
    pub reach: Reach,
    /// What is told of the host in place of the truth.
    pub disguise: Option<Disguise>,
}

/// What to mount, where things lie, and what is not covered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The operations, in order.
    pub steps: Vec<Step>,
    /// The directories.
    pub layout: Layout,
    /// For the report.
    pub uncovered: Vec<Uncovered>,
}

/// A path that is masked inside.
struct Mask {
    path: RelPath,
    is_directory: bool,
}

/// Decides everything. See [`PlanError`] for when it cannot.
pub fn plan(inventory: &Inventory, settings: &PlanSettings) -> Result<Plan, PlanError> {
    let scratch_root = scratch_root(settings);
    let mut masks = masks(inventory);
    let masked: Vec<RelPath> = masks.iter().map(|mask| mask.path.clone()).collect();
    let (unusable, unshowable) = (&settings.unusable, &settings.unshowable);
    let (classified, mut uncovered) =
        classify(inventory, &masked, unusable, unshowable, settings.reach);
    uncovered.extend(masked_findings(inventory));
    // Not a finding: nothing of it concerns an entry.
    masks.extend(scratch_root.map(|path| Mask {
        path,
        is_directory: true,
    }));
    check_root(&classified)?;
    let volumes = volumes(&classified, settings)?;
    let mut steps = vec![Step::MakePrivate];
    if settings.reach == Reach::Live {
        // Where the new root is built.
        let source = c"/proc".to_owned();
        steps.push(Step::KeepTree { source });
    }
    let mut next_volume = volumes.iter();
    for item in &classified {
        let volume = (item.treatment == Treatment::Overlay).then(|| next_volume.next());
        push_mount(&mut steps, item, volume.flatten());
    }
    match settings.reach {
        Reach::Contained => {
            push_proc(&mut steps, inventory);
            push_dev(&mut steps, inventory);
            push_sys(&mut steps, inventory);
        }
        Reach::Live => push_live(&mut steps, inventory),
    }
    push_home(&mut steps, settings, &classified);
    push_masks(&mut steps, &masks, &classified, settings.reach);
    // Where the host is in reach it has the name that it has.
    if let (Reach::Contained, Some(disguise)) = (settings.reach, &settings.disguise) {
        steps.extend(disguise.steps(&tx_directory(settings)));
    }
    steps.push(Step::EnterRoot);
    Ok(Plan {
        steps,
        layout: Layout {
            tx: settings.tx.clone(),
            directory: tx_directory(settings),
            root: PathBuf::from("/"),
            volumes,
        },
        uncovered,
    })
}

fn scratch_root(settings: &PlanSettings) -> Option<RelPath> {
    settings.home.child(HOME_SCRATCH_DIR.as_bytes()).ok()
}

fn tx_directory(settings: &PlanSettings) -> PathBuf {
    settings
        .home
        .to_absolute()
        .join(HOME_SCRATCH_DIR)
        .join(settings.tx.as_str())
}

fn masks(inventory: &Inventory) -> Vec<Mask> {
    let storage = inventory.container_storage.iter().map(|path| (path, true));
    let by_setting = inventory.masked.iter().map(|(path, dir)| (path, *dir));
    storage
        .chain(by_setting)
        .map(|(path, is_directory)| Mask {
            path: path.clone(),
            is_directory,
        })
        .collect()
}

fn masked_findings(inventory: &Inventory) -> impl Iterator<Item = Uncovered> {
    let storage = inventory
        .container_storage
        .iter()
        .map(|path| (path, Reason::ContainerStorage));
    let by_setting = inventory
        .masked
        .iter()
        .map(|(path, _)| (path, Reason::Setting));
    storage.chain(by_setting).map(|(path, why)| Uncovered {
        mount_point: path.clone(),
        fs_type: String::new(),
        what: Uncovering::Masked,
        why,
    })
}

/// The root must be there, and covered unless it is read-only live.
fn check_root(classified: &[Classified<'_>]) -> Result<(), PlanError> {
    let root = classified
        .iter()
        .find(|c| c.seen.mount.mount_point.is_root())
        .ok_or(PlanError::NoRoot)?;
    let mount = &root.seen.mount;
    let is_read_only = mount.flags.contains(MsFlags::MS_RDONLY) || mount.is_read_only_filesystem;
    if root.treatment == Treatment::Overlay || is_read_only {
        Ok(())
    } else {
        Err(PlanError::RootFileSystem {
            fs_type: mount.fs_type.clone(),
        })
    }
}

/// The volumes, in the order of the overlays.
fn volumes(
    classified: &[Classified<'_>],
    settings: &PlanSettings,
) -> Result<Vec<Volume>, PlanError> {
    let covered = || {
        classified
            .iter()
            .filter(|c| c.treatment == Treatment::Overlay)
            .map(|c| &c.seen.mount)
    };
    let home = holder(classified.iter().map(|c| &c.seen.mount), &settings.home).map(|m| m.id);
    // The home's volume is v0 wherever it stands in the list; the others count from 1.
    let mut number = 0;
    covered()
        .map(|mount| {
            let is_home = Some(mount.id) == home;
            number += usize::from(!is_home);
            let name = format!("v{}", if is_home { 0 } else { number });
            let host = if can_be_upper(&mount.fs_type) {
                mount
            } else {
                other_host(covered(), home).ok_or_else(|| PlanError::NoScratchFileSystem {
                    mount_point: mount.mount_point.clone(),
                })?
            };
            Ok(Volume {
                mount_point: mount.mount_point.clone(),
                fs_type: mount.fs_type.clone(),
                device: mount.device,
                scratch: volume_directory(host, Some(host.id) == home, settings).join(name),
                policy: policy(mount, host, settings),
            })
        })
        .collect()
}

/// Where the scratch of a live overlay goes: to the home's filesystem if that can hold it, else to
/// the first that can, disks before memory.
fn other_host<'m>(
    mut covered: impl Iterator<Item = &'m Mount> + Clone,
    home: Option<u64>,
) -> Option<&'m Mount> {
    let mut able = covered.clone().filter(|mount| can_be_upper(&mount.fs_type));
    covered
        .find(|mount| Some(mount.id) == home && can_be_upper(&mount.fs_type))
        .or_else(|| able.clone().find(|mount| mount.fs_type != "tmpfs"))
        .or_else(|| able.next())
}

fn volume_directory(host: &Mount, is_home: bool, settings: &PlanSettings) -> PathBuf {
    if is_home {
        tx_directory(settings)
    } else {
        host.mount_point
            .to_absolute()
            .join(hidden_name(host, settings))
            .join(settings.tx.as_str())
    }
}

fn hidden_name<'s>(host: &Mount, settings: &'s PlanSettings) -> &'s OsStr {
    let mut other = settings.hidden.iter();
    other
        .find(|(top, _)| *top == host.mount_point)
        .map_or(OsStr::new(VOLUME_SCRATCH_DIR), |(_, name)| name)
}

fn policy(mount: &Mount, host: &Mount, settings: &PlanSettings) -> CommitPolicy {
    let is_shown = |path: &RelPath| mount.mount_point.starts_with(path);
    if settings.show_only.iter().any(is_shown) {
        CommitPolicy::ShowOnly
    } else if mount.id == host.id {
        CommitPolicy::Rename
    } else {
        CommitPolicy::Copy
    }
}

/// The step that shows one live mount, if it takes one.
fn push_mount(steps: &mut Vec<Step>, item: &Classified<'_>, volume: Option<&Volume>) {
    let mount = &item.seen.mount;
    let target = Target::of(&mount.mount_point);
    let flags = mount.flags | MsFlags::MS_NODEV;
    steps.push(match (&item.treatment, volume) {
        (Treatment::Overlay, Some(volume)) => Step::Overlay {
            lower: live(&mount.mount_point),
            upper: c_path(&volume.upper()),
            work: c_path(&volume.work()),
            target,
            flags,
        },
        (Treatment::Overlay, None) | (Treatment::Nothing, _) => return,
        (Treatment::ReadOnly, _) => Step::Bind {
            source: live(&mount.mount_point),
            target,
            flags: flags | MsFlags::MS_RDONLY,
        },
        (Treatment::Alias(path), _) => Step::Bind {
            source: Target::of(path).as_c_str().to_owned(),
            target,
            flags,
        },
        (Treatment::Empty, _) if item.seen.shows == Shows::File => empty_file(target),
        (Treatment::Empty, _) => empty(target),
        (Treatment::FreshProc, _) => Step::Mount {
            fs_type: c"proc",
            target,
            flags: inert() | MsFlags::MS_RDONLY,
            data: c"",
        },
    });
}

/// An empty read-only directory.
fn empty(target: Target) -> Step {
    Step::Mount {
        fs_type: c"tmpfs",
        target,
        flags: inert() | MsFlags::MS_RDONLY,
        data: c"mode=0700,size=4k",
    }
}

/// An empty read-only file.
fn empty_file(target: Target) -> Step {
    Step::Bind {
        source: c"/dev/null".to_owned(),
        target,
        flags: inert() | MsFlags::MS_RDONLY,
    }
}

fn c_path(path: &Path) -> CString {
    use std::os::unix::ffi::OsStrExt;
    c_string(path.as_os_str().as_bytes().to_vec())
}

/// The flags of a filesystem from which nothing is run and whose nodes reach nothing.
pub(super) fn inert() -> MsFlags {
    MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC
}

/// A path known at compile time; the constants of this file are valid paths.
pub(super) fn place(path: &str) -> Target {
    Target::of(&RelPath::new(path).unwrap_or_default())
}

/// `/proc`: fresh, so that it shows this pid namespace; the parts through which root changes the
/// kernel read-only; `kcore`, the live memory, masked.
fn push_proc(steps: &mut Vec<Step>, inventory: &Inventory) {
    steps.push(Step::Mount {
        fs_type: c"proc",
        target: place("proc"),
        flags: inert(),
        data: c"",
    });
    for name in &inventory.proc_read_only {
        let target = place(&format!("proc/{name}"));
        steps.push(Step::Bind {
            source: target.as_c_str().to_owned(),
            target,
            flags: inert() | MsFlags::MS_RDONLY,
        });
    }
    if inventory.has_kcore && inventory.devices.contains(&"null") {
        steps.push(empty_file(place("proc/kcore")));
    }
}

/// `/sys` and all mounts in it, read-only, if the live machine has it.
fn push_sys(steps: &mut Vec<Step>, inventory: &Inventory) {
    let is_sys = |mount: &Mount| mount.mount_point.as_bytes() == b"sys";
    if inventory.mounts.iter().any(|seen| is_sys(&seen.mount)) {
        steps.push(Step::BindTreeReadOnly {
            source: c"/sys".to_owned(),
            target: place("sys"),
        });
    }
}

/// The running system: the parts of the kernel, the devices, what daemons have in `/run`, and their
/// sockets elsewhere, which an overlay would show under another identity than they were bound to.
fn push_live(steps: &mut Vec<Step>, inventory: &Inventory) {
    steps.push(Step::ShowKeptTree {
        target: place("proc"),
    });
    for name in ["sys", "dev", "run"] {
        steps.push(Step::BindTree {
            source: c_string(format!("/{name}").into_bytes()),
            target: place(name),
        });
    }
    let elsewhere = |path: &&RelPath| !is_special(path, Reach::Live);
    for path in inventory.sockets.iter().filter(elsewhere).take(MAX_SOCKETS) {
        steps.push(Step::Bind {
            source: live(path),
            target: Target::of(path),
            flags: MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        });
    }
}

/// Makes the home read-only, under every name it has inside: the records of what was done and what
/// is to be done are not an entry's to change, and a commit that moved them would lose itself.
fn push_home(steps: &mut Vec<Step>, settings: &PlanSettings, classified: &[Classified<'_>]) {
    let home = &settings.home;
    if home.is_root() || is_special(home, settings.reach) {
        return;
    }
    for path in names_inside(home, classified) {
        let target = Target::of(&path);
        steps.push(Step::Bind {
            source: target.as_c_str().to_owned(),
            target,
            flags: inert() | MsFlags::MS_RDONLY,
        });
    }
}

/// Puts something empty over each masked path, under every name it has inside. A path below
/// something empty, or where the scratchpad has its own, is not there.
fn push_masks(steps: &mut Vec<Step>, masks: &[Mask], classified: &[Classified<'_>], reach: Reach) {
    let is_empty = |item: &Classified<'_>| item.treatment == Treatment::Empty;
    let is_gone = |path: &RelPath, index: usize| {
        is_special(path, reach)
            || classified
                .iter()
                .any(|item| is_empty(item) && path.starts_with(&item.seen.mount.mount_point))
            || masks.iter().enumerate().any(|(other, mask)| {
                // Of two equal ones the first stays.
                path.starts_with(&mask.path) && (*path != mask.path || other < index)
            })
    };
    for (_, mask) in masks
        .iter()
        .enumerate()
        .filter(|(index, mask)| !is_gone(&mask.path, *index))
    {
        for path in names_inside(&mask.path, classified) {
            let target = Target::of(&path);
            steps.push(if mask.is_directory {
                empty(target)
            } else {
                empty_file(target)
            });
        }
    }
}

/// The path itself, and the same through each alias that shows it.
fn names_inside(path: &RelPath, classified: &[Classified<'_>]) -> Vec<RelPath> {
    let through_alias = |item: &Classified<'_>| match &item.treatment {
        Treatment::Alias(source) => {
            let below = path.strip_prefix(source)?;
            item.seen.mount.mount_point.join(&below).ok()
        }
        Treatment::Overlay
        | Treatment::ReadOnly
        | Treatment::Nothing
        | Treatment::Empty
        | Treatment::FreshProc => None,
    };
    let mut names = vec![path.clone()];
    names.extend(classified.iter().filter_map(through_alias));
    names
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
