//! A folder that goes with this process, also when that is killed. Not for what lies in it. Upholds:
//! nothing is left of a run.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Waits for the end of its input, which is the end of the process that made it, and removes a
/// folder. Ctrl-C reaches it too, and finds it deaf. What is killed in the same moment may still
/// write there, so it tries again.
const SCRIPT: &str = "trap '' HUP INT TERM; read -r _; \
    for _ in 1 2 3 4 5; do rm -rf -- \"$1\" && break; sleep 1; done";

/// The process that removes the folder.
#[derive(Debug)]
pub struct Swept(Child);

impl Swept {
    /// Makes the folder one that goes with this process. It need not be there.
    pub fn new(folder: &Path) -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "swept"]).arg(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        Ok(Self(command.spawn()?))
    }

    /// Removes the folder now. Fails when that cannot be waited for.
    pub fn now(mut self) -> io::Result<()> {
        // It waits for the end of that.
        drop(self.0.stdin.take());
        self.0.wait().map(drop)
    }
}
