//! `snap`: records files as they are, for all hosts of the branch. Upholds: path errors win over
//! lock errors, as in the original; targets get what was there at this moment.

use std::path::PathBuf;

use crate::cli::invocation::{Presentation, RunMode};
use crate::cli::{Failure, Session};
use crate::replay::{self, Intention};
use crate::ui::exit::ExitCode;

/// Takes a snapshot of the paths and records it.
pub fn snap(
    session: &mut Session,
    paths: Vec<PathBuf>,
    run: RunMode,
    show: Presentation,
) -> Result<ExitCode, Failure> {
    let member = session.on_branch()?;
    let branch = member.branch().clone();
    let cwd = session.working_directory()?;
    let checked = paths
        .iter()
        .map(|path| replay::check(&cwd, path, member.home().as_path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(Failure::of_snapshot)?;
    let (host, mut history) = session.open(member, "snap")?;
    session.refresh_lock(&host)?;
    let permit =
        replay::check_lock(&host, &history).map_err(|e| Failure::of_recording(e, &branch))?;
    let store = (run == RunMode::Commit).then_some(&host.store);
    let snapshot = replay::take(checked, store, &mut *session.progress(show.form))
        .map_err(Failure::of_snapshot)?;
    for path in &snapshot.left_out {
        session.out.warning(&format!(
            "left out, because a socket is of no use elsewhere: {path}"
        ));
    }
    let (objects, bytes) = snapshot.size();
    let names: Vec<_> = snapshot.paths.iter().map(ToString::to_string).collect();
    let intention = match run {
        RunMode::Preview => Intention::Preview,
        RunMode::Commit => Intention::Record,
    };
    let recorded = replay::snap(&host, &mut history, permit, snapshot, intention)
        .map_err(|e| Failure::of_recording(e, &branch))?;
    session.show_report(&recorded.report, &host.settings, show, None)?;
    session.advise_of_hazards(recorded.report.hazards.iter());
    let size = crate::ui::human_bytes(bytes);
    let done = match intention {
        Intention::Record => "snapshot done",
        Intention::Preview => "would record",
    };
    let objects = crate::ui::counted(objects, "object");
    session
        .out
        .info(&format!("{done}: {objects}, {size}: {}", names.join(" ")));
    Ok(ExitCode::Ok)
}
