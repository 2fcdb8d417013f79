//! What happens in a domain, line by line, for `watch`. Upholds: text and JSON are made from the same event.

use serde::Serialize;

use super::page::escaped;
use super::quantity::human_time;
use super::report_json::{JSON_VERSION, line};
use super::style::{Role, Style};
use crate::model::{Event, Numbered};

/// An event for people, with its line's end.
pub fn event_text(event: &Numbered, style: Style) -> String {
    let (role, words) = event_words(&event.event);
    let at = i64::try_from(event.at).unwrap_or(i64::MAX);
    let at = human_time(isconf_sandbox::change::Timestamp { secs: at, nanos: 0 });
    format!("{at}  {}\n", style.paint(role, &words))
}

fn event_words(event: &Event) -> (Role, String) {
    match event {
        Event::Entries { branch, last } => {
            (Role::Added, format!("{branch} is at entry {last} now"))
        }
        Event::Locked {
            branch,
            by,
            message,
        } => {
            let message = escaped(message.as_str().as_bytes());
            (
                Role::Noted,
                format!("{branch} is locked by {by}: {message}"),
            )
        }
        Event::Freed { branch, by } => (
            Role::Noted,
            format!("{branch} is not locked by {by} any more"),
        ),
        Event::Stands {
            host,
            branch,
            entry,
            congruent,
        } => {
            let but = match congruent {
                Some(false) => ", and changed otherwise than where it was made",
                Some(true) | None => "",
            };
            (
                Role::Modified,
                format!("{host} is at entry {entry} of {branch}{but}"),
            )
        }
        Event::Failed {
            host,
            branch,
            entry,
            why,
        } => {
            let why = escaped(why.as_bytes());
            (
                Role::Failure,
                format!("{host} failed at entry {entry} of {branch}: {why}"),
            )
        }
        Event::Connected { host } => (Role::Noted, format!("connected with {host}")),
        Event::Lost { host } => (Role::Noted, format!("no more connected with {host}")),
        Event::Voters { epoch, hosts } => {
            let hosts = hosts.join(", ");
            (
                Role::Noted,
                format!("the locks are kept by {hosts} (epoch {epoch})"),
            )
        }
    }
}

/// An event for programs, as one line of JSON.
pub fn event_json(event: &Numbered) -> Result<String, serde_json::Error> {
    line(&EventJson {
        version: JSON_VERSION,
        kind: "event",
        at: event.at,
        event: &event.event,
    })
}

#[derive(Serialize)]
struct EventJson<'a> {
    version: u32,
    kind: &'static str,
    at: u64,
    #[serde(flatten)]
    event: &'a Event,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Author, BranchName, HostName, LockMessage};
    use crate::ui::schema::assert_valid;

    #[test]
    fn every_event_is_a_line_for_people_and_one_for_programs() {
        let (branch, host) = (BranchName::generic(), HostName::new("h2").unwrap());
        let by = Author::new("root@h1").unwrap();
        let events = [
            (
                Event::Entries {
                    branch: branch.clone(),
                    last: 12,
                },
                "generic is at entry 12 now",
            ),
            (
                Event::Locked {
                    branch: branch.clone(),
                    by: by.clone(),
                    message: LockMessage::new("why").unwrap(),
                },
                "generic is locked by root@h1: why",
            ),
            (
                Event::Freed {
                    branch: branch.clone(),
                    by,
                },
                "generic is not locked by root@h1 any more",
            ),
            (
                Event::Stands {
                    host: host.clone(),
                    branch: branch.clone(),
                    entry: 12,
                    congruent: Some(false),
                },
                "h2 is at entry 12 of generic, and changed otherwise than where it was made",
            ),
            (
                Event::Failed {
                    host,
                    branch,
                    entry: 13,
                    why: "no room".to_owned(),
                },
                "h2 failed at entry 13 of generic: no room",
            ),
            (
                Event::Connected {
                    host: "h2".to_owned(),
                },
                "connected with h2",
            ),
            (
                Event::Lost {
                    host: "h2".to_owned(),
                },
                "no more connected with h2",
            ),
            (
                Event::Voters {
                    epoch: 1,
                    hosts: vec!["h1".to_owned()],
                },
                "the locks are kept by h1 (epoch 1)",
            ),
        ];
        for (event, words) in events {
            let numbered = Numbered {
                number: 1,
                at: 0,
                event,
            };
            let text = event_text(&numbered, Style::Plain);
            assert_eq!(text, format!("1970-01-01 00:00:00 UTC  {words}\n"));
            assert_valid("host.schema.json", &event_json(&numbered).unwrap());
        }
    }
}
