//! Names the live process or the socket that a system call reaches for. Not for files and kernel
//! settings (see `naming`). Upholds: only what a native run would have reached is an effect; a
//! process or socket of the scratchpad's own is none.

use std::ffi::OsString;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::caller::{absolute, escaped, process, read_memory};
use super::request::{EffectKind, EffectOutcome, Named};
use crate::sys::process::{LANDLOCK_ABI_WITH_SCOPES, landlock_abi};
use crate::sys::seccomp::Notification;

/// `sizeof(struct sockaddr_storage)` of bits/socket.h.
const ADDRESS_BYTES: usize = 128;

/// kill(2), pidfd_open(2): an effect when the number is that of a live process and of none inside,
/// which is how a native run would have found it.
pub(super) fn live_process(call: &Notification, index: usize) -> Option<Named> {
    let number = call.arguments[index] as i32;
    let is_inside = || Path::new(&format!("/proc/{}/root/proc/{number}", call.pid)).exists();
    if number <= 1 || !Path::new(&format!("/proc/{number}")).exists() || is_inside() {
        return None;
    }
    let target = format!("process {number} ({})", process(number));
    let outcome = EffectOutcome::Refused(libc::ESRCH);
    Some((EffectKind::Signal, target, outcome))
}

/// connect(2): what is at the other end.
pub(super) fn peer(call: &Notification) -> Option<Named> {
    let length = usize::try_from(call.arguments[2]).ok()?.min(ADDRESS_BYTES);
    let bytes = read_memory(call.pid, call.arguments[1], length);
    let (family, rest) = bytes.split_first_chunk::<2>()?;
    match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_UNIX => unix(call.pid, rest),
        libc::AF_INET | libc::AF_INET6 => {
            let address = internet(rest)?;
            // Resolvers connect to port 0 to learn which address they would have themselves.
            (address.port() != 0).then(|| {
                let outcome = EffectOutcome::Allowed;
                (EffectKind::Network, address.to_string(), outcome)
            })
        }
        _ => None,
    }
}

/// The path, or the abstract name, of a Unix socket (unix(7)).
fn unix(pid: i32, name: &[u8]) -> Option<Named> {
    if let Some(name) = name.strip_prefix(&[0]) {
        // Who listens cannot be known here. With scopes it is somebody inside, or nobody.
        let outcome = if landlock_abi() >= LANDLOCK_ABI_WITH_SCOPES {
            EffectOutcome::Contained
        } else {
            EffectOutcome::Allowed
        };
        return Some((EffectKind::Socket, format!("@{}", escaped(name)), outcome));
    }
    let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
    let path = PathBuf::from(OsString::from_vec(name[..end].to_vec()));
    let path = absolute(pid, libc::AT_FDCWD, path.into_os_string().into_vec())?;
    let live = std::fs::metadata(&path).ok()?;
    let inside = Path::new(&format!("/proc/{pid}/root")).join(path.strip_prefix("/").ok()?);
    let inside = std::fs::metadata(inside).ok()?;
    if !live.file_type().is_socket() || live.ino() != inside.ino() {
        return None;
    }
    // On an overlay the name is another one than the daemon bound; on a live mount it is the same.
    let outcome = if live.dev() == inside.dev() {
        EffectOutcome::Allowed
    } else {
        EffectOutcome::Refused(libc::ECONNREFUSED)
    };
    let target = escaped(path.as_os_str().as_bytes());
    Some((EffectKind::Socket, target, outcome))
}

/// The rest of a `sockaddr_in` or `sockaddr_in6`, after the family (ip(7), ipv6(7)).
fn internet(rest: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes(*rest.first_chunk()?);
    match rest.len() {
        ..26 => {
            let address: [u8; 4] = *rest.get(2..)?.first_chunk()?;
            Some((Ipv4Addr::from(address), port).into())
        }
        _ => {
            let address: [u8; 16] = *rest.get(6..)?.first_chunk()?;
            Some((Ipv6Addr::from(address), port).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internet_addresses_of_both_families_are_read() {
        let four = [0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(internet(&four).unwrap().to_string(), "127.0.0.1:80");
        let mut six = [0; 26];
        (six[1], six[21]) = (53, 1);
        assert_eq!(internet(&six).unwrap().to_string(), "[::1]:53");
        assert_eq!(internet(&[0]), None);
        assert_eq!(internet(&[0, 1, 2]), None);
    }
}
