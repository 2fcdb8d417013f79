//! A host whose root is an image, as the rig sees it: start, run, list the tree, end. Not for what
//! happens in it (that is `inside`). Upholds: when it has ended, nothing holds its images any more.

use std::fs;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use isconf::tour::Manifest;
use nix::unistd::Pid;

use crate::error::RigError;
use crate::talk::{Answer, Disk, Ready, Request, hear, tell};

/// The first word of the command line of a host's first process.
pub const INSIDE: &str = "be-a-host";

/// Subtrees that are not the host's own, and isconf's directory, which is looked at through isconf.
const NOT_LISTED: [&str; 8] = [
    "/dev",
    "/isconf",
    "/proc",
    "/run",
    "/sys",
    "/usr",
    "/var/is",
    "/lost+found",
];

/// How long a loop device may take to be let go after the last mount is gone.
const LET_GO: Duration = Duration::from_secs(60);

/// A running host.
#[derive(Debug)]
pub struct Host {
    child: Child,
    /// Closing it ends the host.
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    ready: Ready,
    disks: Vec<Disk>,
}

impl Host {
    /// Starts a host with these disks, the first of which is its root. `root` is an empty directory
    /// that no other host uses.
    ///
    /// # Errors
    /// If a disk cannot be mounted, or a host cannot be made here.
    pub fn start(root: &Path, disks: Vec<Disk>) -> Result<Self, RigError> {
        let unshare = ["--mount", "--pid", "--fork", "--kill-child"];
        let itself = std::env::current_exe();
        let itself = itself.map_err(|source| RigError::program("the rig itself", source))?;
        let mut command = Command::new("unshare");
        command.args(unshare).args(["--propagation", "private"]);
        command.arg("--").arg(itself).arg(INSIDE).arg(root);
        for disk in &disks {
            let words = serde_json::to_string(disk).map_err(|source| RigError::Message {
                line: String::new(),
                source,
            })?;
            command.arg(words);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| RigError::program("unshare", source))?;
        let (to, from) = (child.stdin.take(), child.stdout.take());
        let gone = || RigError::program("the host", std::io::ErrorKind::BrokenPipe.into());
        let mut from = BufReader::new(from.ok_or_else(gone)?);
        match hear(&mut from)? {
            Some(ready) => Ok(Self {
                child,
                to,
                from,
                ready,
                disks,
            }),
            None => Err(did_not_start(&mut child)?),
        }
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// If it cannot be run; a command that fails is no error.
    pub fn run(&mut self, words: &[&str], vars: &[(&str, &str)]) -> Result<Answer, RigError> {
        let own = |text: &&str| (*text).to_owned();
        let request = Request {
            words: words.iter().map(own).collect(),
            vars: vars.iter().map(|(n, v)| (own(n), own(v))).collect(),
        };
        let gone = || RigError::program("the host", std::io::ErrorKind::BrokenPipe.into());
        tell(self.to.as_mut().ok_or_else(gone)?, &request)?;
        hear(&mut self.from)?.ok_or_else(gone)
    }

    /// Runs a command that has to succeed, and returns what it wrote to standard output.
    ///
    /// # Errors
    /// If it fails.
    pub fn ok(&mut self, words: &[&str]) -> Result<String, RigError> {
        let answer = self.run(words, &[])?;
        if answer.status == 0 {
            return Ok(answer.out);
        }
        Err(RigError::Failed {
            command: words.join(" "),
            status: answer.status,
            said: answer.err,
        })
    }

    /// Lists the host's own tree.
    ///
    /// # Errors
    /// Names what cannot be read.
    pub fn tree(&self) -> Result<Manifest, RigError> {
        let init = Pid::from_raw(self.ready.pid);
        Ok(Manifest::of_process(init, &NOT_LISTED)?)
    }

    /// A file of the host, as seen from here; no link of the host may be on the way.
    pub fn file(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.ready.pid))
    }

    /// Ends the host and waits until its images are free.
    ///
    /// # Errors
    /// If a loop device is not let go.
    pub fn end(mut self) -> Result<(), RigError> {
        drop(self.to.take());
        let ended = self.child.wait();
        ended.map_err(|source| RigError::program("unshare", source))?;
        for (device, disk) in self.ready.devices.iter().zip(&self.disks) {
            wait_until_free(device, &disk.image)?;
        }
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.to.take());
        // Reaped already after `end`; else the host ends with its standard input.
        let _reaped = self.child.wait();
        for (device, disk) in self.ready.devices.iter().zip(&self.disks) {
            // Said by `end`; here something else went wrong before.
            let _told_by_end = wait_until_free(device, &disk.image);
        }
    }
}

/// Says why a host did not come up.
fn did_not_start(child: &mut Child) -> Result<RigError, RigError> {
    let failed = |source| RigError::program("unshare", source);
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut said).map_err(failed)?;
    }
    let status = child.wait().map_err(failed)?;
    Ok(RigError::Failed {
        command: "the start of a host".to_owned(),
        status: status.code().unwrap_or_default(),
        said: said.trim().to_owned(),
    })
}

/// Waits until a loop device shows an image no longer. The kernel unmounts and lets go after the
/// last process has ended, and tells nobody when.
fn wait_until_free(device: &str, image: &Path) -> Result<(), RigError> {
    let backing = PathBuf::from(format!("/sys/block/{device}/loop/backing_file"));
    let name = image.file_name().unwrap_or_default().as_encoded_bytes();
    let until = Instant::now() + LET_GO;
    let mut pause = Duration::from_micros(100);
    while let Ok(shown) = fs::read(&backing) {
        let shown = shown.trim_ascii_end();
        // Taken by somebody else meanwhile.
        if !shown.ends_with(name) {
            break;
        }
        if Instant::now() > until {
            return Err(RigError::StillHeld {
                device: device.to_owned(),
                image: image.to_owned(),
                seconds: LET_GO.as_secs(),
            });
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
    Ok(())
}
