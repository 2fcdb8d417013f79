//! The programs of this machine that the runner calls. Not for qemu, see `machine`. Upholds: each
//! has a time limit, and ends when the runner does, however that ends.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// Why a program did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It could not be started.
    #[error("cannot start {program}")]
    Start {
        /// Its name.
        program: String,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// It ended with another status than 0; 124 is the time limit of timeout(1).
    #[error("{program} ended with {status}: {output}")]
    Failed {
        /// Its name.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it wrote to standard error.
        output: String,
    },
}

/// Makes a command that is killed when this thread ends, `prctl(PR_SET_PDEATHSIG)`; setpriv(1)
/// becomes the program, so that its process id is that of the program.
pub fn mortal(program: &OsStr, signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal]).arg(program);
    command.stdin(Stdio::null());
    command
}

/// Runs a program to its end, in at most `seconds`.
pub fn run(program: &OsStr, args: &[&OsStr], seconds: u32) -> Result<(), ToolError> {
    let name = || program.to_string_lossy().into_owned();
    let output = mortal("timeout".as_ref(), "TERM")
        .args(["--kill-after=10", &seconds.to_string()])
        .arg(program)
        .args(args)
        .stdout(Stdio::null())
        .output()
        .map_err(|cause| ToolError::Start {
            program: name(),
            cause,
        })?;
    if output.status.success() {
        return Ok(());
    }
    Err(ToolError::Failed {
        program: name(),
        status: output.status,
        output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
