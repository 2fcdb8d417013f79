//! What this kernel and these filesystems can do, asked once, as typed answers. Not for deciding
//! whether to go on. Upholds: what is missing is known with its remedy before anything is tried.

use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, RenameFlags, open, renameat2};
use nix::sys::stat::Mode;

use crate::mounts::{Inventory, InventoryError, name_lower, overlay_probe, remove_tree};
use crate::sys::files::reflink;
use crate::sys::process::{LANDLOCK_ABI_WITH_SCOPES, landlock_abi};
use crate::sys::{mount, seccomp};

/// One thing that may be there or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ability {
    /// overlayfs is in the kernel. Needed.
    Overlay,
    /// The mount API (fsopen(2), mount_setattr(2)) is there. Needed; Linux 5.12.
    MountApi,
    /// `lowerdir+` is understood (Linux 6.8); without it mount(2) is used.
    LowerByName,
    /// Mount, pid, ipc and uts namespaces. Needed.
    Namespaces,
    /// `CAP_SYS_ADMIN` and the other rights of root. Needed.
    Rights,
    /// Notification of system calls; without it attempts are refused and not reported.
    Notification,
    /// Landlock scopes (Linux 6.12); without them abstract sockets of live daemons are reachable.
    Scopes,
    /// The live root can be renamed into (it is not itself an overlay); without it commit copies.
    RootIsPlain,
    /// Directories of the live root have the same inode numbers after the next boot; without it a
    /// commit that a power cut interrupts is not finished by itself.
    InodesStay,
    /// The home's filesystem takes an upper layer with all our options.
    HomeHoldsUpper,
    /// The home's filesystem exchanges two names in one step. Needed for commit.
    Exchange,
    /// The home's filesystem shares blocks between files; without it pre-images are copied.
    Reflink,
}

/// What was found out about one ability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Which.
    pub ability: Ability,
    /// Whether it is there; with the kernel's answer when it is not and there was one.
    pub state: State,
}

/// Whether an ability is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Yes.
    Present,
    /// No, as the kernel said.
    Refused(Errno),
    /// No, or not enough.
    Absent,
    /// Only root can find out.
    NeedsRoot,
}

/// Why the machine could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A directory for trying things could not be made or removed.
    #[error("cannot try the filesystem at {}", path.display())]
    Directory {
        /// Where.
        path: std::path::PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The mounts could not be read.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
}

impl Ability {
    /// Whether nothing works without it.
    pub const fn is_needed(self) -> bool {
        match self {
            Self::Overlay | Self::MountApi | Self::Namespaces | Self::Rights | Self::Exchange => {
                true
            }
            Self::LowerByName
            | Self::Notification
            | Self::Scopes
            | Self::RootIsPlain
            | Self::InodesStay
            | Self::HomeHoldsUpper
            | Self::Reflink => false,
        }
    }

    /// The key of its name and remedy in the user's text: `overlay`, `mount_api`, ...
    pub const fn key(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::MountApi => "mount_api",
            Self::LowerByName => "lower_by_name",
            Self::Namespaces => "namespaces",
            Self::Rights => "rights",
            Self::Notification => "notification",
            Self::Scopes => "scopes",
            Self::RootIsPlain => "root_is_plain",
            Self::InodesStay => "inodes_stay",
            Self::HomeHoldsUpper => "home_holds_upper",
            Self::Exchange => "exchange",
            Self::Reflink => "reflink",
        }
    }
}

/// Asks everything that the caller may ask. `home` exists; what is made in it for trying is removed.
pub fn probe(home: &Path) -> Result<Vec<Answer>, ProbeError> {
    let inventory = Inventory::take(&[])?;
    let mut answers = kernel(&inventory);
    answers.extend(tried(home)?);
    if !nix::unistd::geteuid().is_root() {
        for answer in &mut answers {
            leave_to_root(answer);
        }
    }
    Ok(answers)
}

/// What is tried in the home.
fn tried(home: &Path) -> Result<Vec<Answer>, ProbeError> {
    let directory = home.join(format!(".probe-{}", std::process::id()));
    let fail = |source| ProbeError::Directory {
        path: directory.clone(),
        source,
    };
    match std::fs::create_dir(&directory) {
        Err(error)
            if error.kind() == io::ErrorKind::PermissionDenied
                && !nix::unistd::geteuid().is_root() =>
        {
            let states = [Ability::HomeHoldsUpper, Ability::Exchange, Ability::Reflink];
            return Ok(states.map(needs_root).to_vec());
        }
        made => made.map_err(fail)?,
    }
    let tried = filesystem(&directory);
    remove_tree(&directory).map_err(|error| fail(error.source))?;
    tried.map_err(fail)
}

const fn needs_root(ability: Ability) -> Answer {
    Answer {
        ability,
        state: State::NeedsRoot,
    }
}

/// Without root's rights a refusal says nothing about the machine.
fn leave_to_root(answer: &mut Answer) {
    let is_about_rights = match answer.state {
        State::Refused(errno) => matches!(errno, Errno::EPERM | Errno::EACCES),
        State::Absent => answer.ability == Ability::Rights,
        State::Present | State::NeedsRoot => false,
    };
    if is_about_rights {
        answer.state = State::NeedsRoot;
    }
}

fn answer(ability: Ability, is_there: bool) -> Answer {
    let state = if is_there {
        State::Present
    } else {
        State::Absent
    };
    Answer { ability, state }
}

fn asked<T>(ability: Ability, result: Result<T, Errno>) -> Answer {
    let state = match result {
        Ok(_) => State::Present,
        Err(errno) => State::Refused(errno),
    };
    Answer { ability, state }
}

/// What needs no filesystem.
fn kernel(inventory: &Inventory) -> Vec<Answer> {
    let context = mount::open_context(c"overlay");
    let lower = match &context {
        Ok(context) => match name_lower(context.as_fd(), c"/") {
            Ok(true) => Ok(()),
            Ok(false) => Err(Errno::EINVAL),
            Err(errno) => Err(errno),
        },
        Err(errno) => Err(*errno),
    };
    // A path that is not there: ENOSYS comes before ENOENT.
    let attributes = mount::set_attributes_below(c"", mount::ATTR_READ_ONLY);
    let namespaces = ["mnt", "pid", "ipc", "uts"];
    let has_namespace = |name: &str| Path::new("/proc/self/ns").join(name).exists();
    let is_overlay = inventory
        .mounts
        .iter()
        .any(|seen| seen.mount.mount_point.is_root() && seen.mount.fs_type == "overlay");
    let has_rights = caps::has_cap(
        None,
        caps::CapSet::Effective,
        caps::Capability::CAP_SYS_ADMIN,
    );
    vec![
        overlay(context.map(drop)),
        answer(Ability::MountApi, attributes != Err(Errno::ENOSYS)),
        asked(Ability::LowerByName, lower),
        answer(
            Ability::Namespaces,
            namespaces.into_iter().all(has_namespace),
        ),
        answer(Ability::Rights, has_rights.unwrap_or(false)),
        answer(Ability::Notification, seccomp::has_user_notification()),
        answer(Ability::Scopes, landlock_abi() >= LANDLOCK_ABI_WITH_SCOPES),
        answer(Ability::RootIsPlain, !is_overlay),
        answer(
            Ability::InodesStay,
            !is_overlay || numbers_are_of_one_device(Path::new("/etc")),
        ),
    ]
}

/// Whether a file in this directory of an overlay has the device number of the directory. Where it
/// has another one, the layers lie on several filesystems, and the directories' inode numbers are
/// made up at each mount (kernel documentation of overlayfs, "Inode properties").
fn numbers_are_of_one_device(directory: &Path) -> bool {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let file = entries
        .filter_map(|entry| entry.metadata().ok())
        .find(std::fs::Metadata::is_file);
    match (file, std::fs::metadata(directory)) {
        (Some(file), Ok(directory)) => file.dev() == directory.dev(),
        (None, _) | (_, Err(_)) => true,
    }
}

/// Whether overlayfs is there; one that is in use already is listed for everybody (proc(5),
/// `/proc/filesystems`).
fn overlay(context: Result<(), Errno>) -> Answer {
    let listed = || std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    match context {
        Err(Errno::EPERM) if listed().lines().any(|line| line == "nodev\toverlay") => {
            answer(Ability::Overlay, true)
        }
        other => asked(Ability::Overlay, other),
    }
}

/// What is tried in a directory of the home's filesystem.
fn filesystem(directory: &Path) -> io::Result<Vec<Answer>> {
    let path = |name: &str| directory.join(name);
    for name in ["lower", "upper", "work"] {
        std::fs::create_dir(path(name))?;
    }
    let c_path = |name: &str| CString::new(path(name).as_os_str().as_bytes());
    let overlay = overlay_probe(&c_path("lower")?, &c_path("upper")?, &c_path("work")?);
    std::fs::write(path("a"), vec![b'a'; 4096])?;
    std::fs::write(path("b"), b"b")?;
    Ok(vec![
        asked(Ability::HomeHoldsUpper, overlay),
        asked(Ability::Exchange, exchange(&path("a"), &path("b"))),
        asked(Ability::Reflink, share_blocks(&path("b"), &path("a"))),
    ])
}

fn exchange(one: &Path, other: &Path) -> Result<(), Errno> {
    use nix::fcntl::AT_FDCWD;
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)
}

fn share_blocks(from: &Path, to: &Path) -> Result<(), Errno> {
    use std::os::fd::AsFd;
    let open = |path: &Path, how| open(path, how | OFlag::O_CLOEXEC, Mode::empty());
    let from = open(from, OFlag::O_RDONLY)?;
    let to = open(to, OFlag::O_WRONLY)?;
    reflink(from.as_fd(), to.as_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_for_want_of_rights_are_left_to_root() {
        let state = |ability, state| {
            let mut answer = Answer { ability, state };
            leave_to_root(&mut answer);
            answer.state
        };
        let eperm = State::Refused(Errno::EPERM);
        assert_eq!(state(Ability::LowerByName, eperm), State::NeedsRoot);
        assert_eq!(state(Ability::Rights, State::Absent), State::NeedsRoot);
        for told in [State::Present, State::Absent, State::Refused(Errno::ENOSYS)] {
            assert_eq!(state(Ability::Scopes, told), told);
        }
    }

    #[test]
    fn every_ability_is_asked_once_and_nothing_stays() {
        let home = tempfile::tempdir().unwrap();
        let answers = probe(home.path()).unwrap();
        let mut abilities: Vec<_> = answers.iter().map(|answer| answer.ability).collect();
        abilities.sort();
        abilities.dedup();
        assert_eq!(abilities.len(), 12);
        assert_eq!(answers.len(), 12);
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    }
}
