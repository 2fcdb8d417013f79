//! Names in words what messages to the kernel's network settings ask for (netlink(7), rtnetlink(7),
//! linux/netfilter/nfnetlink.h). Pure. Not for reading them from the caller. Upholds: reading a
//! setting is no effect; what the bytes say may be anything.

/// `NETLINK_ROUTE`, `NETLINK_XFRM`, `NETLINK_NETFILTER` of linux/netlink.h.
const ROUTE: i32 = 0;
const XFRM: i32 = 6;
const NETFILTER: i32 = 12;

/// The length of a message's head, and to what lengths are rounded up.
const HEAD: usize = 16;
const ALIGNED: usize = 4;

/// How many messages of one datagram are looked at.
const MAX_MESSAGES: usize = 64;

/// The first number of a message type of each protocol.
const FIRST_TYPE: u16 = 16;

/// What rtnetlink's types are about; each has a new, a delete, a get and a set, in that order.
const ROUTE_OBJECTS: [&str; 10] = [
    "link",
    "address",
    "route",
    "neighbour",
    "rule",
    "queue discipline",
    "traffic class",
    "traffic filter",
    "traffic action",
    "prefix",
];

/// `NFNL_SUBSYS_*`: those that hold rules.
const SUBSYSTEMS: [(u8, &str); 4] = [
    (1, "connection tracking"),
    (2, "expected connection"),
    (6, "address set"),
    (10, "firewall"),
];

/// `NFT_MSG_*` of linux/netfilter/nf_tables.h.
const FIREWALL: [(u8, &str); 21] = [
    (0, "add firewall table"),
    (2, "delete firewall table"),
    (3, "add firewall chain"),
    (5, "delete firewall chain"),
    (6, "add firewall rule"),
    (8, "delete firewall rule"),
    (9, "add firewall set"),
    (11, "delete firewall set"),
    (12, "add firewall set element"),
    (14, "delete firewall set element"),
    (18, "add firewall object"),
    (20, "delete firewall object"),
    (22, "add firewall flow table"),
    (24, "delete firewall flow table"),
    (26, "delete firewall table"),
    (27, "delete firewall chain"),
    (28, "delete firewall rule"),
    (29, "delete firewall set"),
    (30, "delete firewall set element"),
    (31, "delete firewall object"),
    (32, "delete firewall flow table"),
];

/// What the first message that changes something asks for; `None` when all of them only read.
pub(crate) fn change(protocol: i32, datagram: &[u8]) -> Option<String> {
    let mut rest = datagram;
    for _ in 0..MAX_MESSAGES {
        let length = u32::from_ne_bytes(*rest.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes(*rest.get(4..)?.first_chunk()?);
        if let Some(words) = message(protocol, kind) {
            return Some(words);
        }
        rest = rest.get(length.max(HEAD).checked_next_multiple_of(ALIGNED)?..)?;
    }
    None
}

/// Whether these may be the first bytes of a datagram that changes something, whatever its protocol.
pub(super) fn may_change(datagram: &[u8]) -> bool {
    [ROUTE, XFRM, NETFILTER]
        .iter()
        .any(|protocol| change(*protocol, datagram).is_some())
}

fn message(protocol: i32, kind: u16) -> Option<String> {
    match protocol {
        ROUTE => route(kind),
        XFRM => match kind.checked_sub(FIRST_TYPE)? {
            // Getting an association, a policy, an event, the counts of both, the default.
            2 | 5 | 15 | 19 | 21 | 24.. => None,
            _ => Some("change IPsec settings".to_owned()),
        },
        NETFILTER => netfilter(kind),
        _ => None,
    }
}

fn route(kind: u16) -> Option<String> {
    let index = kind.checked_sub(FIRST_TYPE)?;
    let object = ROUTE_OBJECTS.get(usize::from(index / 4));
    let object = object.copied().unwrap_or("network object");
    match index % 4 {
        _ if index >= 4 * 30 => None,
        0 => Some(format!("add {object}")),
        1 => Some(format!("delete {object}")),
        3 => Some(format!("set {object}")),
        _ => None,
    }
}

fn netfilter(kind: u16) -> Option<String> {
    let [operation, subsystem] = kind.to_le_bytes();
    let (_, object) = SUBSYSTEMS.iter().find(|(number, _)| *number == subsystem)?;
    match subsystem {
        10 => FIREWALL
            .iter()
            .find(|(number, _)| *number == operation)
            .map(|(_, words)| (*words).to_owned()),
        // IPSET_CMD_*: 1 asks for the protocol, 7, 8 and from 11 on are look-ups.
        6 => matches!(operation, 2..=6 | 9 | 10).then(|| format!("change {object}")),
        // IPCTNL_MSG_*: new, get, delete.
        _ => matches!(operation, 0 | 2).then(|| format!("change {object}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(kind: u16) -> Vec<u8> {
        let mut bytes = 16u32.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(HEAD, 0);
        bytes
    }

    #[test]
    fn changes_have_names_and_reading_has_none() {
        let words = |protocol, kind| change(protocol, &head(kind));
        assert_eq!(words(ROUTE, 24).as_deref(), Some("add route"));
        assert_eq!(words(ROUTE, 21).as_deref(), Some("delete address"));
        assert_eq!(words(ROUTE, 19).as_deref(), Some("set link"));
        assert_eq!(words(ROUTE, 22), None);
        assert_eq!(
            words(NETFILTER, 10 << 8).as_deref(),
            Some("add firewall table")
        );
        assert_eq!(words(NETFILTER, (10 << 8) | 1), None);
        assert_eq!(words(XFRM, 16).as_deref(), Some("change IPsec settings"));
        assert_eq!(words(9, 1001), None);
    }

    #[test]
    fn a_change_is_found_behind_other_messages() {
        // A batch of nftables: its begin has a type of no subsystem (NFNL_MSG_BATCH_BEGIN).
        let mut batch = head(16);
        batch.extend(head((10 << 8) | 6));
        assert_eq!(
            change(NETFILTER, &batch).as_deref(),
            Some("add firewall rule")
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken(protocol in 0..16, bytes: Vec<u8>) {
            let _ = change(protocol, &bytes);
        }
    }
}
