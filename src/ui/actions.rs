//! What an entry asked of service managers, in words and for programs. Not for what it did to files.
//! Upholds: what waits, what was done and what failed are told apart.

use serde::Serialize;

use super::object_json::BytesJson;
use super::page::{Page, escaped};
use super::style::Role;
use crate::model::{ActionFate, ActionReport, Times};

/// One line each, in the order in which they are done; and what one that failed said.
pub(super) fn actions_into(page: &mut Page, actions: &[ActionReport]) {
    if !actions.is_empty() {
        page.line(2, "services, after the commit:");
    }
    for action in actions {
        let words = escaped(action.action.words().as_bytes());
        let (role, fate) = fate(&action.fate);
        page.line(4, &format!("{words}: {}", page.paint(role, &fate)));
        if let ActionFate::Failed { said, .. } = &action.fate {
            for line in said.lines() {
                page.line(6, &escaped(line.as_bytes()));
            }
        }
    }
}

fn fate(fate: &ActionFate) -> (Role, String) {
    let times = |times: &Times| match times {
        Times::Once => "",
        Times::OnceOrTwice => ", once or twice",
    };
    match fate {
        ActionFate::Waits => (Role::Noted, "waits for the commit".to_owned()),
        ActionFate::Done(n) => (Role::Added, format!("done{}", times(n))),
        ActionFate::Failed {
            status, times: n, ..
        } => (
            Role::Failure,
            format!("failed with status {status}{}", times(n)),
        ),
        ActionFate::NotKnown => (
            Role::Doubt,
            "begun twice and interrupted each time; not tried again".to_owned(),
        ),
        ActionFate::TakenBack => (Role::Noted, "done, and taken back".to_owned()),
        ActionFate::NotTakenBack(why) => (
            Role::Failure,
            format!("done, and not taken back: {}", escaped(why.as_bytes())),
        ),
    }
}

/// The one that failed, in words; `None` when none did.
pub fn failed_action(actions: &[ActionReport]) -> Option<String> {
    let found = actions.iter().find_map(|action| match &action.fate {
        ActionFate::Failed { status, said, .. } => Some((action, status, said)),
        _ => None,
    });
    let (action, status, said) = found?;
    let words = escaped(action.action.words().as_bytes());
    let said = match said.lines().find(|line| !line.trim().is_empty()) {
        Some(line) => {
            let line = line.trim().trim_end_matches('.');
            format!(": {}", escaped(line.as_bytes()))
        }
        None => String::new(),
    };
    Some(format!("`{words}` failed with status {status}{said}"))
}

/// One request for programs.
#[derive(Serialize)]
pub(super) struct ActionJson<'a> {
    argv: Vec<BytesJson>,
    manager: &'static str,
    verb: &'a str,
    services: &'a [String],
    fate: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<&'a str>,
    may_have_run_twice: bool,
}

impl<'a> ActionJson<'a> {
    pub(super) fn of(report: &'a ActionReport) -> Self {
        let action = &report.action;
        let (fate, status, said, times) = match &report.fate {
            ActionFate::Waits => ("waits", None, None, None),
            ActionFate::Done(times) => ("done", None, None, Some(times)),
            ActionFate::Failed {
                status,
                said,
                times,
            } => ("failed", Some(*status), Some(said), Some(times)),
            ActionFate::NotKnown => ("not_known", None, None, Some(&Times::OnceOrTwice)),
            ActionFate::TakenBack => ("taken_back", None, None, None),
            ActionFate::NotTakenBack(why) => ("not_taken_back", None, Some(why), None),
        };
        let words = action.argv.iter();
        Self {
            argv: words
                .map(|word| BytesJson::of(word.as_encoded_bytes()))
                .collect(),
            manager: action.manager.name(),
            verb: action.verb.name(),
            services: &action.services,
            fate,
            status,
            said: said.map(String::as_str),
            may_have_run_twice: times == Some(&Times::OnceOrTwice),
        }
    }
}
