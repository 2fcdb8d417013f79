//! A Debian host: starts, runs commands, loses its power, reboots, and gives its state out. Upholds:
//! no command meant for a host is ever run in the real root; a host is known by a file that only
//! its own root has.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use isconf::tour::{HostCommand, Manifest, Output};
use nix::unistd::Pid;

use super::keeper::Keeper;
use super::root::{DebianRoot, Disk};

/// How long a boot may take: half a second on an idle machine.
const BOOT: Duration = Duration::from_secs(120);

/// What is PID 1 of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// systemd, with all that it starts.
    Systemd,
    /// A process that only reaps.
    Plain,
}

/// A running Debian host. Dropping it ends its processes and removes its files.
pub struct DebianHost {
    name: String,
    init: Init,
    leader: Pid,
    keeper: Keeper,
}

impl DebianHost {
    /// Makes and boots a host. `None` means to skip, as [`super::super::start`] says.
    pub fn start(name: &str, root: &DebianRoot, disk: Disk, init: Init) -> Option<Self> {
        if !super::super::may_make_hosts() {
            return None;
        }
        let keeper = Keeper::start(name, disk, &root.image(disk));
        let mut host = Self {
            name: name.to_owned(),
            init,
            leader: Pid::from_raw(0),
            keeper,
        };
        host.boot();
        Some(host)
    }

    /// Boots a host that was stopped or whose power was cut.
    pub fn boot(&mut self) {
        let word = match self.init {
            Init::Systemd => "boot systemd",
            Init::Plain => "boot plain",
        };
        self.keeper.order(word);
        self.wait_for_boot(None);
    }

    /// Takes the power away: what was not synced is lost. The host does not run afterwards.
    pub fn cut_power(&mut self) {
        self.keeper.order("cut");
    }

    /// Ends every process and boots again: what was written stays written.
    pub fn reboot(&mut self) {
        self.keeper.order("stop");
        self.boot();
    }

    /// Waits until a host that reboots itself is up again.
    pub fn wait_for_reboot(&mut self) {
        self.wait_for_boot(Some(self.leader));
    }

    /// Prepares a command of literal words.
    pub fn command<W: AsRef<std::ffi::OsStr>>(
        &self,
        words: impl IntoIterator<Item = W>,
    ) -> HostCommand {
        HostCommand::new(&self.name, self.leader, words)
    }

    /// Runs a line of shell to its end.
    pub fn run(&self, line: &str) -> Output {
        let done = self.command(["sh", "-c", line]).run();
        done.unwrap_or_else(|error| panic!("{line}: {error}\nconsole: {}", self.keeper.console()))
    }

    /// Runs a line of shell that must succeed; returns what it wrote to both outputs.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        let done = self.run(line);
        assert_eq!(done.code(), 0, "{}: {line}: {done}", self.name);
        done.out() + &done.err()
    }

    /// Copies a file out of the host.
    pub fn read(&self, path: &str) -> Vec<u8> {
        let done = self.command(["cat", path]).run().expect("cat runs");
        assert_eq!(done.code(), 0, "{path}: {done}");
        done.stdout
    }

    /// Copies a file into the host.
    pub fn write(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        let writing = self.command(["dd", "status=none", &format!("of={path}")]);
        let done = writing.stdin(bytes).run().expect("dd runs");
        assert_eq!(done.code(), 0, "{path}: {done}");
    }

    /// Lists everything on the host's disk; not what the kernel makes up.
    pub fn manifest(&self) -> Manifest {
        let except = ["/dev", "/proc", "/sys", "/run", "/tmp"];
        Manifest::of_process(self.leader, &except).expect("the tree can be listed")
    }

    /// Returns PID 1 as numbered outside.
    pub fn leader(&self) -> Pid {
        self.leader
    }

    /// Returns a process in the network namespace of the host, as numbered outside.
    pub fn keeper(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.keeper.pid()).expect("pids are small"))
    }

    /// Returns the directory with all that the host has, which is also the name of its cgroup.
    pub fn work(&self) -> PathBuf {
        self.keeper.work().to_owned()
    }

    fn wait_for_boot(&mut self, not: Option<Pid>) {
        let deadline = Instant::now() + BOOT;
        loop {
            let found = self.find_leader().filter(|pid| Some(*pid) != not);
            if let Some(leader) = found {
                self.leader = leader;
                if self.is_up() {
                    return;
                }
            }
            let console = || self.keeper.console();
            assert!(
                Instant::now() < deadline,
                "{} does not boot: {}",
                self.name,
                console()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_up(&self) -> bool {
        let asking = self.command(["systemctl", "is-system-running"]);
        match self.init {
            Init::Plain => true,
            Init::Systemd => asking
                .timeout(Duration::from_secs(10))
                .run()
                .is_ok_and(|done| matches!(done.out().trim(), "running" | "degraded")),
        }
    }

    /// Finds PID 1 of the host: below the keeper, in a pid namespace below the keeper's, with the
    /// host's own root, and past the set-up by systemd-nspawn.
    fn find_leader(&self) -> Option<Pid> {
        let mark = self.keeper.work().file_name()?.to_string_lossy();
        let mut below = children(self.keeper.pid());
        while let Some(pid) = below.pop() {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let expected = match self.init {
                Init::Systemd => "systemd",
                Init::Plain => "(sd-stubinit)",
            };
            let marked = fs::read_to_string(format!("/proc/{pid}/root/etc/isconf-test-host"));
            let ours = marked.is_ok_and(|found| found.trim() == mark);
            if name.trim() == expected && is_first(pid) && ours {
                return Some(Pid::from_raw(i32::try_from(pid).ok()?));
            }
            below.extend(children(pid));
        }
        None
    }
}

/// Lists the children of a process (proc(5), `/proc/pid/task/tid/children`).
fn children(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(Path::new(&path)).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

/// Tells whether a process is PID 1 of its innermost pid namespace (proc(5), `NSpid`).
fn is_first(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    line.is_some_and(|ids| ids.split_whitespace().last() == Some("1"))
}
