//! Finds the sockets that serve a port of this host's loopback, by the tables of the kernel. Not for
//! who holds them (see `live`).

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

/// How much of a table is read.
const MAX_TABLE_BYTES: u64 = 16 << 20;

/// The tables, and the state in which a socket of each serves (`TCP_LISTEN`, `TCP_CLOSE` of
/// net/tcp_states.h; a datagram socket without a peer has the latter).
const TABLES: [(&str, &[u8]); 4] = [
    ("tcp", b"0A"),
    ("tcp6", b"0A"),
    ("udp", b"07"),
    ("udp6", b"07"),
];

/// The inodes of the sockets of the host's network that serve a port, whatever their address.
pub(super) fn servers(port: u16) -> Vec<u64> {
    let mut inodes = Vec::new();
    for (table, state) in TABLES {
        let Ok(file) = File::open(format!("/proc/self/net/{table}")) else {
            continue;
        };
        let lines = BufReader::new(file.take(MAX_TABLE_BYTES)).split(b'\n');
        let is_server = |line: Vec<u8>| server(&line, state);
        let found = lines.map_while(Result::ok).filter_map(is_server);
        inodes.extend(
            found
                .filter(|(served, _)| *served == port)
                .map(|(_, inode)| inode),
        );
    }
    inodes
}

/// A line of `/proc/net/tcp` or `udp` (proc_pid_net(5)): number, local address, remote address, state,
/// queues, timer, retransmits, user, timeout, inode. The port and the inode, if it is in the state.
fn server(line: &[u8], state: &[u8]) -> Option<(u16, u64)> {
    let mut fields = line.split(|b| *b == b' ').filter(|field| !field.is_empty());
    let local = fields.nth(1)?;
    let found = fields.nth(1)?;
    let inode = fields.nth(5)?;
    if found != state {
        return None;
    }
    let port = local.rsplit(|b| *b == b':').next()?;
    let port = u16::from_str_radix(std::str::from_utf8(port).ok()?, 16).ok()?;
    Some((port, std::str::from_utf8(inode).ok()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_tables_are_read() {
        let line = b"   0: 0100007F:1B59 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0 100 0 0 10 0";
        assert_eq!(server(line, b"0A"), Some((7001, 12345)));
        assert_eq!(server(line, b"07"), None);
        assert_eq!(server(b"  sl  local_address rem_address   st", b"0A"), None);
        assert_eq!(server(b"", b"0A"), None);
    }
}
