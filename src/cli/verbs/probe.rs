//! `probe`: what this machine can do, what is missing, and the remedy. Upholds: what it makes for
//! trying is removed again.

use std::path::Path;

use isconf_sandbox::probe::{ProbeError, probe as ask};

use crate::cli::invocation::Format;
use crate::cli::{Failure, Session};
use crate::ui::exit::ExitCode;
use crate::ui::probe_text::{is_missing, needs_root, probe_json, probe_text};

/// Shows what this machine can do.
pub fn probe(session: &mut Session, format: Format) -> Result<ExitCode, Failure> {
    let settings = session.settings()?;
    let answers = ask(nearest(settings.home.value.as_path()))?;
    let text = match format {
        Format::Text => probe_text(&answers, session.out.style()),
        Format::Json => probe_json(&answers)?,
    };
    session.out.result(&text)?;
    Ok(if answers.iter().any(is_missing) {
        ExitCode::Failure
    } else if answers.iter().any(needs_root) {
        ExitCode::Trouble
    } else {
        ExitCode::Ok
    })
}

/// The home, or the directory in which it would be made.
fn nearest(home: &Path) -> &Path {
    home.ancestors()
        .find(|path| path.is_dir())
        .unwrap_or(Path::new("/"))
}

impl From<ProbeError> for Failure {
    fn from(error: ProbeError) -> Self {
        Self::of(ExitCode::Trouble, &error)
    }
}
