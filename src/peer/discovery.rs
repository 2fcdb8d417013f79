//! Finding hosts of the domain on the same network, by mDNS and DNS-SD (RFC 6762, RFC 6763). Upholds: what
//! is found is an address to dial and nothing more; the domain's name is not told to the network.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use isconf_sandbox::change::Digest;
use mdns_sd::{Error, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};

use super::this_host::Shared;
use crate::model::{DomainName, PublicKey};

/// The service: DNS-SD wants at most fifteen letters.
const SERVICE: &str = "_isconf._udp.local.";

/// What a domain's mark is a hash of besides its name, so that it is of no use anywhere else.
const MARK_OF: &str = "isconf domain on the local network 1\n";

/// The names of the two properties: the domain's mark, and the host's key.
const DOMAIN: &str = "domain";
const KEY: &str = "key";

/// How many characters of a key name a host among the others; DNS allows 63.
const NAME_CHARACTERS: usize = 32;

/// Tells of this host, and hears of others, as long as the network is there.
pub async fn discover(shared: Arc<Shared>) {
    if !shared.facts.discovers {
        return;
    }
    match begin(&shared) {
        Ok((daemon, events)) => {
            while let Ok(event) = events.recv_async().await {
                if let ServiceEvent::ServiceResolved(found) = event {
                    take(&shared, &found);
                }
            }
            // It ends with the network; that it cannot be told so is no matter.
            let _ended = daemon.shutdown();
        }
        Err(error) => shared.mention("discovery".to_owned(), || {
            format!("hosts on the same network are not looked for: {error}")
        }),
    }
}

/// Registers this host and begins to listen.
fn begin(shared: &Shared) -> Result<(ServiceDaemon, mdns_sd::Receiver<ServiceEvent>), Error> {
    let daemon = ServiceDaemon::new()?;
    let key = shared.member.own.to_string();
    let name = &key[..NAME_CHARACTERS];
    let mark = mark_of(&shared.facts.domain);
    let properties = [(DOMAIN, mark.as_str()), (KEY, key.as_str())];
    let port = shared.facts.port;
    let info = ServiceInfo::new(
        SERVICE,
        name,
        &format!("{name}.local."),
        "",
        port,
        &properties[..],
    )?;
    let events = daemon.browse(SERVICE)?;
    daemon.register(info.enable_addr_auto())?;
    Ok((daemon, events))
}

/// Remembers a host that says it is of this domain.
fn take(shared: &Shared, found: &ResolvedService) {
    let is_ours = found.get_property_val_str(DOMAIN) == Some(&mark_of(&shared.facts.domain));
    let key = found.get_property_val_str(KEY);
    let key: Option<PublicKey> = key.and_then(|key| key.parse().ok());
    let Some(key) = key.filter(|key| is_ours && *key != shared.member.own) else {
        return;
    };
    let addresses = found.addresses.iter().map(|scoped| scoped.to_ip_addr());
    let Some(address) = best(addresses) else {
        return;
    };
    let address = SocketAddr::new(address, found.port);
    shared.table().introduce(key, address);
    shared.dial.notify_one();
}

/// The address to dial: one of IPv4 first. Those of IPv6 that hold on one link only need more than an address.
fn best(addresses: impl Iterator<Item = IpAddr>) -> Option<IpAddr> {
    addresses
        .filter(|address| match address {
            IpAddr::V4(v4) => !v4.is_unspecified(),
            IpAddr::V6(v6) => !v6.is_unspecified() && !v6.is_unicast_link_local(),
        })
        .min()
}

/// Tells a domain from others without its name.
fn mark_of(domain: &DomainName) -> String {
    Digest::of(format!("{MARK_OF}{domain}").as_bytes()).to_string()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_one_that_can_be_dialled() {
        let chosen = |texts: &[&str]| {
            let addresses = texts.iter().map(|text| text.parse().unwrap());
            best(addresses).map(|address| address.to_string())
        };
        assert_eq!(
            chosen(&["fe80::1", "2001:db8::1", "192.0.2.1"]).unwrap(),
            "192.0.2.1"
        );
        assert_eq!(chosen(&["fe80::1", "2001:db8::1"]).unwrap(), "2001:db8::1");
        assert_eq!(chosen(&["fe80::1", "0.0.0.0"]), None);
    }

    #[test]
    fn domains_have_other_marks_and_their_names_are_not_in_them() {
        let mark = |name| mark_of(&DomainName::new(name).unwrap());
        assert_ne!(mark("example.com"), mark("example.org"));
        assert!(!mark("example.com").contains("example"));
    }
}
