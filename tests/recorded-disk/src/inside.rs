//! The first process of a host: mounts what belongs to one boot, leaves the real root for good,
//! then runs what it is asked to. Its end is the end of the host: the kernel kills what is left,
//! and the mounts go with it. Upholds: what is shown from the real machine is read-only.
//!
//! Set up by hand and not as the throwaway hosts of `isconf::tour` are, because a state may cost a
//! few milliseconds only.

use std::fs;
use std::io::{BufReader, stdin, stdout};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::{chdir, pivot_root};

use crate::error::RigError;
use crate::talk::{Answer, Disk, Ready, Request, hear, tell};

/// Where the program is seen in a host.
const PROGRAM: &str = "isconf/isconf";

/// The search path in a host.
const PATH: &str = "/isconf:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The devices of a host: name, major and minor number (null(4), random(4)).
const DEVICES: [(&str, u64, u64); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// Is the host until the rig has no more to ask. `root` is an empty directory for its root.
///
/// # Errors
/// If the host cannot be set up, or the talk with the rig breaks off.
pub fn run(root: &Path, disks: &[Disk]) -> Result<(), RigError> {
    // The old /proc still counts processes as the rig does.
    let itself = fs::read_link("/proc/self").map_err(|e| RigError::file(root, e))?;
    let pid = itself.to_string_lossy().parse().unwrap_or_default();
    let mut devices = Vec::new();
    for disk in disks {
        let below = disk.at.strip_prefix("/").unwrap_or(&disk.at);
        // Without the slash that joining nothing would leave at the end.
        let at: PathBuf = root.join(below).components().collect();
        fs::create_dir_all(&at).map_err(|e| RigError::file(&at, e))?;
        mount_disk(disk, &at)?;
        devices.push(device_of(&at)?);
    }
    boot(root)?;
    leave(root)?;
    tell(&mut stdout(), &Ready { pid, devices })?;
    let mut asked = BufReader::new(stdin());
    while let Some(request) = hear::<Request>(&mut asked)? {
        tell(&mut stdout(), &answer(&request)?)?;
    }
    Ok(())
}

fn answer(request: &Request) -> Result<Answer, RigError> {
    let [program, args @ ..] = &*request.words else {
        return Err(RigError::Unexpected {
            what: "the words of a request",
            found: "none".to_owned(),
        });
    };
    let mut command = Command::new(program);
    command.args(args).env_clear().env("PATH", PATH);
    command.env("HOME", "/root").env("LC_ALL", "C.UTF-8");
    command.envs(request.vars.iter().map(|(name, value)| (name, value)));
    let begun = Instant::now();
    let output = command.stdin(std::process::Stdio::null()).output();
    let output = output.map_err(|source| RigError::program(program, source))?;
    let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    let signal = output.status.signal().unwrap_or_default();
    Ok(Answer {
        status: output.status.code().unwrap_or(128 + signal),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
        micros,
    })
}

/// mount(8) finds a free loop device, also when others look for one at the same moment, and has it
/// let go when the filesystem is.
fn mount_disk(disk: &Disk, at: &Path) -> Result<(), RigError> {
    let options = match &*disk.options {
        "" => "loop".to_owned(),
        options => format!("loop,{options}"),
    };
    let mut command = Command::new("mount");
    command.args(["-t", &disk.kind, "-o", &options]);
    let output = command.arg(&disk.image).arg(at).output();
    let output = output.map_err(|source| RigError::program("mount", source))?;
    if output.status.success() {
        return Ok(());
    }
    Err(RigError::Failed {
        command: format!("mount -t {} -o {options}", disk.kind),
        status: output.status.code().unwrap_or_default(),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// The device that is mounted at a directory.
fn device_of(at: &Path) -> Result<String, RigError> {
    let table = Path::new("/proc/self/mountinfo");
    let text = fs::read_to_string(table).map_err(|e| RigError::file(table, e))?;
    let here = format!(" {} ", at.display());
    let line = text.lines().rfind(|line| line.contains(&here));
    let source = line.and_then(|line| line.split(" - ").nth(1)?.split(' ').nth(1));
    let name = source.and_then(|path| path.strip_prefix("/dev/"));
    name.map(str::to_owned).ok_or_else(|| RigError::Unexpected {
        what: "the device of a mount",
        found: line.unwrap_or_default().to_owned(),
    })
}

/// Makes the places for mounts in a root that is still empty; a root that has them stays as it is.
fn make_places(root: &Path) -> Result<(), RigError> {
    for name in ["dev", "isconf", "proc", "root", "run", "sys", "usr"] {
        let path = root.join(name);
        fs::create_dir_all(&path).map_err(|e| RigError::file(&path, e))?;
    }
    let program = root.join(PROGRAM);
    if !program.exists() {
        fs::write(&program, "").map_err(|e| RigError::file(&program, e))?;
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        let link = root.join(name);
        if link.symlink_metadata().is_err() {
            let made = std::os::unix::fs::symlink(Path::new("usr").join(name), &link);
            made.map_err(|e| RigError::file(&link, e))?;
        }
    }
    Ok(())
}

/// Mounts what the kernel makes up, and what is shown from the real machine.
fn boot(root: &Path) -> Result<(), RigError> {
    make_places(root)?;
    bind(Path::new("/usr"), &root.join("usr"))?;
    bind(Path::new("/proc/self/exe"), &root.join(PROGRAM))?;
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    made_up("proc", &root.join("proc"), plain, None)?;
    made_up("sysfs", &root.join("sys"), plain | MsFlags::MS_RDONLY, None)?;
    let memory = MsFlags::MS_NOSUID;
    made_up("tmpfs", &root.join("run"), memory, Some("mode=755"))?;
    let dev = root.join("dev");
    made_up("tmpfs", &dev, memory, Some("mode=755"))?;
    let everybody = Mode::from_bits_truncate(0o666);
    for (name, major, minor) in DEVICES {
        let path = dev.join(name);
        mknod(&path, SFlag::S_IFCHR, everybody, makedev(major, minor))
            .map_err(RigError::call(format!("make the device {name}")))?;
    }
    for name in ["pts", "shm"] {
        let path = dev.join(name);
        fs::create_dir(&path).map_err(|e| RigError::file(&path, e))?;
    }
    let newer = Some("newinstance,ptmxmode=0666,mode=620,gid=5");
    made_up("devpts", &dev.join("pts"), memory, newer)?;
    made_up("tmpfs", &dev.join("shm"), memory, Some("mode=1777"))?;
    let fd = dev.join("fd");
    std::os::unix::fs::symlink("/proc/self/fd", &fd).map_err(|e| RigError::file(&fd, e))
}

/// Shows a file or directory of the real machine, read-only.
fn bind(real: &Path, at: &Path) -> Result<(), RigError> {
    let none: Option<&str> = None;
    let what = || RigError::call(format!("show {} in a host", real.display()));
    mount(Some(real), at, none, MsFlags::MS_BIND, none).map_err(what())?;
    let again = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(none, at, none, again, none).map_err(what())
}

fn made_up(kind: &str, at: &Path, flags: MsFlags, options: Option<&str>) -> Result<(), RigError> {
    mount(Some(kind), at, Some(kind), flags, options)
        .map_err(RigError::call(format!("mount {kind} at {}", at.display())))
}

/// Makes the host's root the only one. The old root goes by way of `/run`, which is fresh.
fn leave(root: &Path) -> Result<(), RigError> {
    let old = root.join("run/real");
    fs::create_dir(&old).map_err(|e| RigError::file(&old, e))?;
    chdir(root).map_err(RigError::call("enter the host's root"))?;
    pivot_root(".", "run/real").map_err(RigError::call("change the root"))?;
    chdir("/root").map_err(RigError::call("enter the host's /root"))?;
    umount2("/run/real", MntFlags::MNT_DETACH).map_err(RigError::call("leave the old root"))?;
    let old = PathBuf::from("/run/real");
    fs::remove_dir(&old).map_err(|e| RigError::file(&old, e))
}
