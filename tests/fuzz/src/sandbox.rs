//! Targets of the sandbox: intents, upper layers, change sets, kept scratchpads. Rule: what is
//! accepted has no other bytes than those that it is written as.

use isconf_sandbox::capture::Capture;
use isconf_sandbox::change::{
    ChangeSet, Digest, NormalRules, Timestamp, decode_nodes, encode_nodes,
};
use isconf_sandbox::fuzzing;
use isconf_sandbox::layout::{decode_volumes, decode_whole_volumes, encode_volumes};
use isconf_sandbox::upper::{Attributes, Redirect};

/// An intent: the input with its digest behind it, since nobody guesses that.
pub fn intent(input: &[u8]) {
    let mut bytes = input.to_vec();
    bytes.extend_from_slice(Digest::of(input).as_bytes());
    if let Some(written) = fuzzing::intent(&bytes) {
        assert_eq!(written, bytes, "another form of an intent was accepted");
    }
    // As it is: the digest must then be wrong, or the same rule holds.
    if let Some(written) = fuzzing::intent(input) {
        assert_eq!(written, input);
    }
}

/// The attributes of an upper object: name, NUL, one byte of length, value, and the next.
pub fn upper(input: &[u8]) {
    let mut rest = input;
    let mut all = Vec::new();
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        let name = rest[..end].to_vec();
        rest = &rest[end + 1..];
        let Some((length, after)) = rest.split_first() else {
            break;
        };
        let (value, after) = after.split_at(usize::from(*length).min(after.len()));
        all.push((name, value.to_vec()));
        rest = after;
    }
    let count = all.len();
    let Ok(found) = Attributes::parse(all) else {
        return;
    };
    assert!(found.application.len() <= count);
    match found.redirect {
        Some(Redirect::Sibling(name)) => {
            assert_eq!(name.depth(), 1, "a sibling's name leaves its directory");
        }
        Some(Redirect::FromRoot(path)) => {
            let mut parts = path.as_bytes().split(|byte| *byte == b'/');
            assert!(!parts.any(|part| part == b".." || part == b"."));
        }
        None => {}
    }
}

/// A change set, and a list of nodes.
pub fn change_set(input: &[u8]) {
    if let Ok(set) = ChangeSet::decode(input) {
        assert_eq!(set.encode(), input, "another form of a change set");
        let now = Timestamp::default();
        // Deciding whether two hosts did the same must bear any set that a stranger sends.
        set.normal_digest(&NormalRules::for_run(now, now));
        set.totals();
    }
    if let Ok(nodes) = decode_nodes(input) {
        assert_eq!(encode_nodes(&nodes), input, "another form of a node list");
    }
}

/// The records of a kept scratchpad: capture and volumes.
pub fn kept(input: &[u8]) {
    if let Ok(capture) = Capture::decode(input) {
        assert_eq!(capture.encode(), input, "another form of a capture");
    }
    if let Ok(volumes) = decode_volumes(input) {
        assert_eq!(encode_volumes(&volumes), input, "another form of volumes");
    }
    // Reads what is whole of bytes that a crash cut off.
    if let Ok(volumes) = decode_whole_volumes(input) {
        assert!(volumes.len() <= input.len());
    }
}

/// What a command sends to the kernel's settings: named in bounded words, whatever it is.
pub fn netlink(input: &[u8]) {
    // NETLINK_ROUTE, NETLINK_NETFILTER and others of linux/netlink.h.
    for protocol in [0, 6, 12, 15, 16] {
        let words = fuzzing::netlink(protocol, input).unwrap_or_default();
        assert!(words.len() < 200, "{words}");
    }
}
