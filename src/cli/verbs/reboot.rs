//! `reboot`: records a reboot and reboots this host. Upholds: what was done is durable before the
//! reboot command runs.

use std::process::Command;

use crate::cli::{Failure, Session};
use crate::config::Settings;
use crate::replay;
use crate::ui::exit::ExitCode;

/// Records a reboot, and reboots.
pub fn reboot(session: &mut Session) -> Result<ExitCode, Failure> {
    let (host, mut history) = session.this_host("reboot")?;
    let branch = host.branch.clone();
    session.refresh_lock(&host)?;
    replay::check_lock(&host, &history)
        .and_then(|permit| replay::reboot(&host, &mut history, permit))
        .map_err(|e| Failure::of_recording(e, &branch))?;
    run_reboot_command(session, &host.settings)
}

/// Runs `IS_REBOOT_CMD` by the shell, as the original did.
pub fn run_reboot_command(session: &mut Session, settings: &Settings) -> Result<ExitCode, Failure> {
    let command = &settings.reboot_command.value;
    session.out.info(&format!("running `{command}`"));
    // The kernel loses nothing in an orderly shutdown; the command may be a disorderly one.
    nix::unistd::sync();
    isconf_sandbox::commit::crash_point("reboot.command.begun");
    let failed = |reason: String| {
        Failure::new(
            ExitCode::Failure,
            format!("the reboot command `{command}` failed: {reason}"),
        )
        .hint("the reboot is recorded and will not be asked for again: reboot by hand.")
    };
    match Command::new("/bin/sh").arg("-c").arg(command).status() {
        Ok(status) if status.success() => Ok(ExitCode::Ok),
        Ok(status) => Err(failed(status.to_string())),
        Err(error) => Err(failed(error.to_string())),
    }
}
