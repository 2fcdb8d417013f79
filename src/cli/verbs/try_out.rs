//! `try`: a scratchpad for its own sake. Upholds: without `--commit` nothing becomes real; the
//! command's status is passed through.

use std::ffi::OsString;

use isconf_sandbox::commit::{self, crash_point};

use super::exec::plain;
use crate::cli::invocation::{FailedCommand, Format, JournalPolicy, Presentation, TryCommand};
use crate::cli::worksite::{changed_meanwhile, ending, streams};
use crate::cli::{Failure, Member, Session};
use crate::config::Settings;
use crate::model::report::{Fate, Verdict};
use crate::model::{ChangeDigests, Deed, Home, Network, ReceiptBody, ScratchName};
use crate::replay::{
    self, Attempt, Input, KeptScratchpad, Payload, drop_kept, kept_names, open_kept,
};
use crate::ui::exit::ExitCode;
use crate::ui::kept_json::kept_json;

/// Does what `try` was asked for.
pub fn try_out(session: &mut Session, command: TryCommand) -> Result<ExitCode, Failure> {
    let settings = session.settings()?;
    put_right(session, &settings)?;
    match command {
        TryCommand::Run {
            argv,
            network,
            keep,
            show,
        } => {
            let wanted = Wanted {
                network,
                keep,
                show,
                is_shell: false,
            };
            run(session, &settings, &argv, wanted)
        }
        TryCommand::Shell {
            network,
            keep,
            show,
        } => {
            let shell = session
                .around
                .var("SHELL")
                .unwrap_or("/bin/sh".as_ref())
                .to_owned();
            session
                .out
                .info("this shell runs in a scratchpad; leave it with `exit`.");
            let wanted = Wanted {
                network,
                keep,
                show,
                is_shell: true,
            };
            run(session, &settings, &[shell], wanted)
        }
        TryCommand::List(format) => list(session, &settings, format),
        TryCommand::Show { name, show } => {
            let kept = open_kept(&settings.home.value, &name)?;
            session.show_report(&kept.report, &settings, show, None)?;
            Ok(ExitCode::Ok)
        }
        TryCommand::Drop(name) => {
            drop_kept(&settings.home.value, &name)?;
            session.out.info(&format!("dropped scratchpad {name}"));
            Ok(ExitCode::Ok)
        }
        TryCommand::Commit {
            name,
            failed,
            journal,
            show,
        } => commit_kept(session, settings, &name, failed, journal, show),
    }
}

/// Finishes a commit that was interrupted, as every verb does; on a host without a domain there is
/// nothing to record.
fn put_right(session: &mut Session, settings: &Settings) -> Result<(), Failure> {
    if let Some(domain) = &settings.domain {
        let member = Member {
            domain: domain.value.clone(),
            settings: settings.clone(),
        };
        session.put_right(&member);
        return Ok(());
    }
    let home = &settings.home.value;
    let Some(_lock) = session.lock_if_free(home, "try") else {
        return Ok(());
    };
    recover_alone(session, home)
}

fn recover_alone(session: &mut Session, home: &Home) -> Result<(), Failure> {
    for recovered in commit::recover(home.as_path(), "/".as_ref())? {
        match recovered.landed {
            Some(landed) => {
                landed.finish()?;
                session.out.info("finished an interrupted commit.");
            }
            None => session
                .out
                .info("took back a commit that could not be completed."),
        }
    }
    Ok(())
}

/// How a command is to be tried.
struct Wanted {
    network: Option<Network>,
    keep: Option<ScratchName>,
    show: Presentation,
    is_shell: bool,
}

fn run(
    session: &mut Session,
    settings: &Settings,
    argv: &[OsString],
    wanted: Wanted,
) -> Result<ExitCode, Failure> {
    // Nothing is recorded, so the command gets the caller's whole environment.
    let vars = session.around.vars.clone().into_iter().collect();
    let mut exec = plain(session, vars, argv)?;
    exec.network = wanted.network.unwrap_or(settings.network.value);
    let Wanted {
        keep,
        show,
        is_shell,
        network: _,
    } = wanted;
    let keeps_contents = session.wants_diffs(show);
    let attempted = replay::try_out(
        Attempt {
            home: &settings.home.value,
            settings,
            streams: streams(Input::Callers, show),
            keeps_contents,
            keep: keep.as_ref(),
            is_shell,
        },
        exec,
    )?;
    let contents = keeps_contents.then_some(&attempted.contents as _);
    session.show_report(&attempted.report, settings, show, contents)?;
    if attempted.report.fate == Fate::Kept
        && let Some(name) = keep
    {
        session.out.info(&format!("kept as {name}"));
        session.out.hint(&format!(
            "`isconf try --commit {name}` makes it real, --drop removes it."
        ));
    }
    if attempted.report.verdict == Verdict::Conflict {
        // Nothing is at stake: what changed meanwhile is in the report.
        return Ok(ExitCode::Ok);
    }
    ending(&attempted.report, attempted.not_started)
}

fn list(session: &mut Session, settings: &Settings, format: Format) -> Result<ExitCode, Failure> {
    let names = kept_names(&settings.home.value)?;
    let text = match format {
        Format::Json => kept_json(&names)?,
        Format::Text => names
            .iter()
            .map(|(name, command)| format!("{name}  {command}\n"))
            .collect(),
    };
    session.out.result(&text)?;
    Ok(ExitCode::Ok)
}

fn commit_kept(
    session: &mut Session,
    settings: Settings,
    name: &ScratchName,
    failed: FailedCommand,
    journal: JournalPolicy,
    show: Presentation,
) -> Result<ExitCode, Failure> {
    let mut kept = open_kept(&settings.home.value, name)?;
    if kept.report.verdict == Verdict::CommandFailed && failed == FailedCommand::Refuse {
        let message = format!("the command of scratchpad {name} failed");
        return Err(Failure::new(ExitCode::Failure, message)
            .hint("--even-failed commits what it did before it failed."));
    }
    match (&settings.domain, journal) {
        (Some(domain), JournalPolicy::Required) => {
            let message = format!(
                "this host belongs to {}, whose other hosts would not have the change",
                domain.value
            );
            Err(Failure::new(ExitCode::Failure, message)
                .hint("record it with `isconf exec`, or say --unjournaled."))
        }
        (Some(_), JournalPolicy::Bypassed) => commit_unjournaled(session, &mut kept, show),
        (None, _) => commit_alone(session, &settings, &mut kept, show),
    }
}

/// On a host of a domain: the history remembers it as a change outside of the journal.
fn commit_unjournaled(
    session: &mut Session,
    kept: &mut KeptScratchpad,
    show: Presentation,
) -> Result<ExitCode, Failure> {
    let (host, mut history) = session.this_host("try")?;
    let started = host.now();
    let full = host.store.put_bytes(&kept.capture().set.encode())?;
    let receipt = ReceiptBody {
        deed: Deed::OutOfBand,
        branch: host.branch.clone(),
        changes: Some(ChangeDigests { full, normal: full }),
        tx: Some(kept.tx().clone()),
        started,
        finished: host.now(),
        congruent: None,
    };
    let payload = Payload {
        receipt,
        draft: None,
        pending: None,
    };
    let payload = payload.to_bytes();
    replay::keep_room(&host, payload.len())?;
    if let Some(landed) = kept.commit(&payload)? {
        replay::settle(&host, &mut history, landed)?;
    }
    close(session, kept, &host.settings, show)
}

/// On a host without a domain: there is no history to tell.
fn commit_alone(
    session: &mut Session,
    settings: &Settings,
    kept: &mut KeptScratchpad,
    show: Presentation,
) -> Result<ExitCode, Failure> {
    let home = &settings.home.value;
    let _lock = session.host_lock(home, "try")?;
    recover_alone(session, home)?;
    if let Some(landed) = kept.commit(&[])? {
        crash_point("settle.begun");
        landed.finish()?;
    }
    close(session, kept, settings, show)
}

fn close(
    session: &mut Session,
    kept: &KeptScratchpad,
    settings: &Settings,
    show: Presentation,
) -> Result<ExitCode, Failure> {
    session.show_report(&kept.report, settings, show, None)?;
    match (&kept.report.fate, &kept.report.verdict) {
        (Fate::Committed, _) => {
            session
                .out
                .info(&format!("scratchpad {} is real now", kept.name));
            if !kept.services.is_empty() {
                session.out.warning(
                    "its command asked for services, and nothing of that was done: a scratchpad that was kept changes files only",
                );
                let calls = kept.services.join("; ");
                session.out.hint(&format!("do it yourself: {calls}"));
            }
            Ok(ExitCode::Ok)
        }
        // It will always be older than what changed since.
        (_, Verdict::Conflict) => Err(changed_meanwhile(&kept.report).hint(format!(
            "look at what changed them, then `isconf try --drop {}` and run its command again.",
            kept.name
        ))),
        _ => ending(&kept.report, None),
    }
}
