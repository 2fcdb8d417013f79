//! `env`: shows the settings of this host, and where each comes from. Upholds: needs no domain, and
//! anybody may ask.

use crate::cli::invocation::EnvFormat;
use crate::cli::{Failure, Session};
use crate::ui::exit::ExitCode;
use crate::ui::settings_text::{settings_export, settings_json, settings_text};

/// Lists the settings.
pub fn env(session: &mut Session, format: EnvFormat) -> Result<ExitCode, Failure> {
    let listing = session.settings()?.listing();
    let text = match format {
        EnvFormat::Text => settings_text(&listing, session.out.style()),
        EnvFormat::Json => settings_json(&listing)?,
        EnvFormat::Export => settings_export(&listing),
    };
    session.out.result(&text)?;
    Ok(ExitCode::Ok)
}
