//! What the process finds around it, as a value handed in. Upholds: no globals below this point;
//! tests build their surroundings from nothing.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use crate::durable;

use super::target::HostNames;

/// The caller's environment and the names of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Surroundings {
    /// The environment variables.
    pub vars: BTreeMap<OsString, OsString>,
    /// What hostname(1) prints.
    pub hostname: String,
    /// The host's name with its domain, where one is known and `hostname` has no dots.
    pub fqdn: Option<String>,
}

/// The host has no name that can be told.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// gethostname(2) failed.
    #[error("cannot read the host's name")]
    HostName(#[source] io::Error),
    /// It is not UTF-8.
    #[error("the host's name is not text: {0:?}")]
    NotText(OsString),
}

/// The longest /etc/hosts that is searched, in bytes; lists of blocked sites have a few MiB.
const MAX_HOSTS_BYTES: u64 = 16 * 1024 * 1024;

impl Surroundings {
    /// Asks the system. The full name is that of the line of /etc/hosts with the host's name on it;
    /// no name server is asked, as a command must not wait for the network.
    pub fn gather() -> Result<Self, GatherError> {
        let name = nix::unistd::gethostname().map_err(|e| GatherError::HostName(e.into()))?;
        let hostname = name.into_string().map_err(GatherError::NotText)?;
        // Without a readable file no full name is known, which is an ordinary state of a host.
        let hosts = durable::read_small(Path::new("/etc/hosts"), MAX_HOSTS_BYTES);
        let hosts = hosts.ok().flatten().unwrap_or_default();
        let fqdn = full_name_in(&String::from_utf8_lossy(&hosts), &hostname);
        let vars = std::env::vars_os().collect();
        Ok(Self {
            vars,
            hostname,
            fqdn,
        })
    }

    /// The variable of that name, unless it is empty.
    pub fn var(&self, name: &str) -> Option<&OsStr> {
        let value = self.vars.get(OsStr::new(name))?;
        (!value.is_empty()).then_some(value.as_os_str())
    }

    /// The names that targets of main.cf are matched against: of `HOSTNAME` where the environment
    /// has it, as in the original, else of the system.
    pub fn host_names(&self) -> HostNames {
        match self.var("HOSTNAME").and_then(OsStr::to_str) {
            Some(name) if name != self.hostname => HostNames::new(name, None),
            Some(_) | None => HostNames::new(&self.hostname, self.fqdn.as_deref()),
        }
    }
}

/// The first name with dots on a line of hosts(5) that also has `hostname` as a name.
fn full_name_in(hosts: &str, hostname: &str) -> Option<String> {
    let full_name = |line: &str| {
        let line = line.split('#').next().unwrap_or_default();
        let names: Vec<&str> = line.split_ascii_whitespace().skip(1).collect();
        let full = names.iter().find(|n| n.contains('.'))?;
        names.contains(&hostname).then(|| (*full).to_owned())
    };
    hosts.lines().find_map(full_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_name_comes_from_the_hosts_line_of_the_host() {
        let hosts = "127.0.0.1 localhost\n# 1.1.1.1 h.no h\n127.0.1.1\th.example.com  h # me\n";
        assert_eq!(full_name_in(hosts, "h").as_deref(), Some("h.example.com"));
        assert_eq!(full_name_in(hosts, "localhost"), None);
        assert_eq!(full_name_in("", "h"), None);
    }

    #[test]
    fn hostname_of_the_environment_wins() {
        let mut around = Surroundings {
            hostname: "h".to_owned(),
            fqdn: Some("h.example.com".to_owned()),
            ..Surroundings::default()
        };
        assert_eq!(around.host_names().full(), "h.example.com");
        around.vars.insert("HOSTNAME".into(), "other".into());
        assert_eq!(around.host_names().full(), "other");
    }
}
