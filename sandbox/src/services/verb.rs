//! What is asked of services, whatever the manager calls it. Pure data.

use std::fmt;

/// What is asked of services.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Verb {
    /// They are to run.
    Start,
    /// They are not to run.
    Stop,
    /// They are to end if they run, and to run.
    Restart,
    /// They are to restart if they run.
    TryRestart,
    /// They are to read their files again.
    Reload,
    /// They are to read their files again, or, if they cannot, to restart.
    ReloadOrRestart,
    /// The same for those that run.
    TryReloadOrRestart,
    /// The manager itself is to read its files again.
    ManagerReload,
    /// Anything else, as the manager calls it.
    Other(String),
}

/// Whether a service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Running {
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// The names by which managers and init scripts know them.
const NAMES: [(&str, Verb); 14] = [
    ("start", Verb::Start),
    ("stop", Verb::Stop),
    ("restart", Verb::Restart),
    ("try-restart", Verb::TryRestart),
    ("reload", Verb::Reload),
    ("reload-or-restart", Verb::ReloadOrRestart),
    ("try-reload-or-restart", Verb::TryReloadOrRestart),
    ("daemon-reload", Verb::ManagerReload),
    ("condrestart", Verb::TryRestart),
    ("reload-or-try-restart", Verb::TryReloadOrRestart),
    ("force-reload", Verb::ReloadOrRestart),
    ("condreload", Verb::TryReloadOrRestart),
    ("daemon-reexec", Verb::ManagerReload),
    ("force-restart", Verb::Restart),
];

impl Verb {
    /// The verb of that name.
    pub fn named(name: &str) -> Option<Self> {
        let mut names = NAMES.iter();
        names
            .find(|(n, _)| *n == name)
            .map(|(_, verb)| verb.clone())
    }

    /// Whether a service runs after it went well; `None` where that is as before, or not known.
    pub fn leaves(&self) -> Option<Running> {
        match self {
            Self::Start | Self::Restart | Self::ReloadOrRestart => Some(Running::Yes),
            Self::Stop => Some(Running::No),
            Self::TryRestart
            | Self::Reload
            | Self::TryReloadOrRestart
            | Self::ManagerReload
            | Self::Other(_) => None,
        }
    }

    /// Whether a service must be known to the manager for it.
    pub fn needs_service(&self) -> bool {
        !matches!(self, Self::ManagerReload | Self::Other(_))
    }

    /// What takes it back for a service that was so before: with the files as they were again, where
    /// they matter. `None` where there is nothing to take back, or no way.
    pub fn reverse(&self, before: Running) -> Option<Self> {
        match (self, before) {
            (Self::Start | Self::Restart | Self::ReloadOrRestart, Running::No) => Some(Self::Stop),
            (Self::Stop, Running::Yes) => Some(Self::Start),
            (Self::Restart | Self::TryRestart, Running::Yes) => Some(Self::Restart),
            (Self::Reload, Running::Yes) => Some(Self::Reload),
            (Self::ReloadOrRestart | Self::TryReloadOrRestart, Running::Yes) => {
                Some(Self::ReloadOrRestart)
            }
            (Self::ManagerReload, _) => Some(Self::ManagerReload),
            (Self::Start, Running::Yes) | (Self::Stop, Running::No) => None,
            (Self::TryRestart | Self::Reload | Self::TryReloadOrRestart, Running::No) => None,
            (Self::Other(_), _) => None,
        }
    }

    /// Whether it can be taken back at all.
    pub fn is_reversible(&self) -> bool {
        !matches!(self, Self::Other(_))
    }

    /// Its usual name.
    pub fn name(&self) -> &str {
        if let Self::Other(name) = self {
            return name;
        }
        let mut names = NAMES.iter();
        names.find(|(_, verb)| verb == self).map_or("", |(n, _)| n)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_its_usual_name_back() {
        for (_, verb) in NAMES {
            assert_eq!(Verb::named(verb.name()), Some(verb));
        }
        assert_eq!(Verb::named("force-reload"), Some(Verb::ReloadOrRestart));
        assert_eq!(Verb::named("status"), None);
    }

    #[test]
    fn what_changed_nothing_is_not_taken_back() {
        assert_eq!(Verb::Start.reverse(Running::Yes), None);
        assert_eq!(Verb::Start.reverse(Running::No), Some(Verb::Stop));
        assert_eq!(Verb::Stop.reverse(Running::Yes), Some(Verb::Start));
        assert_eq!(Verb::Restart.reverse(Running::No), Some(Verb::Stop));
        assert_eq!(Verb::TryRestart.reverse(Running::No), None);
        assert_eq!(
            Verb::ManagerReload.reverse(Running::No),
            Some(Verb::ManagerReload)
        );
        assert_eq!(Verb::Other("kill".to_owned()).reverse(Running::Yes), None);
    }
}
