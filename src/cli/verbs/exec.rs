//! `exec`: runs a command here and records it for all hosts of the branch. Upholds: a command that
//! fails leaves nothing live and nothing recorded, and its status is passed through.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use isconf_sandbox::change::Digest;

use super::callers_input::may_have_input;
use crate::cli::invocation::{ExecCommand, RunMode};
use crate::cli::worksite::{ending, streams};
use crate::cli::{Failure, Session};
use crate::model::report::{Fate, Report};
use crate::model::{Bytes, Exec, Handling, Network, connection_count, outward};
use crate::replay::{self, Input, Intention, Manner, ThisHost, chain};
use crate::store::StoreError;
use crate::ui::exit::ExitCode;
use crate::ui::{command_line, escaped};

/// Runs and records the command.
pub fn exec(session: &mut Session, command: ExecCommand) -> Result<ExitCode, Failure> {
    check_variables(session, &command.env)?;
    let (host, mut history) = session.this_host("exec")?;
    let branch = host.branch.clone();
    session.refresh_lock(&host)?;
    let permit =
        replay::check_lock(&host, &history).map_err(|e| Failure::of_recording(e, &branch))?;
    let exec = resolve(session, &host, &command)?;
    if exec.stdin.is_none() && may_have_input(&io::stdin()) {
        session.out.warning(
            "standard input is not recorded: the command can read it here, on other hosts it gets /dev/null",
        );
        session
            .out
            .hint("`--stdin FILE` gives the command a file on every host; `</dev/null` gives it nothing here too.");
    }
    let (words, network) = (command_line(&exec.argv), exec.network);
    session.out.info(&format!("running {words}"));
    let manner = Manner {
        intention: match command.run {
            RunMode::Preview => Intention::Preview,
            RunMode::Commit => Intention::Record,
        },
        streams: streams(Input::Callers, command.show),
        keeps_contents: session.wants_diffs(command.show),
        on_failure: command.on_failure,
        repeat: command.repeat,
    };
    let mut progress = session.progress(command.show.form);
    let recorded = replay::exec(&host, &mut history, permit, exec, manner, &mut *progress)
        .map_err(|e| Failure::of_recording(e, &branch))?;
    let contents = manner.keeps_contents.then_some(&recorded.contents as _);
    session.show_report(&recorded.report, &host.settings, command.show, contents)?;
    session.advise_of_hazards(recorded.report.hazards.iter());
    session.warn_of_failed_service(&recorded.report);
    let ended = ending(&recorded.report, recorded.not_started);
    let hint = network_hint(&recorded.report, network);
    let code = match (ended, hint) {
        (Err(failure), Some(hint)) => return Err(failure.hint(hint)),
        (Err(failure), None) => return Err(failure),
        (Ok(code), Some(hint)) => {
            session.out.hint(&hint);
            code
        }
        (Ok(code), None) => code,
    };
    if recorded.report.fate == Fate::Committed {
        session.out.info(&format!("exec done: {words}"));
    }
    Ok(code)
}

/// What to say about a preview that was kept from a network that the command tried to use: it may
/// not be what a run with the network does.
fn network_hint(report: &Report, network: Network) -> Option<String> {
    let tried = outward(&report.effects).next()?;
    let is_kept_back = report.fate == Fate::Previewed
        && network == Network::None
        && connection_count(&report.effects) == 0;
    is_kept_back.then(|| {
        format!(
            "this preview had no network, and the command tried to connect to {}. `isconf exec --noop --network host` lets it, and what it sends is really sent.",
            escaped(tried.target.as_bytes())
        )
    })
}

/// Refuses a variable that was asked for by name and has no value: other hosts would run without it,
/// and nobody would know.
fn check_variables(session: &Session, asked: &[OsString]) -> Result<(), Failure> {
    // `PATH` always has a value; see `Settings::passed_environment`.
    let is_set = |name: &OsString| name == "PATH" || session.around.vars.contains_key(name);
    let Some(name) = asked.iter().find(|name| !is_set(name)) else {
        return Ok(());
    };
    let message = format!(
        "--env {}: the variable is not set",
        escaped(name.as_bytes())
    );
    Err(Failure::new(ExitCode::Usage, message)
        .hint("set and export it, or leave --env out; nothing was run."))
}

/// The command with everything that makes it the same on every host.
fn resolve(session: &Session, host: &ThisHost, command: &ExecCommand) -> Result<Exec, Failure> {
    let stdin = command
        .stdin
        .as_deref()
        .map(|path| store_input(host, path))
        .transpose()?;
    let mut exec = plain(
        session,
        host.settings
            .passed_environment(&session.around, &command.env),
        &command.argv,
    )?;
    exec.stdin = stdin;
    exec.network = match command.run {
        RunMode::Preview => command.network.unwrap_or(Network::None),
        RunMode::Commit => command.network.unwrap_or(host.settings.network.value),
    };
    exec.effects = command.effects;
    Ok(exec)
}

/// A command in the caller's directory and with the caller's umask.
pub fn plain(
    session: &Session,
    env: Vec<(OsString, OsString)>,
    argv: &[OsString],
) -> Result<Exec, Failure> {
    let cwd = session.working_directory()?;
    let exec = Exec {
        argv: argv
            .iter()
            .map(|arg| Bytes::from(arg.as_os_str()))
            .collect(),
        cwd: Bytes::from(cwd.as_os_str()),
        umask: umask(),
        env: env
            .iter()
            .map(|(n, v)| (Bytes::from(n.as_os_str()), Bytes::from(v.as_os_str())))
            .collect(),
        stdin: None,
        network: Network::Host,
        effects: Handling::Refuse,
    };
    exec.check().map_err(|e| Failure::of(ExitCode::Usage, &e))?;
    Ok(exec)
}

/// The caller's umask; it can only be read by setting it.
fn umask() -> u32 {
    use nix::sys::stat::{Mode, umask};
    let mask = umask(Mode::from_bits_truncate(0o77));
    umask(mask);
    mask.bits()
}

fn store_input(host: &ThisHost, path: &Path) -> Result<Digest, Failure> {
    let named = |error: &io::Error| {
        let code = match error.kind() {
            io::ErrorKind::NotFound => ExitCode::NotFound,
            _ => ExitCode::Failure,
        };
        Failure::new(
            code,
            format!("--stdin {}: {}", path.display(), chain(error)),
        )
    };
    let mut file = File::open(path).map_err(|e| named(&e))?;
    match host.store.put_file(&mut file) {
        Err(StoreError::Source(error)) => Err(named(&error)),
        other => Ok(other?.0),
    }
}
