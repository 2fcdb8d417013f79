//! `hosts` and `watch`: how the hosts of the domain stand, and what happens there. Upholds: what is shown of a host is
//! what it said itself; nobody is waited for.

use std::thread;
use std::time::Duration;

use crate::cli::invocation::Format;
use crate::cli::{Failure, Session};
use crate::daemon::HostStatus;
use crate::daemon::client;
use crate::model::{BranchName, Event, Home, Moment, Numbered};
use crate::ui::event_text::{event_json, event_text};
use crate::ui::exit::ExitCode;
use crate::ui::hosts_text::{HostRow, hosts_json, hosts_text, is_well};

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is asked for news.
const EVERY: Duration = Duration::from_millis(200);

/// Shows how the hosts of the domain stand.
pub fn hosts(session: &mut Session, format: Format) -> Result<ExitCode, Failure> {
    let member = session.member()?;
    let hosts = rows(member.home())?;
    let text = match format {
        Format::Text => hosts_text(&member.domain, &hosts, session.out.style()),
        Format::Json => hosts_json(&member.domain, &hosts)?,
    };
    session.out.result(&text)?;
    Ok(match hosts.iter().all(is_well) {
        true => ExitCode::Ok,
        false => ExitCode::Failure,
    })
}

fn rows(home: &Home) -> Result<Vec<HostRow>, Failure> {
    let mut rows: Vec<_> = client::hosts(home, PATIENCE)?
        .into_iter()
        .map(row)
        .collect();
    rows.sort_by(|a, b| (&a.card.host, a.key).cmp(&(&b.card.host, b.key)));
    Ok(rows)
}

fn row(host: HostStatus) -> HostRow {
    let at = host.card.at.map_or(0, |at| at.seq);
    HostRow {
        key: host.key,
        isconf: host.isconf,
        behind: host.last.map(|last| last.saturating_sub(at)),
        card: host.card,
        connected: host.connected,
        seen: host.seen.and_then(Moment::from_unix_seconds),
    }
}

/// Shows what happens in the domain, until it is interrupted.
pub fn watch(session: &mut Session, format: Format) -> Result<ExitCode, Failure> {
    let member = session.member()?;
    let home = member.home();
    let (mut last, _) = client::events(home, None, PATIENCE)?;
    session.out.info("watching; Ctrl-C ends it");
    loop {
        let (now, events) = client::events(home, Some(last), PATIENCE)?;
        last = now;
        for event in &events {
            show(session, event, format)?;
        }
        thread::sleep(EVERY);
    }
}

fn show(session: &mut Session, event: &Numbered, format: Format) -> Result<(), Failure> {
    let text = match format {
        Format::Text => event_text(event, session.out.style()),
        Format::Json => event_json(event)?,
    };
    Ok(session.out.result(&text)?)
}

/// Waits until every host of a branch has applied an entry, or said that it cannot; whether all have.
pub(super) fn wait_for_all(
    session: &mut Session,
    home: &Home,
    branch: &BranchName,
    entry: u64,
) -> Result<bool, Failure> {
    let (mut last, _) = client::events(home, None, PATIENCE)?;
    let mut told = String::new();
    loop {
        let rows = rows(home)?;
        let of_branch = || rows.iter().filter(|row| row.card.branch == *branch);
        let has = |row: &HostRow| row.card.at.is_some_and(|at| at.seq >= entry);
        let waits = of_branch().filter(|row| !has(row) && row.card.failed.is_none());
        let names: Vec<_> = waits.map(|row| row.card.host.as_str()).collect();
        if names.is_empty() {
            return Ok(of_branch().all(has));
        }
        let words = format!("waiting for {}", names.join(", "));
        if told != words {
            session.out.info(&words);
            told = words;
        }
        thread::sleep(EVERY);
        let (now, events) = client::events(home, Some(last), PATIENCE)?;
        last = now;
        let of_hosts =
            |event: &&Numbered| matches!(event.event, Event::Stands { .. } | Event::Failed { .. });
        for event in events.iter().filter(of_hosts) {
            show(session, event, Format::Text)?;
        }
    }
}
