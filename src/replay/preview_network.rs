//! Which network an entry gets that only shows what it would do. Pure. Not for how the scratchpad
//! cuts it off. Upholds: a preview does not act on the outside world unless the entry is known to,
//! or somebody said so.

use crate::model::{Draft, EntryKind, Network};

/// Whether a preview may act on the outside world at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// As far as it is known that the entry does.
    AsNeeded,
    /// It may not (`--offline`).
    OutOfReach,
}

/// The network of a recorded entry in a preview: the host's only if the entry used it when it was
/// recorded.
pub fn of_entry(draft: &Draft, outside: Outside) -> Network {
    match (&draft.kind, outside) {
        (EntryKind::Exec(exec), Outside::AsNeeded) if draft.outcome.connected_out() => exec.network,
        (EntryKind::Exec(_) | EntryKind::Snap(_) | EntryKind::Reboot, _) => Network::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Author, ChangeDigests, EffectSummary, Exec, Handling, Hex, Moment, Outcome,
    };
    use isconf_sandbox::change::Digest;
    use isconf_sandbox::child::Exit;

    fn draft(network: Network, effects: &[(&str, &str, &str)]) -> Draft {
        let digest = Digest::of(b"");
        let summary = |(kind, operation, outcome): &(&str, &str, &str)| EffectSummary {
            kind: (*kind).to_owned(),
            operation: (*operation).to_owned(),
            target: "192.0.2.1:80".to_owned(),
            outcome: (*outcome).to_owned(),
            count: 1,
        };
        Draft {
            id: Hex::from_bytes([1; 16]),
            author: Author::new("root@h1").unwrap(),
            time: Moment::EPOCH,
            message: String::new(),
            kind: EntryKind::Exec(Exec {
                argv: vec!["curl".into()],
                cwd: "/".into(),
                umask: 0o22,
                env: Vec::new(),
                stdin: None,
                network,
                effects: Handling::Refuse,
            }),
            outcome: Outcome {
                exit: Exit::Status(0),
                changes: ChangeDigests {
                    full: digest,
                    normal: digest,
                },
                effects: effects.iter().map(summary).collect(),
                hazards: Vec::new(),
                duration_ms: 1,
                version: "5".to_owned(),
            },
        }
    }

    #[test]
    fn an_entry_gets_the_network_that_it_used() {
        let used = [("network", "connect", "allowed")];
        let of = |network, effects: &[_], outside| of_entry(&draft(network, effects), outside);
        let plain = |effects: &[_]| of(Network::Host, effects, Outside::AsNeeded);
        assert_eq!(plain(&used), Network::Host);
        assert_eq!(plain(&[]), Network::None);
        assert_eq!(plain(&[("network", "connect", "contained")]), Network::None);
        assert_eq!(
            plain(&[("network", "connect", "refused 101")]),
            Network::None
        );
        assert_eq!(plain(&[("network", "listen", "allowed")]), Network::None);
        assert_eq!(plain(&[("socket", "connect", "allowed")]), Network::None);
        assert_eq!(of(Network::None, &used, Outside::AsNeeded), Network::None);
        assert_eq!(of(Network::Host, &used, Outside::OutOfReach), Network::None);
    }
}
