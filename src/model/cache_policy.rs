//! Which contents a host keeps. Pure.

/// What a host keeps of the contents of its domain. Change sets and lists of what was copied are kept in any case: they
/// are short, and `diff` and `show` need them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CachePolicy {
    /// All of every branch: it can give them to any other host.
    #[default]
    Full,
    /// What its own branch still needs here; the rest goes when enough others keep it.
    Needed,
}

impl CachePolicy {
    /// All of them, by name.
    const NAMED: [(&'static str, Self); 2] = [("full", Self::Full), ("needed", Self::Needed)];

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        let mut named = Self::NAMED.iter();
        named
            .find(|(known, _)| *known == name)
            .map(|(_, policy)| *policy)
    }

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        let mut named = Self::NAMED.iter();
        named
            .find(|(_, known)| *known == self)
            .map_or("full", |(name, _)| name)
    }

    /// Whether a host wants the contents of an entry's files: of its own branch or not, applied there or not.
    pub const fn wants(self, is_own_branch: bool, is_applied: bool) -> bool {
        match self {
            Self::Full => true,
            Self::Needed => is_own_branch && !is_applied,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_as_it_is_written() {
        for (name, policy) in CachePolicy::NAMED {
            assert_eq!(CachePolicy::named(name), Some(policy));
            assert_eq!(policy.name(), name);
        }
        assert_eq!(CachePolicy::named("some"), None);
    }

    #[test]
    fn a_host_that_keeps_what_is_needed_wants_what_is_pending_on_its_branch() {
        assert!(CachePolicy::Full.wants(false, true));
        assert!(CachePolicy::Needed.wants(true, false));
        assert!(!CachePolicy::Needed.wants(true, true));
        assert!(!CachePolicy::Needed.wants(false, false));
    }
}
