//! Performs the steps in the cloned child. Not for deciding. Upholds: between clone and exec
//! nothing allocates, locks or prints; a failure is the index of the step and the errno.

use std::ffi::CStr;
use std::fmt::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::{Mode, mkdirat};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use nix::unistd::{chdir, chroot, fchdir, pivot_root, sethostname, symlinkat};

use super::step::{NEW_ROOT, Step, Target};
use crate::sys::clone::own_process;
use crate::sys::mount as api;

/// The step that failed, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Index into the steps.
    pub step: usize,
    /// The kernel's answer.
    pub errno: Errno,
}

/// The options of every overlay besides its layers (overlayfs.rst): `index` keeps hard links
/// together, `redirect_dir` lets a populated directory be renamed, `metacopy` makes chmod of a big
/// file free, `volatile` leaves out every sync (commit syncs what it takes).
const OPTIONS: [(&CStr, &CStr); 4] = [
    (c"index", c"on"),
    (c"redirect_dir", c"on"),
    (c"metacopy", c"on"),
    (c"xino", c"auto"),
];

/// The same as one string for mount(2).
const OPTIONS_TEXT: &str = "index=on,redirect_dir=on,metacopy=on,xino=auto,volatile";

/// Performs the steps in order.
pub(crate) fn apply(steps: &[Step]) -> Result<(), Failure> {
    // Layers are named to overlayfs as numbers in this directory: no path to escape, no limit of
    // length, and the same text on every kernel. The directory outlives the cover of /proc.
    let failed = |step: usize| move |errno| Failure { step, errno };
    let names = open_directory(c"/proc/self/fd").map_err(failed(0))?;
    let mut kept = None;
    steps.iter().enumerate().try_for_each(|(index, step)| {
        perform(step, names.as_fd(), &mut kept).map_err(failed(index))
    })
}

/// Performs one step. `kept` is the live tree that one of them takes hold of for another.
fn perform(step: &Step, names: BorrowedFd<'_>, kept: &mut Option<OwnedFd>) -> Result<(), Errno> {
    match step {
        Step::KeepTree { source } => {
            *kept = Some(api::clone_tree(source)?);
            Ok(())
        }
        Step::ShowKeptTree { target } => {
            let tree = kept.take().ok_or(Errno::EBADF)?;
            api::attach(tree.as_fd(), target.as_c_str())
        }
        Step::MakePrivate => make_private(),
        Step::Overlay {
            lower,
            upper,
            work,
            target,
            flags,
        } => {
            let layers = Layers::open(lower, upper, work)?;
            overlay(&layers, names, target.as_c_str(), *flags)
        }
        Step::Bind {
            source,
            target,
            flags,
        } => bind(source, target, *flags),
        Step::BindTree { source, target } => bind_tree(source, target),
        Step::BindTreeReadOnly { source, target } => {
            bind_tree(source, target)?;
            api::set_attributes_below(target.as_c_str(), api::ATTR_READ_ONLY)
        }
        Step::Mount {
            fs_type,
            target,
            flags,
            data,
        } => {
            let source = Some(*fs_type);
            mount_with(source, target.as_c_str(), source, *flags, Some(data))
        }
        Step::Remount { target, flags } => remount(target, *flags),
        Step::MakeDirectory { target } => {
            mkdirat(AT_FDCWD, target.as_c_str(), Mode::from_bits_truncate(0o755))
        }
        Step::MakeFile { target } => open(
            target.as_c_str(),
            OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC,
            Mode::from_bits_truncate(0o644),
        )
        .map(drop),
        Step::MakeLink { target, to } => symlinkat(*to, AT_FDCWD, target.as_c_str()),
        Step::Name { name } => sethostname(name),
        Step::EnterRoot => enter_root(),
    }
}

fn mount_with(
    source: Option<&CStr>,
    target: &CStr,
    fs_type: Option<&CStr>,
    flags: MsFlags,
    data: Option<&CStr>,
) -> Result<(), Errno> {
    mount(source, target, fs_type, flags, data)
}

fn bind(source: &CStr, target: &Target, flags: MsFlags) -> Result<(), Errno> {
    mount_with(
        Some(source),
        target.as_c_str(),
        None,
        MsFlags::MS_BIND,
        None,
    )?;
    remount(target, flags)
}

fn bind_tree(source: &CStr, target: &Target) -> Result<(), Errno> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount_with(Some(source), target.as_c_str(), None, flags, None)
}

/// A bind mount takes over the flags of its source; this sets them exactly (mount(2), "Remounting
/// an existing mount", `MS_REMOUNT | MS_BIND`).
fn remount(target: &Target, flags: MsFlags) -> Result<(), Errno> {
    let flags = flags | MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
    mount_with(None, target.as_c_str(), None, flags, None)
}

/// Cuts the namespace off from the live one: no mount and no unmount here may show there. That
/// concerns all mounts, also those out of sight when the live root is a chroot(2).
fn make_private() -> Result<(), Errno> {
    let live = open_directory(c"/")?;
    enter_topmost_root()?;
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount_with(None, c"/", None, flags, None)?;
    fchdir(live)?;
    chroot(c".")
}

/// Goes to the root of the mount namespace, which is above the live root when that is a chroot(2):
/// who joins the namespace lands there (setns(2)).
fn enter_topmost_root() -> Result<(), Errno> {
    setns(own_process()?, CloneFlags::CLONE_NEWNS)
}

/// Enters the new root and drops the old one: pivot_root(2), "pivot_root(".", ".")". Also when the
/// live root was a chroot(2), nothing of the live tree is left to reach.
fn enter_root() -> Result<(), Errno> {
    let new_root = open_directory(NEW_ROOT)?;
    enter_topmost_root()?;
    fchdir(new_root)?;
    pivot_root(c".", c".")?;
    umount2(c".", MntFlags::MNT_DETACH)?;
    chdir(c"/")
}

fn open_directory(path: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open(path, flags, Mode::empty())
}

/// The three directories of an overlay, open.
struct Layers {
    lower: OwnedFd,
    upper: OwnedFd,
    work: OwnedFd,
}

impl Layers {
    fn open(lower: &CStr, upper: &CStr, work: &CStr) -> Result<Self, Errno> {
        Ok(Self {
            lower: open_directory(lower)?,
            upper: open_directory(upper)?,
            work: open_directory(work)?,
        })
    }
}

/// Mounts an overlay with the mount API that knows `lowerdir+` (Linux 6.8); where that is missing,
/// with mount(2).
fn overlay(
    layers: &Layers,
    names: BorrowedFd<'_>,
    target: &CStr,
    flags: MsFlags,
) -> Result<(), Errno> {
    fchdir(names)?;
    let context = match api::open_context(c"overlay") {
        Ok(context) => context,
        Err(Errno::ENOSYS) => return overlay_by_text(layers, target, flags),
        Err(errno) => return Err(errno),
    };
    let mut lower = Text::<16>::default();
    let lower = lower.format(format_args!("{}", layers.lower.as_raw_fd()))?;
    if !name_lower(context.as_fd(), lower)? {
        return overlay_by_text(layers, target, flags);
    }
    for (key, fd) in [(c"upperdir", &layers.upper), (c"workdir", &layers.work)] {
        let mut name = Text::<16>::default();
        let name = name.format(format_args!("{}", fd.as_raw_fd()))?;
        api::set_string(context.as_fd(), key, name)?;
    }
    for (key, value) in OPTIONS {
        api::set_string(context.as_fd(), key, value)?;
    }
    api::set_flag(context.as_fd(), c"volatile")?;
    api::create(context.as_fd())?;
    let mount = api::make_mount(context.as_fd(), attributes(flags))?;
    check_writable(mount.as_fd(), flags)?;
    api::attach(mount.as_fd(), target)
}

/// Refuses an overlay that is read-only and should not be: it becomes so, with a line in the
/// kernel's log, when the filesystem of its work directory has no inode or no room left for it
/// (`ovl_make_workdir` in fs/overlayfs/super.c).
fn check_writable(mount: BorrowedFd<'_>, flags: MsFlags) -> Result<(), Errno> {
    let is_read_only = fstatvfs(mount)?.flags().contains(FsFlags::ST_RDONLY);
    match is_read_only && !flags.contains(MsFlags::MS_RDONLY) {
        true => Err(Errno::ENOSPC),
        false => Ok(()),
    }
}

/// Names the lower layer of an overlay; `false` where `lowerdir+` is not known.
///
/// Before Linux 6.5 overlayfs takes any word here and refuses it only when the filesystem is made
/// (`legacy_parse_param` in fs/fs_context.c), with a line in the kernel's log. So a word that nobody
/// knows goes first: who takes that one knows neither.
pub(crate) fn name_lower(context: BorrowedFd<'_>, lower: &CStr) -> Result<bool, Errno> {
    match api::set_flag(context, c"isconf-asks-who-reads-this") {
        Ok(()) => return Ok(false),
        Err(Errno::EINVAL) => {}
        Err(errno) => return Err(errno),
    }
    match api::set_string(context, c"lowerdir+", lower) {
        Ok(()) => Ok(true),
        Err(Errno::EINVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Mounts an overlay with mount(2); the current directory is that of the descriptors.
fn overlay_by_text(layers: &Layers, target: &CStr, flags: MsFlags) -> Result<(), Errno> {
    let mut data = Text::<192>::default();
    let data = data.format(format_args!(
        "lowerdir={},upperdir={},workdir={},{OPTIONS_TEXT}",
        layers.lower.as_raw_fd(),
        layers.upper.as_raw_fd(),
        layers.work.as_raw_fd(),
    ))?;
    let overlay = Some(c"overlay");
    mount_with(overlay, target, overlay, flags, Some(data))?;
    check_writable(open_directory(target)?.as_fd(), flags)
}

fn attributes(flags: MsFlags) -> u64 {
    [
        (MsFlags::MS_RDONLY, api::ATTR_READ_ONLY),
        (MsFlags::MS_NOSUID, api::ATTR_NO_SUID),
        (MsFlags::MS_NODEV, api::ATTR_NO_DEVICES),
        (MsFlags::MS_NOEXEC, api::ATTR_NO_EXEC),
    ]
    .into_iter()
    .filter(|(flag, _)| flags.contains(*flag))
    .fold(0, |bits, (_, bit)| bits | bit)
}

/// Tries whether the kernel takes all our overlay options with these layers: makes the filesystem
/// and attaches it to nothing.
pub(crate) fn overlay_probe(lower: &CStr, upper: &CStr, work: &CStr) -> Result<(), Errno> {
    let layers = Layers::open(lower, upper, work)?;
    let context = api::open_context(c"overlay")?;
    for (key, fd) in [
        (c"lowerdir", &layers.lower),
        (c"upperdir", &layers.upper),
        (c"workdir", &layers.work),
    ] {
        let mut name = Text::<32>::default();
        let name = name.format(format_args!("/proc/self/fd/{}", fd.as_raw_fd()))?;
        api::set_string(context.as_fd(), key, name)?;
    }
    for (key, value) in OPTIONS {
        api::set_string(context.as_fd(), key, value)?;
    }
    api::set_flag(context.as_fd(), c"volatile")?;
    api::create(context.as_fd())
}

/// A C string of fixed room, for text made where nothing may be allocated.
struct Text<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self {
            bytes: [0; N],
            length: 0,
        }
    }
}

impl<const N: usize> Text<N> {
    /// Writes the text; `ENAMETOOLONG` when it does not fit.
    fn format(&mut self, text: std::fmt::Arguments<'_>) -> Result<&CStr, Errno> {
        self.write_fmt(text).map_err(|_| Errno::ENAMETOOLONG)?;
        CStr::from_bytes_until_nul(&self.bytes).map_err(|_| Errno::ENAMETOOLONG)
    }
}

impl<const N: usize> Write for Text<N> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        let room = self
            .bytes
            .get_mut(self.length..end)
            .ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
