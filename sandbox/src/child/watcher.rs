//! Answers the notified system calls by the table, and tallies them as effects. Not for the
//! table. Upholds: every attempt on the live machine gets an error that the caller sees, and a line
//! in the report.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::live::Live;
use super::picked::{FOREIGN, FOREIGN_NUMBERS};
use super::request::{Effect, EffectKind, EffectOutcome};
use super::rule::{Aim, Rule};
use super::rules;
use super::starts::Starts;
use super::{caller, naming};
use crate::reach::Reach;
use crate::services::Desk;
use crate::sys::seccomp::{self, Notification, Reply};

/// How many different effects are kept; what comes beyond is only counted.
const MAX_EFFECTS: usize = 1000;

/// Effects seen so far, equal ones counted together, in the order of their first appearance.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    effects: Vec<Effect>,
    /// Each effect with a count of 0, to its index.
    known: HashMap<Effect, usize>,
    beyond: u32,
}

impl Tally {
    /// Adds one.
    pub(crate) fn add(&mut self, effect: Effect) {
        let key = Effect { count: 0, ..effect };
        if let Some(index) = self.known.get(&key) {
            let count = &mut self.effects[*index].count;
            *count = count.saturating_add(1);
        } else if self.effects.len() < MAX_EFFECTS {
            self.effects.push(Effect {
                count: 1,
                ..key.clone()
            });
            self.known.insert(key, self.effects.len() - 1);
        } else {
            self.beyond = self.beyond.saturating_add(1);
        }
    }

    /// The effects, with one last line for those that were only counted.
    pub(crate) fn into_effects(mut self) -> Vec<Effect> {
        if self.beyond > 0 {
            self.effects.push(Effect {
                kind: EffectKind::Other,
                operation: "more".to_owned(),
                target: format!("effects beyond {MAX_EFFECTS} different ones"),
                process: String::new(),
                outcome: EffectOutcome::Contained,
                count: self.beyond,
            });
        }
        self.effects
    }
}

/// The supervisor's end of a filter.
#[derive(Debug)]
pub(crate) struct Watcher {
    listener: OwnedFd,
    rules: HashMap<i64, &'static Rule>,
    foreign: HashMap<i64, &'static Rule>,
    live: Live,
    starts: Starts,
    reach: Reach,
}

impl Watcher {
    /// Takes the listener that came from the command, and what is known of both sides. `root` is the
    /// scratchpad's root directory; the desk answers programs that speak with service managers.
    /// With the running system in reach every call is let go.
    pub(crate) fn new(
        listener: OwnedFd,
        live: Live,
        root: OwnedFd,
        desk: Desk,
        reach: Reach,
    ) -> Self {
        seccomp::wake_up_synchronously(listener.as_fd());
        Self {
            listener,
            live,
            rules: rules::all().map(|rule| (rule.number, rule)).collect(),
            foreign: FOREIGN_NUMBERS
                .iter()
                .filter_map(|(number, name)| {
                    let rule = rules::all().find(|rule| rule.name == *name)?;
                    Some((*number, rule))
                })
                .collect(),
            starts: Starts::new(root, desk),
            reach,
        }
    }

    /// The desk, when no more calls come.
    pub(crate) fn into_desk(self) -> Desk {
        self.starts.into_desk()
    }

    fn rule(&self, call: &Notification) -> Option<&'static Rule> {
        let rules = if call.architecture == FOREIGN {
            &self.foreign
        } else {
            &self.rules
        };
        rules.get(&call.number).copied()
    }

    /// What becomes readable when a call waits.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Answers one waiting call.
    pub(crate) fn serve(&mut self, tally: &mut Tally) -> Result<(), Errno> {
        let call = match seccomp::receive(self.as_fd()) {
            // The caller was killed, or somebody else's signal came; poll will tell again.
            Err(Errno::ENOENT | Errno::EINTR) => return Ok(()),
            received => received?,
        };
        let rule = self.rule(&call);
        if let Some(Aim::Start { directory, path }) = rule.map(|rule| rule.aim) {
            let reply = self.starts.answer(&call, directory, path);
            for effect in self.starts.desk().take_effects() {
                tally.add(effect);
            }
            return reply.map_or(Ok(()), |reply| self.reply(&call, reply));
        }
        // A call without a rule cannot come, since filter and rules are one table.
        let sight = rule.map(|rule| naming::look(rule, &call, &mut self.live));
        let sight = match self.reach {
            Reach::Contained => sight.unwrap_or_default(),
            Reach::Live => sight.unwrap_or_default().allowed(),
        };
        let named = rule.and_then(|rule| Some((rule, sight.named?)));
        let reply = sight.fails.map_or(Reply::Continue, Reply::Fail);
        // What was read belongs to this call only if it still waits.
        if let Some((rule, (kind, target, outcome))) = named
            && seccomp::is_waiting(self.as_fd(), call.id)
        {
            tally.add(Effect {
                kind,
                operation: rule.name.to_owned(),
                target,
                process: caller::process(call.pid),
                outcome,
                count: 1,
            });
        }
        self.reply(&call, reply)
    }

    fn reply(&self, call: &Notification, reply: Reply) -> Result<(), Errno> {
        match seccomp::answer(self.as_fd(), call.id, reply) {
            // The caller was killed meanwhile.
            Err(Errno::ENOENT | Errno::EINPROGRESS) => Ok(()),
            answered => answered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(target: &str) -> Effect {
        Effect {
            kind: EffectKind::Mount,
            operation: "mount".to_owned(),
            target: target.to_owned(),
            process: "mount".to_owned(),
            outcome: EffectOutcome::Refused(1),
            count: 1,
        }
    }

    #[test]
    fn equal_effects_are_counted_together() {
        let mut tally = Tally::default();
        for target in ["a", "b", "a"] {
            tally.add(effect(target));
        }
        let effects = tally.into_effects();
        assert_eq!(effects.len(), 2);
        assert_eq!((effects[0].target.as_str(), effects[0].count), ("a", 2));
    }

    #[test]
    fn the_number_of_effects_is_bounded() {
        let mut tally = Tally::default();
        for n in 0..MAX_EFFECTS + 7 {
            tally.add(effect(&n.to_string()));
        }
        let effects = tally.into_effects();
        assert_eq!(effects.len(), MAX_EFFECTS + 1);
        assert_eq!(effects[MAX_EFFECTS].count, 7);
    }
}
