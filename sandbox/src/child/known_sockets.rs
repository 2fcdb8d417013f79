//! The Unix sockets of well-known daemons: what each is, and whether a program that cannot reach it
//! goes on without. Data. Not for finding out who is at the other end (see `live`).

/// What is behind a well-known socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// A message bus, or a daemon that takes orders, in words.
    Bus(&'static str),
    /// Messages for a log or a supervisor.
    Log,
    /// Answers about names, which a program finds out otherwise as well.
    LookUp,
}

/// One path; what ends in `*` stands for all that begin so.
struct Row(&'static str, Known);

const TABLE: &[Row] = {
    use Known::{Bus, Log, LookUp};
    &[
        Row("/run/dbus/system_bus_socket", Bus("the system bus")),
        Row("/run/systemd/private", Bus("systemd")),
        Row("@/tmp/dbus-*", Bus("a session bus")),
        Row("@/org/freedesktop/systemd1/*", Bus("systemd")),
        Row("/dev/log", Log),
        Row("/run/systemd/journal/*", Log),
        Row("/run/systemd/notify", Log),
        Row("/run/udev/control", Log),
        Row("/run/nscd/socket", LookUp),
        Row("/run/unscd/socket", LookUp),
        Row("/run/nslcd/socket", LookUp),
        Row("/var/lib/sss/pipes/*", LookUp),
        Row("/run/systemd/userdb/*", LookUp),
        Row("/run/systemd/resolve/*", LookUp),
        Row("/run/systemd/machine/io.systemd.Machine", LookUp),
        Row("/run/avahi-daemon/socket", LookUp),
        Row("/run/samba/winbindd/pipe", LookUp),
        Row("/run/systemd/*", Bus("systemd")),
    ]
};

/// What is known of a socket, by its path or its abstract name with `@` before it.
pub(super) fn known(name: &str) -> Option<Known> {
    let name = match name.strip_prefix("/var/run/") {
        Some(below) => format!("/run/{below}"),
        None => name.to_owned(),
    };
    let is = |row: &&Row| match row.0.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == row.0,
    };
    TABLE.iter().find(is).map(|row| row.1).or_else(|| {
        // /run/user/UID/bus, /run/user/UID/systemd/private
        let (user, below) = name.strip_prefix("/run/user/")?.split_once('/')?;
        user.parse::<u32>().ok()?;
        match below {
            "bus" => Some(Known::Bus("the session bus")),
            _ if below.starts_with("systemd/") => Some(Known::Bus("the user's systemd")),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_sockets_are_told_apart() {
        let bus = |words| Some(Known::Bus(words));
        for (name, expected) in [
            ("/run/dbus/system_bus_socket", bus("the system bus")),
            ("/var/run/dbus/system_bus_socket", bus("the system bus")),
            ("/run/systemd/private", bus("systemd")),
            ("/run/systemd/io.systemd.Manager", bus("systemd")),
            ("/run/systemd/journal/dev-log", Some(Known::Log)),
            (
                "/run/systemd/userdb/io.systemd.DynamicUser",
                Some(Known::LookUp),
            ),
            ("/run/user/1000/bus", bus("the session bus")),
            ("/run/user/1000/systemd/private", bus("the user's systemd")),
            ("/run/user/1000/gnupg/S.gpg-agent", None),
            ("/run/user/x/bus", None),
            ("/dev/log", Some(Known::Log)),
            ("/run/mysqld/mysqld.sock", None),
        ] {
            assert_eq!(known(name), expected, "{name}");
        }
    }
}
