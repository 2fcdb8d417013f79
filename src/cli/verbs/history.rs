//! `history`: lists what was done on this host. Upholds: reads only; works while another isconf
//! does.

use crate::cli::invocation::Format;
use crate::cli::{Failure, Session};
use crate::ui::Detail;
use crate::ui::exit::ExitCode;
use crate::ui::history_text::{history_json, history_text};

/// Lists the receipts, the first one first.
pub fn history(session: &mut Session, format: Format) -> Result<ExitCode, Failure> {
    let member = session.on_branch()?;
    session.put_right(&member);
    let Some(history) = member.history()? else {
        return Ok(ExitCode::Ok);
    };
    for seq in 1..=history.len() {
        let receipt = history.receipt(seq)?;
        let text = match format {
            Format::Text => history_text(&receipt, Detail::Normal, session.out.style()),
            Format::Json => history_json(&receipt)?,
        };
        session.out.result(&text)?;
        if session.out.is_closed() {
            break;
        }
    }
    Ok(ExitCode::Ok)
}
