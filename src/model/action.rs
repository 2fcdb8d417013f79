//! What an entry asked of service managers, and what became of it. Upholds: an entry whose services
//! do not follow is no entry that went well.

use isconf_sandbox::services::Action;

/// A request to a service manager that waited for the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionReport {
    /// The request.
    pub action: Action,
    /// What became of it.
    pub fate: ActionFate,
}

impl ActionReport {
    /// One that waits, or was never done because its entry was not committed.
    pub const fn waiting(action: Action) -> Self {
        Self {
            action,
            fate: ActionFate::Waits,
        }
    }
}

/// What became of a request to a service manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionFate {
    /// It is done right after the commit, if there is one.
    Waits,
    /// It was done.
    Done(Times),
    /// It was done and ended so.
    Failed {
        /// Its exit status.
        status: u8,
        /// The end of what it said.
        said: String,
        /// How often it was done.
        times: Times,
    },
    /// It was begun twice, and isconf was interrupted each time.
    NotKnown,
    /// It was done, and taken back.
    TakenBack,
    /// It was done, and could not, or not wholly, be taken back; why.
    NotTakenBack(String),
}

/// How often something was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// Once.
    Once,
    /// Once or twice: isconf was interrupted when it had begun.
    OnceOrTwice,
}

/// What becomes of a commit after which a service manager did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnFailure {
    /// It is taken back, and so is what the manager did already.
    TakeBack,
    /// It stays.
    Keep,
}
