//! What tells one host from another, and where it stands in a text. Pure. Not for asking the
//! system.

use super::text::Added;

/// The names and identities of a host, as words that can be looked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostFacts {
    facts: Vec<Fact>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Fact {
    what: &'static str,
    /// In lower case.
    word: String,
}

impl Fact {
    /// Whether it may as well be a word of a language or the name of a program.
    fn is_plain(&self) -> bool {
        self.word.bytes().all(|b| b.is_ascii_alphabetic())
    }
}

/// What is known of the place of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Where packages put what is the same on every host: a plain word is no host's name there.
    Packaged,
    /// Elsewhere.
    Other,
}

/// A shorter name is too likely to be a word of a text.
const MIN_NAME: usize = 4;

/// The address of interfaces that have none.
const NO_ADDRESS: &str = "00:00:00:00:00:00";

impl HostFacts {
    /// Nothing known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a host name: as a whole, and its first label.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let short = name.split('.').next().unwrap_or_default().to_owned();
        let is_local = short == "localhost";
        for word in [name, short] {
            if word.len() >= MIN_NAME && !is_local {
                self.add("the host name", word);
            }
        }
        self
    }

    /// Adds a machine-id (machine-id(5)): as it is, and as a UUID.
    #[must_use]
    pub fn with_machine_id(mut self, id: &str) -> Self {
        let id = id.trim().to_ascii_lowercase();
        if id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()) {
            let parts = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]];
            let uuid = parts.join("-");
            self.add("the machine-id", id.clone());
            self.add("the machine-id", uuid);
        }
        self
    }

    /// Adds the hardware address of an interface, in its three usual forms.
    #[must_use]
    pub fn with_address(mut self, address: &str) -> Self {
        let address = address.trim().to_ascii_lowercase();
        if address.len() == NO_ADDRESS.len() && address != NO_ADDRESS {
            self.add("a network address", address.replace(':', "-"));
            self.add("a network address", address.replace(':', ""));
            self.add("a network address", address);
        }
        self
    }

    fn add(&mut self, what: &'static str, word: String) {
        let fact = Fact { what, word };
        if !self.facts.contains(&fact) {
            self.facts.push(fact);
        }
    }

    /// The words that are looked for.
    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        self.facts.iter().map(|fact| fact.word.as_str())
    }

    /// Which of them stand in the new lines, in words; `is_said` leaves out what the entry itself
    /// says. An identity is not quoted: it may be a secret, and the record is read by others.
    pub(super) fn find(
        &self,
        added: &Added,
        place: Place,
        is_said: &dyn Fn(&str) -> bool,
    ) -> Option<String> {
        let mut found: Vec<&str> = self
            .facts
            .iter()
            .filter(|fact| place == Place::Other || !fact.is_plain())
            .filter(|fact| added.has(&fact.word) && !is_said(&fact.word))
            .map(|fact| fact.what)
            .collect();
        found.dedup();
        (!found.is_empty()).then(|| found.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(facts: &HostFacts, text: &str) -> Option<String> {
        facts.find(&Added::new(None, text.as_bytes()), Place::Other, &|_| false)
    }

    #[test]
    fn names_and_identities_are_found_in_their_forms() {
        let facts = HostFacts::new()
            .with_name("Alpha.example.com")
            .with_machine_id("0123456789abcdef0123456789abcdef\n")
            .with_address("02:00:5e:10:00:01\n")
            .with_address(NO_ADDRESS);
        for (text, what) in [
            ("server_name alpha;", "the host name"),
            ("ALPHA.EXAMPLE.COM", "the host name"),
            ("id=0123456789ABCDEF0123456789abcdef", "the machine-id"),
            ("01234567-89ab-cdef-0123-456789abcdef", "the machine-id"),
            ("hw 02-00-5E-10-00-01", "a network address"),
            ("hw 02005e100001.", "a network address"),
            (
                "alpha 02:00:5e:10:00:01",
                "the host name, a network address",
            ),
        ] {
            assert_eq!(found(&facts, text).as_deref(), Some(what), "{text}");
        }
        for text in ["alphabet", "beta", "00:00:00:00:00:00", "example.com"] {
            assert_eq!(found(&facts, text), None, "{text}");
        }
    }

    #[test]
    fn what_tells_nothing_is_not_looked_for() {
        for name in ["web", "localhost", "localhost.localdomain", ""] {
            let facts = HostFacts::new().with_name(name);
            assert_eq!(found(&facts, "web localhost"), None, "{name}");
        }
        assert_eq!(HostFacts::new().with_machine_id("short"), HostFacts::new());
    }

    #[test]
    fn what_the_entry_itself_says_is_the_same_everywhere() {
        let facts = HostFacts::new().with_name("alpha");
        let added = Added::new(None, b"to alpha");
        let find = |place, said| facts.find(&added, place, &|word| word == said);
        assert_eq!(find(Place::Other, "alpha"), None);
        assert!(find(Place::Other, "").is_some());
        assert_eq!(find(Place::Packaged, ""), None);
    }
}
