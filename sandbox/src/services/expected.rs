//! What will run after the commit, as far as what waits says it. Not for what runs now.

use std::collections::HashMap;

use super::action::Manager;
use super::verb::{Running, Verb};

/// The state that services will have when everything that waits was done.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expected {
    services: HashMap<(Manager, String), Expectation>,
}

/// What is expected of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expectation {
    /// Whether it will run.
    pub running: Running,
    /// What waits that makes it so.
    pub by: Verb,
}

impl Expected {
    /// Takes note of what waits.
    pub(super) fn note(&mut self, manager: Manager, verb: &Verb, services: &[String]) {
        let Some(running) = verb.leaves() else {
            return;
        };
        for service in services {
            let expectation = Expectation {
                running,
                by: verb.clone(),
            };
            self.services
                .insert((manager, service.clone()), expectation);
        }
    }

    /// What is expected of a service; `None`: that it stays as it is.
    pub(super) fn of(&self, manager: Manager, service: &str) -> Option<&Expectation> {
        self.services.get(&(manager, service.to_owned()))
    }
}
