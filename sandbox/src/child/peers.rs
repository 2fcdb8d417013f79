//! Names what is at the other end of a socket, and says whether it may be reached: live daemons not,
//! the network yes. Not for who holds which socket (see `live`). Upholds: only what a native run
//! would have reached is an effect; what both ends of are inside is none.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::caller::{absolute, escaped, process_of_thread, read_memory};
use super::known_sockets::{Known, known};
use super::live::{Holder, Live, named};
use super::naming::OWN_NAMESPACE;
use super::netlink;
use super::request::{EffectKind, EffectOutcome, Sight};
use crate::sys::descriptor::{copy_of, socket_option};
use crate::sys::seccomp::Notification;

/// `sizeof(struct sockaddr_storage)` of bits/socket.h.
const ADDRESS_BYTES: usize = 128;

/// `sizeof(struct msghdr)` and of `struct mmsghdr` on 64 bits.
const HEADER_BYTES: usize = 56;
const COUNTED_HEADER_BYTES: u64 = 64;

/// How many messages of a sendmmsg(2), and bytes of a netlink message, are looked at.
const MAX_MESSAGES: u64 = 16;
const MESSAGE_BYTES: usize = 16 * 1024;

/// The ports that clients of old services take for themselves (bindresvport(3)).
const CLIENTS_PORTS: std::ops::Range<u16> = 512..1024;

/// connect(2).
pub(super) fn connect(call: &Notification, live: &mut Live) -> Sight {
    let address = read_address(call.pid, call.arguments[1], call.arguments[2]);
    peer(call, &address, None, live)
}

/// sendto(2).
pub(super) fn send_to(call: &Notification, live: &mut Live) -> Sight {
    let address = read_address(call.pid, call.arguments[4], call.arguments[5]);
    let message = (call.arguments[1], call.arguments[2]);
    peer(call, &address, Some(message), live)
}

/// sendmsg(2), sendmmsg(2): the first message that is an effect stands for all.
pub(super) fn send_messages(call: &Notification, count: Option<usize>, live: &mut Live) -> Sight {
    let count = count.map_or(1, |index| call.arguments[index].min(MAX_MESSAGES));
    for index in 0..count {
        let offset = index * COUNTED_HEADER_BYTES;
        let Some(at) = call.arguments[1].checked_add(offset) else {
            break;
        };
        let header = read_memory(call.pid, at, HEADER_BYTES);
        let word = |index: usize| -> Option<u64> {
            let bytes = header.get(8 * index..)?.first_chunk()?;
            Some(u64::from_ne_bytes(*bytes))
        };
        let (Some(name), Some(length), Some(parts)) = (word(0), word(1), word(2)) else {
            break;
        };
        let vector = read_memory(call.pid, parts, 16);
        let message = match (
            vector.first_chunk(),
            vector.get(8..).and_then(|v| v.first_chunk()),
        ) {
            (Some(base), Some(length)) if word(3) > Some(0) => {
                Some((u64::from_ne_bytes(*base), u64::from_ne_bytes(*length)))
            }
            _ => None,
        };
        let sight = match name {
            0 => unnamed(call, message, live),
            // The upper half of the length is padding.
            _ => peer(
                call,
                &read_address(call.pid, name, length & 0xffff_ffff),
                message,
                live,
            ),
        };
        if sight.named.is_some() || sight.fails.is_some() {
            return sight;
        }
    }
    Sight::default()
}

/// listen(2): by the socket itself, not by what the caller's memory says of it.
pub(super) fn listen(call: &Notification, live: &Live) -> Sight {
    let Some(socket) = socket_of(call) else {
        return Sight::default();
    };
    if !is_internet(&socket) {
        return Sight::default();
    }
    // Only for asking its address, which the kernel gives for any kind of socket.
    match TcpListener::from(socket).local_addr() {
        Ok(address) => served(call, address, live),
        Err(_) => Sight::default(),
    }
}

/// bind(2): datagram sockets serve from then on; others when they listen.
pub(super) fn bind(call: &Notification, live: &Live) -> Sight {
    let bytes = read_address(call.pid, call.arguments[1], call.arguments[2]);
    let Some(address) = internet_of(&bytes) else {
        return Sight::default();
    };
    if address.port() == 0 || CLIENTS_PORTS.contains(&address.port()) {
        return Sight::default();
    }
    let is_datagram = |socket: OwnedFd| {
        socket_option(socket.as_fd(), libc::SO_TYPE).is_ok_and(|kind| kind == libc::SOCK_DGRAM)
    };
    match socket_of(call).is_some_and(is_datagram) {
        true => served(call, address, live),
        false => Sight::default(),
    }
}

/// Serving: for others than this host's own processes only in a network of one's own.
fn served(call: &Notification, address: SocketAddr, live: &Live) -> Sight {
    let target = address.to_string();
    if is_loopback(address) || live.has_own_network(call.pid) {
        return Sight::seen(EffectKind::Network, target, EffectOutcome::Contained);
    }
    Sight::refused(EffectKind::Network, target, libc::EACCES)
}

fn peer(
    call: &Notification,
    address: &[u8],
    message: Option<(u64, u64)>,
    live: &mut Live,
) -> Sight {
    let Some((family, rest)) = address.split_first_chunk::<2>() else {
        return Sight::default();
    };
    match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_UNIX => unix(call.pid, rest, live),
        libc::AF_INET | libc::AF_INET6 => match internet_of(address) {
            // Resolvers connect to port 0 to learn which address they would have themselves.
            Some(address) if address.port() != 0 => reached(call, address, live),
            _ => Sight::default(),
        },
        libc::AF_NETLINK => settings(call, message, live),
        _ => Sight::default(),
    }
}

fn reached(call: &Notification, address: SocketAddr, live: &Live) -> Sight {
    let outcome = match (live.has_own_network(call.pid), is_loopback(address)) {
        (false, true) if live.serves_inside(address.port()) => EffectOutcome::Contained,
        (false, _) => EffectOutcome::Allowed,
        (true, true) => EffectOutcome::Contained,
        (true, false) => EffectOutcome::Refused(libc::ENETUNREACH),
    };
    Sight::seen(EffectKind::Network, address.to_string(), outcome)
}

/// A message without an address: of interest only if it may be to the kernel's network settings.
fn unnamed(call: &Notification, message: Option<(u64, u64)>, live: &Live) -> Sight {
    let head = message.map(|(at, length)| read_part(call.pid, at, length, 64));
    match head.is_some_and(|head| netlink::may_change(&head)) {
        true => settings(call, message, live),
        false => Sight::default(),
    }
}

/// A netlink message. The kernel answers it, with an error for want of the capability.
fn settings(call: &Notification, message: Option<(u64, u64)>, live: &Live) -> Sight {
    let words = || {
        let (at, length) = message?;
        let bytes = read_part(call.pid, at, length, MESSAGE_BYTES);
        // A cheap look first: most messages only read.
        netlink::may_change(&bytes).then_some(())?;
        let socket = socket_of(call)?;
        let option = |option| socket_option(socket.as_fd(), option).ok();
        (option(libc::SO_DOMAIN)? == libc::AF_NETLINK).then_some(())?;
        netlink::change(option(libc::SO_PROTOCOL)?, &bytes)
    };
    match words() {
        Some(words) => {
            let words = match live.has_own_network(call.pid) {
                true => format!("{words}{OWN_NAMESPACE}"),
                false => words,
            };
            let outcome = match live.has_own_users(call.pid) {
                true => EffectOutcome::Contained,
                false => EffectOutcome::Refused(libc::EPERM),
            };
            Sight::seen(EffectKind::NetworkSettings, words, outcome)
        }
        None => Sight::default(),
    }
}

/// A Unix socket, by the rest of its address (unix(7)).
fn unix(pid: i32, name: &[u8], live: &mut Live) -> Sight {
    match name.strip_prefix(&[0]) {
        Some(name) => abstract_socket(pid, name, live),
        None => {
            let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
            path_socket(pid, &name[..end], live).unwrap_or_default()
        }
    }
}

/// With Landlock scopes the kernel refuses those of others by itself.
fn abstract_socket(pid: i32, name: &[u8], live: &mut Live) -> Sight {
    if live.has_own_network(pid) {
        return Sight::default();
    }
    match live.holder_of_abstract(name) {
        Some(Holder::Outside(holder)) => {
            let name = format!("@{}", escaped(name));
            let (kind, target) = described(&name, holder.map(named));
            Sight::refused(kind, target, libc::EPERM)
        }
        // Nobody's, or somebody's inside.
        Some(Holder::Inside) | None => Sight::default(),
    }
}

fn path_socket(pid: i32, name: &[u8], live: &mut Live) -> Option<Sight> {
    let path = from_the_root(pid, name)?;
    let (real, inside) = match live.open_inside(&path) {
        Some(inside) => {
            let real = std::fs::read_link(format!("/proc/self/fd/{}", inside.as_raw_fd()));
            (real.ok()?, Some(inside.metadata().ok()?))
        }
        // Of /dev there are few names inside, and no sockets.
        None if path.starts_with("/dev") => (path.canonicalize().ok()?, None),
        None => return None,
    };
    let outside = std::fs::symlink_metadata(&real).ok()?;
    let is_same = inside
        .as_ref()
        .is_none_or(|inside| inside.ino() == outside.ino());
    if !outside.file_type().is_socket() || !is_same {
        return None;
    }
    let server = live.server_of(&real);
    let (kind, target) = described(&escaped(path.as_os_str().as_bytes()), server);
    // On an overlay the name is another one than the daemon bound, and the kernel says this by itself;
    // on a live mount it is the same.
    let errno = match inside {
        Some(_) => libc::ECONNREFUSED,
        None => libc::ENOENT,
    };
    Some(Sight::refused(kind, target, errno))
}

/// What kind a live socket is of, and its name with what is known of it.
fn described(name: &str, server: Option<String>) -> (EffectKind, String) {
    let server = server.map_or(String::new(), |server| format!(", of {server}"));
    match known(name) {
        Some(Known::Bus(words)) => (EffectKind::DBus, format!("{name} ({words}){server}")),
        Some(Known::Log | Known::LookUp) | None => (EffectKind::Socket, format!("{name}{server}")),
    }
}

/// A path from the scratchpad's root, also for a caller with a root of its own below that.
fn from_the_root(pid: i32, name: &[u8]) -> Option<PathBuf> {
    let path = PathBuf::from(OsString::from_vec(name.to_vec()));
    let is_absolute = path.is_absolute();
    let path = absolute(pid, libc::AT_FDCWD, path.into_os_string().into_vec())?;
    let root = std::fs::read_link(format!("/proc/{pid}/root")).ok()?;
    if is_absolute && root != Path::new("/") {
        return Some(root.join(path.strip_prefix("/").ok()?));
    }
    Some(path)
}

/// A copy of the socket in argument 0.
fn socket_of(call: &Notification) -> Option<OwnedFd> {
    copy_of(process_of_thread(call.pid), call.arguments[0] as i32).ok()
}

fn is_internet(socket: &OwnedFd) -> bool {
    let domain = socket_option(socket.as_fd(), libc::SO_DOMAIN);
    matches!(domain, Ok(libc::AF_INET | libc::AF_INET6))
}

fn read_address(pid: i32, at: u64, length: u64) -> Vec<u8> {
    read_part(pid, at, length, ADDRESS_BYTES)
}

fn read_part(pid: i32, at: u64, length: u64, limit: usize) -> Vec<u8> {
    read_memory(pid, at, usize::try_from(length).unwrap_or(limit).min(limit))
}

/// Whether only this host's processes are meant; the unspecified address means the host as well,
/// but for serving.
fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// A `sockaddr_in` or `sockaddr_in6` (ip(7), ipv6(7)).
fn internet_of(bytes: &[u8]) -> Option<SocketAddr> {
    let (family, rest) = bytes.split_first_chunk::<2>()?;
    let port = u16::from_be_bytes(*rest.first_chunk()?);
    let address: IpAddr = match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_INET => Ipv4Addr::from(*rest.get(2..)?.first_chunk::<4>()?).into(),
        libc::AF_INET6 => Ipv6Addr::from(*rest.get(6..)?.first_chunk::<16>()?).into(),
        _ => return None,
    };
    Some((address, port).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(family: i32, rest: &[u8]) -> Vec<u8> {
        let mut bytes = (family as u16).to_ne_bytes().to_vec();
        bytes.extend(rest);
        bytes
    }

    #[test]
    fn internet_addresses_of_both_families_are_read() {
        let four = address(
            libc::AF_INET,
            &[0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        );
        assert_eq!(internet_of(&four).unwrap().to_string(), "127.0.0.1:80");
        // Some callers give the size of any address.
        let long = [four, vec![0; 100]].concat();
        assert_eq!(internet_of(&long).unwrap().to_string(), "127.0.0.1:80");
        let mut six = [0; 26];
        (six[1], six[21]) = (53, 1);
        let six = internet_of(&address(libc::AF_INET6, &six)).unwrap();
        assert_eq!(six.to_string(), "[::1]:53");
        assert!(is_loopback(six));
        assert_eq!(internet_of(&address(libc::AF_INET, &[0])), None);
        assert_eq!(internet_of(&address(libc::AF_INET, &[0, 1, 2])), None);
        assert_eq!(internet_of(&[]), None);
    }

    #[test]
    fn addresses_mapped_to_the_other_family_are_loopback_too() {
        let mapped: SocketAddr = "[::ffff:127.0.0.1]:80".parse().unwrap();
        assert!(is_loopback(mapped));
        assert!(!is_loopback("0.0.0.0:80".parse().unwrap()));
    }
}
