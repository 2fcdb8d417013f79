//! How the hosts of a domain stand, for `hosts`, and what happens there, for `watch`. Not for finding it out. Upholds:
//! text and JSON are made from the same view.

use serde::Serialize;

use super::page::{Page, counted, escaped};
use super::quantity::human_time;
use super::report_json::{JSON_VERSION, line};
use super::style::{Role, Style};
use crate::model::{DomainName, HostCard, Moment, PublicKey};

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostRow {
    /// Its key.
    pub key: PublicKey,
    /// Its version of isconf.
    pub isconf: String,
    /// What it said of itself.
    #[serde(flatten)]
    pub card: HostCard,
    /// How many entries of its branch it did not apply, as far as is known here.
    pub behind: Option<u64>,
    /// Whether it is this host, or connected with it.
    pub connected: bool,
    /// When it was heard last.
    pub seen: Option<Moment>,
}

/// The hosts for people.
pub fn hosts_text(domain: &DomainName, hosts: &[HostRow], style: Style) -> String {
    let mut page = Page::new(style);
    let title = format!("{} of domain {domain}", counted(hosts.len() as u64, "host"));
    page.line(0, &page.paint(Role::Heading, &title));
    for host in hosts {
        let words = host_words(host);
        let words = match is_well(host) {
            true => words,
            false => page.paint(Role::Failure, &words),
        };
        page.line(2, &words);
    }
    page.into_text()
}

/// Whether nothing is to be looked at.
pub fn is_well(host: &HostRow) -> bool {
    host.card.failed.is_none() && host.card.congruent != Some(false)
}

fn host_words(host: &HostRow) -> String {
    let card = &host.card;
    let mut words = vec![card.host.to_string(), card.branch.to_string()];
    words.push(match card.at {
        Some(at) => format!("at entry {}", at.seq),
        None => "no entry".to_owned(),
    });
    words.push(match host.behind {
        Some(0) => "up to date".to_owned(),
        Some(behind) => format!("{behind} behind"),
        None => "of a branch that is not known here".to_owned(),
    });
    if card.congruent == Some(false) {
        words.push("changed otherwise than where it was made".to_owned());
    }
    if let Some(failed) = &card.failed {
        let why = escaped(failed.why.as_bytes());
        words.push(format!("failed at entry {}: {why}", failed.entry));
    }
    if !host.connected {
        let noted = host.seen.unwrap_or(card.noted);
        words.push(format!("heard of {}", human_time(noted.to_timestamp())));
    }
    words.join("  ")
}

/// The hosts for programs, as one line of JSON.
pub fn hosts_json(domain: &DomainName, hosts: &[HostRow]) -> Result<String, serde_json::Error> {
    line(&HostsJson {
        version: JSON_VERSION,
        kind: "hosts",
        domain: domain.as_str(),
        hosts,
    })
}

#[derive(Serialize)]
struct HostsJson<'a> {
    version: u32,
    kind: &'static str,
    domain: &'a str,
    hosts: &'a [HostRow],
}

#[cfg(test)]
mod tests {
    use isconf_sandbox::change::Digest;

    use super::*;
    use crate::model::{BranchName, CardFailure, EntryId, EntryRef};
    use crate::ui::schema::assert_valid;

    #[test]
    fn the_hosts_are_a_page_and_a_line_as_the_schema_says() {
        let well = HostRow {
            key: PublicKey::from_bytes([7; 32]),
            isconf: "5.0.0".to_owned(),
            card: HostCard {
                host: "h1".parse().unwrap(),
                branch: BranchName::generic(),
                at: Some(EntryRef {
                    seq: 12,
                    id: EntryId(Digest::of(b"12")),
                }),
                congruent: Some(true),
                failed: None,
                noted: Moment::EPOCH,
            },
            behind: Some(0),
            connected: true,
            seen: None,
        };
        let mut failed = well.clone();
        failed.card.failed = Some(CardFailure::new(13, "no room"));
        failed.card.congruent = Some(false);
        failed.behind = Some(2);
        failed.connected = false;
        let mut fresh = well.clone();
        fresh.card.at = None;
        fresh.behind = None;
        let domain: DomainName = "example.org".parse().unwrap();
        let hosts = [well, failed, fresh];
        assert_eq!(
            hosts_text(&domain, &hosts, Style::Plain),
            "3 hosts of domain example.org\n\
             \x20 h1  generic  at entry 12  up to date\n\
             \x20 h1  generic  at entry 12  2 behind  changed otherwise than where it was made  failed at entry 13: no room  heard of 1970-01-01 00:00:00 UTC\n\
             \x20 h1  generic  no entry  of a branch that is not known here\n"
        );
        assert!(is_well(&hosts[0]) && !is_well(&hosts[1]));
        assert_valid("host.schema.json", &hosts_json(&domain, &hosts).unwrap());
    }
}
