//! What an entry did or tried outside of the filesystem, in words. Not for what is done about it.

use isconf_sandbox::child::{Effect, EffectOutcome, Weight, weight};

use super::page::{Page, escaped};
use super::quantity::errno_name;
use super::style::Role;
use crate::model::report::Rehearsal;

/// One line each.
pub(super) fn effects_into(page: &mut Page, effects: &[Effect]) {
    // What waits for the commit has lines of its own.
    let waits = |effect: &&Effect| effect.outcome == EffectOutcome::Deferred;
    let mut effects = effects.iter().filter(|effect| !waits(effect)).peekable();
    if effects.peek().is_some() {
        page.line(2, "effects:");
    }
    lines_into(page, effects);
}

fn lines_into<'a>(page: &mut Page, effects: impl Iterator<Item = &'a Effect>) {
    for effect in effects {
        let (role, outcome) = match effect.outcome {
            EffectOutcome::Refused(errno) => {
                (Role::Doubt, format!("refused with {}", errno_name(errno)))
            }
            EffectOutcome::Contained => (Role::Faint, "stayed in the scratchpad".to_owned()),
            EffectOutcome::Allowed => (Role::Noted, "took place".to_owned()),
            EffectOutcome::Deferred => (Role::Noted, "deferred".to_owned()),
        };
        let words = effect_words(effect);
        let process = match effect.process.as_str() {
            "" => String::new(),
            process => format!(", by {}", escaped(process.as_bytes())),
        };
        let times = match effect.count {
            0 | 1 => String::new(),
            count => format!(", {count} times"),
        };
        page.line(
            4,
            &format!("{words}: {}{process}{times}", page.paint(role, &outcome)),
        );
    }
}

/// What it is, without what became of it.
pub fn effect_words(effect: &Effect) -> String {
    let mut words = format!("{}: {}", effect.kind.words(), effect.operation);
    if !effect.target.is_empty() {
        words.push_str(&format!(" {}", escaped(effect.target.as_bytes())));
    }
    words
}

/// How the rehearsal went, and what it was kept from.
pub(super) fn rehearsal_into(page: &mut Page, rehearsal: Option<&Rehearsal>) {
    let Some(rehearsal) = rehearsal else {
        return;
    };
    let effects: Vec<Effect> = rehearsal
        .effects
        .iter()
        .filter(|effect| weight(effect) == Weight::Matters)
        .cloned()
        .collect();
    let ending = super::verdict_text::ending_sentence(rehearsal.ending).unwrap_or_default();
    page.line(2, &format!("rehearsal: {}", ending.trim_end_matches('.')));
    lines_into(page, effects.iter());
    if rehearsal.acted_before {
        let words = "has acted on the running system before; this is once more";
        page.line(2, &page.paint(Role::Doubt, words));
    }
}
