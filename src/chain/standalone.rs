//! A record that stands alone: in the form of a chain's, sealed by its checksum, and in no chain
//! yet. Pure. Upholds: a draft or a receipt that waits to be written is told from damage.

use isconf_sandbox::change::Digest;

use super::ChainKind;
use super::FormFault;
use super::record::{Frame, check_last, seal_line};

/// Puts the first three lines and the seal around `body`. The record follows nothing; `seq` is the
/// number that it pretends to have.
pub fn seal_alone(kind: ChainKind, seq: u64, body: &str) -> String {
    let prev = Digest::from_bytes([0; 32]);
    let sealed = Frame { seq, prev }.to_text(kind) + body;
    let check = Digest::of(sealed.as_bytes()).to_string();
    sealed + &seal_line(kind, &check)
}

/// Checks the seal of such a record.
pub fn check_alone(kind: ChainKind, record: &[u8]) -> Result<(), FormFault> {
    check_last(kind, record, 0).map_err(|_| FormFault::NotSealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_other_byte_is_noticed() {
        let record = seal_alone(ChainKind::Wip, 1, "kind = \"reboot\"\n");
        assert!(record.starts_with("[[draft]]\nseq = 1\nprev = \"0000"));
        assert!(check_alone(ChainKind::Wip, record.as_bytes()).is_ok());
        for at in 0..record.len() {
            let mut bad = record.clone().into_bytes();
            bad[at] ^= 1;
            assert!(check_alone(ChainKind::Wip, &bad).is_err(), "{at}");
            let cut = &record.as_bytes()[..at];
            assert!(check_alone(ChainKind::Wip, cut).is_err(), "{at}");
        }
    }
}
