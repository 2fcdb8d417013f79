//! Init scripts and their like on hosts without systemd.

use super::member;
use crate::support::debian::{DebianHost, Init};

/// A daemon with an init script of the old kind, called also by a runlevel's link.
const APACHE: &str = r#"
mkdir -p /etc/rc2.d /usr/local/sbin
cat >/usr/local/sbin/apache <<'END'
#!/bin/sh
echo "$$ $(cat /etc/apache.conf)" >>/srv/starts
exec sleep 100000
END
cat >/etc/init.d/apache <<'END'
#!/bin/sh
pid=/run/apache.pid
case $1 in
    start)
        grep -q broken /etc/apache.conf && { echo broken >&2; exit 1; }
        start-stop-daemon --start --background --make-pidfile --pidfile $pid --exec /usr/local/sbin/apache ;;
    stop) start-stop-daemon --stop --oknodo --retry 5 --pidfile $pid && rm -f $pid ;;
    restart) $0 stop && $0 start ;;
    status) start-stop-daemon --status --pidfile $pid ;;
    configtest) ! grep broken /etc/apache.conf ;;
esac
END
chmod 755 /usr/local/sbin/apache /etc/init.d/apache
ln -s ../init.d/apache /etc/rc2.d/S85apache
echo first >/etc/apache.conf
/etc/init.d/apache start
timeout 30 sh -c 'until /etc/init.d/apache status; do sleep 0.01; done'
"#;

fn with_apache(name: &str) -> Option<DebianHost> {
    let host = member(name, Init::Plain)?;
    host.ok(APACHE);
    host.ok("isconf lock why");
    Some(host)
}

fn runs(host: &DebianHost) -> bool {
    host.run("/etc/init.d/apache status").code() == 0
}

/// The daemon's process, once it is there: `start-stop-daemon --background` returns before it has
/// written the number, whoever calls it.
fn pid(host: &DebianHost) -> String {
    host.ok("timeout 30 sh -c 'until /etc/init.d/apache status; do sleep 0.01; done' && cat /run/apache.pid")
}

/// The example of the original's manual.
#[test]
fn the_daemon_is_stopped_on_origin_and_target() {
    let Some(origin) = with_apache("manual") else {
        return;
    };
    let target = with_apache("manualtarget").expect("hosts can be made");
    target.ok("isconf unlock");
    origin.ok("isconf exec /etc/rc2.d/S85apache stop && isconf ci");
    assert!(!runs(&origin));
    origin.ok("isconf bundle export /root/bundle");
    target.write("/root/bundle", origin.read("/root/bundle"));
    target.ok("isconf bundle import /root/bundle && isconf up --noop");
    assert!(runs(&target));
    target.ok("isconf up");
    assert!(!runs(&target));
}

#[test]
fn scripts_are_answered_and_wait_however_they_are_called() {
    let Some(host) = with_apache("scripts") else {
        return;
    };
    for call in [
        "/etc/init.d/apache restart",
        "sh -c \"cd /etc/init.d && ./apache restart\"",
        "service apache restart",
        "invoke-rc.d --force apache restart",
        "perl -e \"system(qw(/etc/init.d/apache restart))\"",
        "sh -c \"exec /etc/rc2.d/S85apache restart\"",
    ] {
        let before = pid(&host);
        let preview = host.ok(&format!("isconf exec --noop {call}"));
        assert!(
            preview.contains("apache restart: waits for the commit"),
            "{call}: {preview}"
        );
        assert_eq!(pid(&host), before);
        host.ok(&format!("isconf exec {call}"));
        assert_ne!(pid(&host), before, "{call}");
    }
    // Asking, testing and printing are no requests.
    let asked = "/etc/init.d/apache stop; /etc/init.d/apache status || echo stopped; \
        /etc/init.d/apache configtest && echo tested";
    let preview = host.ok(&format!("isconf exec --noop sh -c '{asked}'"));
    assert!(preview.contains("stopped\ntested\n"), "{preview}");
    assert!(runs(&host));
}

/// A signal with a handler begins the caller's system call anew.
#[test]
fn signals_do_not_disturb_the_answer() {
    let Some(host) = with_apache("disturbed") else {
        return;
    };
    host.write(
        "/root/disturbed.pl",
        "use POSIX;
        for (1..20) {
            my $child = fork;
            if (!$child) {
                sigaction(SIGCHLD, POSIX::SigAction->new(sub {}, POSIX::SigSet->new, SA_RESTART));
                exec qw(/etc/init.d/apache restart);
                die qq(not started: $!);
            }
            while (waitpid($child, WNOHANG) == 0) { kill CHLD => $child; }
            $? == 0 or die;
        }",
    );
    let preview = host.ok("isconf exec --noop perl /root/disturbed.pl");
    let waiting = preview
        .matches("apache restart: waits for the commit")
        .count();
    assert_eq!(waiting, 20, "{preview}");
}

#[test]
fn a_script_that_fails_takes_the_entry_back() {
    let Some(host) = with_apache("scriptfails") else {
        return;
    };
    let line = "echo broken >/etc/apache.conf; /etc/init.d/apache restart";
    let done = host.run(&format!("isconf exec sh -c '{line}'"));
    assert_eq!(done.code(), 1, "{done}");
    assert!((done.out() + &done.err()).contains("broken"), "{done}");
    assert_eq!(host.ok("cat /etc/apache.conf"), "first\n");
    // Started again with the old file.
    let started = format!("{} first", pid(&host).trim());
    host.ok(&format!(
        "timeout 30 sh -c 'until grep -qx \"{started}\" /srv/starts; do sleep 0.01; done'"
    ));
}

#[test]
fn start_stop_daemon_waits_and_says_what_it_would() {
    let Some(host) = with_apache("ssd") else {
        return;
    };
    let by = "--pidfile /run/apache.pid";
    let line = format!(
        "start-stop-daemon --stop {by} --retry 5 && ! start-stop-daemon --status {by} && \
         ! start-stop-daemon --stop {by} && start-stop-daemon --stop --oknodo {by} && echo all-as-natively"
    );
    let preview = host.ok(&format!("isconf exec --noop sh -c '{line}'"));
    assert!(preview.contains("all-as-natively"), "{preview}");
    assert!(runs(&host));
    host.ok(&format!(
        "isconf exec start-stop-daemon --stop {by} --retry 5"
    ));
    assert!(!runs(&host));
}

#[test]
fn other_managers_are_answered_and_wait() {
    let Some(host) = member("managers", Init::Plain) else {
        return;
    };
    // Stand-ins with the interface of OpenRC's and Upstart's programs, which Debian 12 does not boot with.
    for (program, path) in [
        ("rc-service", "/sbin/rc-service"),
        ("initctl", "/sbin/initctl"),
    ] {
        host.write(
            path,
            format!("#!/bin/sh\ncase \"$*\" in *status*) echo live; exit 3;; esac\necho {program} \"$@\" >>/srv/asked\n"),
        );
        host.ok(&format!("chmod 755 {path}"));
    }
    host.ok("ln -s initctl /sbin/stop; isconf lock why");
    let line = "rc-service sshd restart; rc-service cron stop; rc-service cron status; \
        initctl start app; stop other; initctl status app";
    let preview = host.ok(&format!("isconf exec --noop sh -c '{line}' || true"));
    assert!(
        preview.contains("rc-service sshd restart: waits for the commit"),
        "{preview}"
    );
    assert!(preview.contains("cron is not running"), "{preview}");
    host.ok("! ls /srv/asked 2>/dev/null");
    host.ok(&format!("isconf exec sh -c '{line}; true'"));
    assert_eq!(
        host.ok("cat /srv/asked"),
        "rc-service sshd restart\nrc-service cron stop\ninitctl start app\ninitctl other\n"
    );
}

#[test]
fn a_daemon_that_is_started_after_the_commit_has_its_signals() {
    let Some(host) = with_apache("signals") else {
        return;
    };
    host.ok("isconf exec /etc/init.d/apache restart");
    let blocked = host.ok(&format!("grep SigBlk /proc/{}/status", pid(&host).trim()));
    assert_eq!(blocked.trim(), "SigBlk:\t0000000000000000");
}
