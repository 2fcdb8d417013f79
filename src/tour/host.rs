//! A throwaway host: makes it, runs commands in it, reboots it, ends it. Upholds: nothing in a host
//! can write to a file of the real machine, and nothing of it is left when it is dropped.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

use super::command::{HostCommand, Output};
use super::error::HostError;
use super::holder::Holder;
use super::inside::Inside;
use super::manifest::Manifest;
use super::spec::HostSpec;
use super::workdir::WorkDir;
use super::{script, skeleton};

/// The programs a host is made with, and the Debian packages that have them.
const TOOLS: [(&str, &str); 9] = [
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("mount", "mount"),
    ("umount", "mount"),
    ("pivot_root", "util-linux"),
    ("hostname", "hostname"),
    ("truncate", "coreutils"),
    ("cat", "coreutils"),
    ("env", "coreutils"),
];

/// Subtrees that are not part of a host's own root: shown from the real machine, or made up by
/// the kernel.
const FOREIGN: [&str; 5] = ["/dev", "/proc", "/sys", "/usr", script::PROGRAM];

/// A running throwaway host. Dropping it ends its processes and removes its files.
#[derive(Debug)]
pub struct Host {
    spec: HostSpec,
    inside: Inside,
    // The order of the fields is the order of the end: processes, then mounts, then files.
    boot: Holder,
    volumes: Holder,
    work: WorkDir,
}

impl Host {
    /// Makes and boots a host.
    ///
    /// # Errors
    /// Names what is missing: root, a program, loop devices, namespaces.
    pub fn start(spec: HostSpec) -> Result<Self, HostError> {
        check(&spec)?;
        let work = WorkDir::create(spec.images.as_deref())?;
        skeleton::write(&spec, &work.path().join("skeleton"), &script::system_dirs())?;
        let volumes = script::volumes(&spec, work.path());
        let unshare = [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "--",
            "sh",
            "-c",
        ];
        let words: Vec<&OsStr> = unshare
            .map(OsStr::new)
            .into_iter()
            .chain([volumes.as_arg()])
            .collect();
        let volumes = Holder::start(&spec.name, "making its file systems", &words)?;
        let (boot, inside) = start_boot(&spec, &work, &volumes)?;
        Ok(Self {
            spec,
            inside,
            boot,
            volumes,
            work,
        })
    }

    /// Returns the host's name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Returns the host's PID 1 as numbered outside.
    pub fn init(&self) -> Pid {
        self.boot.pid()
    }

    /// Prepares a command of literal words.
    pub fn command<W: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = W>) -> HostCommand {
        HostCommand::new(&self.spec.name, self.init(), words)
    }

    /// Prepares a line of shell.
    pub fn shell(&self, line: impl AsRef<OsStr>) -> HostCommand {
        self.command(["sh".as_ref(), "-c".as_ref(), line.as_ref()])
    }

    /// Runs a command of literal words to its end.
    ///
    /// # Errors
    /// As [`HostCommand::run`].
    pub fn run<W: AsRef<OsStr>>(
        &self,
        words: impl IntoIterator<Item = W>,
    ) -> Result<Output, HostError> {
        self.command(words).run()
    }

    /// Runs a line of shell that must succeed, and returns what it wrote to standard output.
    ///
    /// # Errors
    /// As [`HostCommand::ok`].
    pub fn sh(&self, line: impl AsRef<OsStr>) -> Result<String, HostError> {
        Ok(self.shell(line).ok()?.out())
    }

    /// Reads a file of the host.
    ///
    /// # Errors
    /// Names the file.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>, HostError> {
        self.inside.read(path.as_ref())
    }

    /// Replaces the content of a file of the host; makes it with mode 0644 if absent.
    ///
    /// # Errors
    /// Names the file.
    pub fn write(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> Result<(), HostError> {
        self.inside.write(path.as_ref(), bytes.as_ref())
    }

    /// Tells whether a path exists in the host; a link counts, wherever it leads.
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.inside.exists(path.as_ref())
    }

    /// Lists the host's own tree at `top` completely. What is shown from the real machine and what
    /// the kernel makes up is left out.
    ///
    /// # Errors
    /// Names the file that could not be read.
    pub fn manifest(&self, top: impl AsRef<Path>) -> Result<Manifest, HostError> {
        self.manifest_except(top, &[])
    }

    /// Lists as [`Host::manifest`] does, without the subtrees in `except`.
    ///
    /// # Errors
    /// Names the file that could not be read.
    pub fn manifest_except(
        &self,
        top: impl AsRef<Path>,
        except: &[&str],
    ) -> Result<Manifest, HostError> {
        let except: Vec<PathBuf> = FOREIGN.iter().chain(except).map(PathBuf::from).collect();
        Manifest::of(&self.inside, top.as_ref(), &except)
    }

    /// Ends every process at once and boots again: fresh `/run` and `/dev`, the same volumes. Not
    /// a power cut: what was written stays written.
    ///
    /// # Errors
    /// As [`Host::start`]. The host is gone then.
    pub fn reboot(self) -> Result<Self, HostError> {
        // On failure these are dropped from the last to the first: mounts before files.
        let Self {
            spec,
            inside: _,
            work,
            volumes,
            boot,
        } = self;
        drop(boot);
        let (boot, inside) = start_boot(&spec, &work, &volumes)?;
        Ok(Self {
            spec,
            inside,
            boot,
            volumes,
            work,
        })
    }
}

/// Boots: PID 1 in fresh namespaces, with the mounts of the volumes' holder.
fn start_boot(
    spec: &HostSpec,
    work: &WorkDir,
    volumes: &Holder,
) -> Result<(Holder, Inside), HostError> {
    let boot = script::boot(spec, work.path(), &script::system_dirs());
    let holder = volumes.pid().to_string();
    let enter = ["nsenter", "-t", &holder, "-m", "--", "unshare"];
    let fresh = [
        "--mount",
        "--pid",
        "--uts",
        "--ipc",
        "--net",
        "--fork",
        "--kill-child",
    ];
    let words: Vec<&OsStr> = enter
        .into_iter()
        .chain(fresh)
        .chain(["--propagation", "private", "--", "sh", "-c"])
        .map(OsStr::new)
        .chain([boot.as_arg()])
        .collect();
    let boot = Holder::start(&spec.name, "booting", &words)?;
    let inside = Inside::of(boot.pid())?;
    // The one mistake that must never be made: a command meant for the host on the real root.
    if inside.is_same_root(&Inside::at(Path::new("/"))?)? {
        let said = "its root is the root of this machine".to_owned();
        return Err(HostError::SetUp {
            host: spec.name.clone(),
            phase: "booting",
            said,
        });
    }
    Ok((boot, inside))
}

/// Refuses with a name what the set-up would only fail on obscurely.
fn check(spec: &HostSpec) -> Result<(), HostError> {
    let uid = nix::unistd::geteuid();
    if !uid.is_root() {
        return Err(HostError::NotRoot { uid: uid.as_raw() });
    }
    let makers = spec.disks().filter_map(|(kind, _at)| kind.maker());
    for (tool, package) in TOOLS.into_iter().chain(makers) {
        let found = script::PATH
            .split(':')
            .any(|dir| Path::new(dir).join(tool).exists());
        if !found {
            return Err(HostError::MissingTool { tool, package });
        }
    }
    Ok(())
}
