//! `log`: lists the entries of the branch, and the drafts that are not checked in. Upholds: reads
//! only; works while another isconf does.

use crate::cli::invocation::Format;
use crate::cli::{Failure, Session};
use crate::ui::Detail;
use crate::ui::exit::ExitCode;
use crate::ui::log_text::{LogLine, LogState, log_json, log_text};

/// Lists the journal, then the wip.
pub fn log(session: &mut Session, format: Format) -> Result<ExitCode, Failure> {
    let member = session.on_branch()?;
    session.put_right(&member);
    // The history first: an `up` that goes on meanwhile can only make it older than the journal.
    let history = member.history()?;
    if let Some(journal) = member.journal()? {
        let applied = history
            .as_ref()
            .map_or(Ok(0), |h| h.position(journal.chain()))?;
        for seq in 1..=journal.len() {
            let entry = journal.entry(seq)?;
            let state = state_of(seq, applied);
            print(
                session,
                format,
                &LogLine {
                    at: Some(entry.at),
                    draft: &entry.draft,
                    state,
                },
            )?;
            if session.out.is_closed() {
                return Ok(ExitCode::Ok);
            }
        }
    }
    for wip in member.drafts()? {
        print(
            session,
            format,
            &LogLine {
                at: None,
                draft: &wip.draft,
                state: LogState::Wip,
            },
        )?;
    }
    Ok(ExitCode::Ok)
}

/// What an entry means to a host that has applied this many.
pub(super) const fn state_of(seq: u64, applied: u64) -> LogState {
    if seq <= applied {
        LogState::Applied
    } else {
        LogState::Pending
    }
}

fn print(session: &mut Session, format: Format, line: &LogLine<'_>) -> Result<(), Failure> {
    let text = match format {
        Format::Text => log_text(line, Detail::Normal, session.out.style()),
        Format::Json => log_json(line)?,
    };
    Ok(session.out.result(&text)?)
}
