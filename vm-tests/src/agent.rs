//! The end of the line inside a machine: runs the scripts that the runner sends, one after another.
//! Not for deciding anything.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::termios::{self, SetArg};

use crate::frame::{self, Answer};

/// Where scripts and their output lie; `/run` is a file system in memory.
const FOLDER: &str = "/run/vm-tests";

/// Serves the line at `terminal` until it closes. Fails when the line cannot be used.
pub fn serve(terminal: &Path) -> io::Result<()> {
    let mut line = OpenOptions::new().read(true).write(true).open(terminal)?;
    let mut settings = termios::tcgetattr(&line)?;
    termios::cfmakeraw(&mut settings);
    termios::tcsetattr(&line, SetArg::TCSANOW, &settings)?;
    std::fs::create_dir_all(FOLDER)?;
    frame::send(&mut line, b"ready")?;
    loop {
        let script = frame::receive(&mut line)?;
        let answer = run(&script)?;
        frame::send_answer(&mut line, &answer)?;
    }
}

/// Runs one script by the shell. Its output goes to a file, so that what it leaves running in the
/// background cannot hold the answer up.
fn run(script: &[u8]) -> io::Result<Answer> {
    let (file, output) = (format!("{FOLDER}/script"), format!("{FOLDER}/output"));
    std::fs::write(&file, script)?;
    // A new file each time: background processes of the last script keep the old one.
    match std::fs::remove_file(&output) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        // Gone, or never there.
        Ok(()) | Err(_) => {}
    }
    let sink = File::create(&output)?;
    let status = Command::new("/bin/sh")
        .arg(&file)
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("HOME", "/root")
        .env("LC_ALL", "C.UTF-8")
        .current_dir("/root")
        .stdin(Stdio::null())
        .stdout(sink.try_clone()?)
        .stderr(sink)
        .status()?;
    Ok(Answer {
        status: status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or_default()),
        output: std::fs::read(&output)?,
    })
}
