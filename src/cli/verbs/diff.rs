//! `diff`: where the live files differ from what this host's history says. Upholds: drift is an
//! answer, not an error.

use std::path::PathBuf;

use isconf_sandbox::change::RelPath;

use crate::cli::invocation::{Presentation, Reading, ReportForm, Times};
use crate::cli::worksite::secrets;
use crate::cli::{Failure, Session};
use crate::replay::{Question, chain, inspect};
use crate::ui::Detail;
use crate::ui::drift_json::audit_json;
use crate::ui::drift_text::audit_text;
use crate::ui::exit::ExitCode;
use crate::ui::report_text::View;

/// Audits this host.
pub fn diff(
    session: &mut Session,
    paths: Vec<PathBuf>,
    (times, reading): (Times, Reading),
    show: Presentation,
) -> Result<ExitCode, Failure> {
    let (host, history) = session.this_host("diff")?;
    let cwd = session.working_directory()?;
    let limit = paths
        .iter()
        .map(|path| named(&cwd.join(path)))
        .collect::<Result<_, _>>()?;
    let question = Question {
        limit,
        times: times == Times::Compared,
        thorough: reading == Reading::Everything,
    };
    let answer = inspect(
        &host,
        &history,
        &question,
        &mut *session.progress(show.form),
    )?;
    let is_secret = secrets(&host.settings);
    let mut view = View::new(session.out.style(), Detail::Normal, &is_secret);
    let contents = session.wants_diffs(show).then_some(&answer.contents as _);
    let text = match show.form {
        ReportForm::Json => audit_json(&answer.audit, &view, contents)?,
        ReportForm::Summary => {
            view.detail = Detail::Summary;
            audit_text(&answer.audit, &view, None)
        }
        ReportForm::Paths => audit_text(&answer.audit, &view, contents),
        ReportForm::AllPaths => {
            view.detail = Detail::Full;
            view.path_limit = usize::MAX;
            audit_text(&answer.audit, &view, contents)
        }
    };
    session.out.result(&text)?;
    if let Some(error) = &answer.forgotten {
        let reason = chain(error);
        session.out.warning(&format!(
            "the next audit will read everything again: {reason}"
        ));
    }
    Ok(if !answer.audit.unreadable.is_empty() {
        ExitCode::Trouble
    } else if answer.audit.drifts.is_empty() {
        ExitCode::Ok
    } else {
        ExitCode::Failure
    })
}

/// A path as the user named it: the directory above with its links resolved, as entries have it.
fn named(path: &std::path::Path) -> Result<RelPath, Failure> {
    let real = match (path.parent().map(std::fs::canonicalize), path.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => path.to_path_buf(),
    };
    RelPath::from_absolute(&real)
        .map_err(|e| Failure::new(ExitCode::Usage, format!("{}: {e}", path.display())))
}
