//! Speaks with the keeper of a Debian host: the process that holds its namespaces, its disk and its
//! cgroup. Upholds: the keeper ends the host and removes its files when the other end of the pipe
//! is closed, which the kernel does for a maker that is killed.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use super::root::Disk;

/// A keeper with a disk that is ready.
pub(super) struct Keeper {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    work: PathBuf,
}

impl Keeper {
    /// Makes the namespaces, and the disk from the base image.
    pub(super) fn start(name: &str, disk: Disk, base: &Path) -> Self {
        /// Tells the hosts of one process apart.
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let work = place().join(format!("isconf-debian-{}-{number}", std::process::id()));
        let mut child = Command::new("setsid")
            .args(["unshare", "--mount", "--net", "--pid", "--fork"])
            .args(["--kill-child", "--mount-proc", "--propagation", "private"])
            // Shared among the host's own namespaces, or a copy in one of them would keep a
            // filesystem alive whose power was cut.
            .args(["bash", "-c"])
            .arg(concat!(
                "mount --make-rshared /\n",
                include_str!("keeper.sh")
            ))
            .arg("keeper")
            .arg(&work)
            .arg(disk.name())
            .arg(base)
            .args([super::super::PROGRAM, name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a keeper can be started");
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("the keeper has an output"));
        let mut keeper = Self {
            child,
            orders,
            answers,
            work,
        };
        keeper.expect("ready");
        keeper
    }

    /// Gives an order and waits until it is carried out.
    #[track_caller]
    pub(super) fn order(&mut self, order: &str) {
        let pipe = self.orders.as_mut().expect("the keeper listens");
        writeln!(pipe, "{order}").expect("the keeper lives");
        self.expect("ok");
    }

    /// Returns a process in the keeper's mount and network namespaces, as numbered here.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the directory with all that the host has, which is also the name of its cgroup.
    pub(super) fn work(&self) -> &Path {
        &self.work
    }

    /// Returns the end of what the host wrote to its console.
    pub(super) fn console(&self) -> String {
        let text = std::fs::read(self.work.join("console")).unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(4000)..]).into_owned()
    }

    #[track_caller]
    fn expect(&mut self, word: &str) {
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .expect("the keeper answers");
        assert_eq!(line.trim(), word, "console: {}", self.console());
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.orders.take());
        // All is removed when it has ended; that it was killed is seen by the tests of residue.
        let _ended = self.child.wait();
    }
}

/// Memory where there is enough of it for a few disks, and the place for temporary files elsewhere.
fn place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    match rustix::fs::statvfs(memory) {
        Ok(stat) if stat.f_bavail.saturating_mul(stat.f_frsize) >= 4 << 30 => memory.to_owned(),
        Ok(_) | Err(_) => std::env::temp_dir(),
    }
}
