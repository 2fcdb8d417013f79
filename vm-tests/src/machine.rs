//! One machine: a qemu process, and the line to the agent in it. Not for what machines are made of.
//! Upholds: `-accel tcg` always (a `/dev/kvm` that opens proves nothing); a machine ends with its
//! value, and with the runner.

use std::fs;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::frame::{self, Answer};
use crate::tool;

/// From power-on to the first answer: 8 s alone, a minute on a busy machine.
const BOOT_LIMIT: Duration = Duration::from_secs(240);
/// For one script that does nothing long.
pub const STEP_LIMIT: Duration = Duration::from_secs(180);
/// How often to look whether qemu has made its socket, or has ended: it announces neither.
const LOOK: Duration = Duration::from_millis(20);

/// What a machine is started with.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The kernel.
    pub kernel: PathBuf,
    /// Its disks, in order; the first has the root or the means to mount it.
    pub disks: Vec<PathBuf>,
    /// More words for the kernel's command line.
    pub append: String,
    /// Where console and sockets go.
    pub folder: PathBuf,
}

/// What can go wrong with a machine.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// qemu could not be started, or its files not be used.
    #[error("cannot start a machine in {folder}")]
    Start {
        /// Its folder.
        folder: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// qemu ended by itself.
    #[error("the machine ended by itself: {status}: {output}")]
    Ended {
        /// How.
        status: ExitStatus,
        /// What qemu wrote.
        output: String,
    },
    /// The line to the agent broke, or nothing came in time.
    #[error("no answer to (at most {} s): {step}", limit.as_secs())]
    Silent {
        /// What was asked.
        step: String,
        /// How long it may take.
        limit: Duration,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A script that has to succeed failed.
    #[error("status {} of: {step}\n{}", answer.status, String::from_utf8_lossy(&answer.output))]
    Failed {
        /// The script.
        step: String,
        /// What came back.
        answer: Answer,
    },
    /// It did not switch itself off in time.
    #[error("the machine did not end within {} s", .0.as_secs())]
    StillUp(Duration),
}

/// A running machine.
#[derive(Debug)]
pub struct Machine {
    process: Powered,
    line: UnixStream,
}

impl Machine {
    /// Switches a machine on and waits for its agent.
    pub fn boot(parts: &Parts) -> Result<Self, MachineError> {
        let failed = |cause| MachineError::Start {
            folder: parts.folder.clone(),
            cause,
        };
        let folder = fs::File::open(&parts.folder).map_err(failed)?;
        // By way of the open folder: a socket's path has at most 107 bytes, unix(7).
        let socket = PathBuf::from(format!("/proc/self/fd/{}/agent", folder.as_raw_fd()));
        let deadline = Instant::now() + BOOT_LIMIT;
        let mut process = Powered::on(parts, &socket).map_err(failed)?;
        let mut line = connect(&socket, &mut process, parts, deadline)?;
        let silent = |cause| MachineError::Silent {
            step: "boot".to_owned(),
            limit: BOOT_LIMIT,
            cause,
        };
        line.set_read_timeout(Some(BOOT_LIMIT)).map_err(silent)?;
        match frame::receive(&mut line) {
            Ok(_) => Ok(Self { process, line }),
            // The line ends with qemu.
            Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
                Err(ended(parts, process.0.wait().map_err(failed)?))
            }
            Err(cause) => Err(silent(cause)),
        }
    }

    /// Runs a script to its end, whatever that is.
    pub fn run(&mut self, script: &str) -> Result<Answer, MachineError> {
        self.run_within(script, STEP_LIMIT)
    }

    /// As [`Machine::run`], with a time limit of its own.
    pub fn run_within(&mut self, script: &str, limit: Duration) -> Result<Answer, MachineError> {
        let silent = |cause| MachineError::Silent {
            step: script.to_owned(),
            limit,
            cause,
        };
        self.line.set_read_timeout(Some(limit)).map_err(silent)?;
        frame::send(&mut self.line, script.as_bytes()).map_err(silent)?;
        frame::receive_answer(&mut self.line).map_err(silent)
    }

    /// Runs a script that has to succeed; returns its output without the last newline.
    pub fn get(&mut self, script: &str) -> Result<String, MachineError> {
        let answer = self.run(script)?;
        if answer.status == 0 {
            return Ok(String::from_utf8_lossy(&answer.output)
                .trim_end()
                .to_owned());
        }
        Err(MachineError::Failed {
            step: script.to_owned(),
            answer,
        })
    }

    /// Sends a script after which the machine is expected to end by itself, and waits for that.
    pub fn run_to_the_end(mut self, script: &str) -> Result<(), MachineError> {
        let silent = |cause| MachineError::Silent {
            step: script.to_owned(),
            limit: STEP_LIMIT,
            cause,
        };
        frame::send(&mut self.line, script.as_bytes()).map_err(silent)?;
        self.line.flush().map_err(silent)?;
        let deadline = Instant::now() + STEP_LIMIT;
        while Instant::now() < deadline {
            if self.process.0.try_wait().map_err(silent)?.is_some() {
                return Ok(());
            }
            thread::sleep(LOOK);
        }
        Err(MachineError::StillUp(STEP_LIMIT))
    }

    /// Cuts the power: what the guest has not handed to its disk is lost.
    pub fn cut(self) {
        drop(self);
    }
}

/// A qemu process; it ends with its value.
#[derive(Debug)]
struct Powered(Child);

impl Powered {
    /// Starts qemu, which will make the socket.
    fn on(parts: &Parts, socket: &Path) -> io::Result<Self> {
        match fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            // Gone, or never there.
            Ok(()) | Err(_) => {}
        }
        let errors = fs::File::create(parts.folder.join("qemu.log"))?;
        let process = tool::mortal("qemu-system-x86_64".as_ref(), "KILL")
            .args(arguments(parts))
            .current_dir(&parts.folder)
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()?;
        Ok(Self(process))
    }
}

impl Drop for Powered {
    fn drop(&mut self) {
        // Nothing is left to be killed of a process that ended and was waited for.
        let ended = self.0.kill().and_then(|()| self.0.wait());
        debug_assert!(ended.is_ok(), "our own child can be killed and waited for");
    }
}

/// Waits for qemu's socket. The agent's first word is lost unless somebody listens by then.
fn connect(
    socket: &Path,
    process: &mut Powered,
    parts: &Parts,
    deadline: Instant,
) -> Result<UnixStream, MachineError> {
    let failed = |cause| MachineError::Start {
        folder: parts.folder.clone(),
        cause,
    };
    loop {
        let refused = match UnixStream::connect(socket) {
            Ok(line) => return Ok(line),
            Err(cause) => cause,
        };
        if let Some(status) = process.0.try_wait().map_err(failed)? {
            return Err(ended(parts, status));
        }
        if Instant::now() > deadline {
            return Err(failed(refused));
        }
        thread::sleep(LOOK);
    }
}

/// Says that qemu ended by itself, with what it wrote, if that can be read.
fn ended(parts: &Parts, status: ExitStatus) -> MachineError {
    let output = fs::read_to_string(parts.folder.join("qemu.log"))
        .unwrap_or_else(|error| format!("qemu.log: {error}"));
    MachineError::Ended { status, output }
}

/// The arguments of qemu. `cache=unsafe`: the end of qemu loses only what the guest had not written;
/// the host's own cache survives it. `-no-reboot`: a guest that reboots ends qemu, which is a fact
/// to check; the runner switches it on again. `no_timer_check`: the kernel gives the timer some ticks
/// to prove itself and panics otherwise, which happens when this machine is busy.
fn arguments(parts: &Parts) -> Vec<String> {
    let mut words: Vec<String> = "-accel tcg,thread=multi -M q35 -cpu qemu64 -m 768 -smp 1 \
        -nodefaults -no-user-config -display none -no-reboot"
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let mut add = |name: &str, value: String| words.extend([name.to_owned(), value]);
    add("-chardev", "file,id=con,path=console,append=on".to_owned());
    add("-serial", "chardev:con".to_owned());
    add(
        "-chardev",
        "socket,id=agent,path=agent,server=on,wait=off".to_owned(),
    );
    add("-serial", "chardev:agent".to_owned());
    add("-kernel", parts.kernel.display().to_string());
    add(
        "-append",
        format!(
            "console=ttyS0 root=/dev/nvme0n1 rootfstype=ext4 panic=-1 quiet \
             systemd.show_status=0 mitigations=off no_timer_check {}",
            parts.append
        ),
    );
    // One controller with a namespace for each disk: the names of controllers are a matter of luck.
    add("-device", "nvme,id=nvme,serial=vm-tests".to_owned());
    for (number, disk) in (1..).zip(&parts.disks) {
        let disk = disk.display();
        let options = "format=raw,if=none,cache=unsafe";
        add("-drive", format!("file={disk},id=d{number},{options}"));
        add(
            "-device",
            format!("nvme-ns,bus=nvme,nsid={number},drive=d{number}"),
        );
    }
    words
}
