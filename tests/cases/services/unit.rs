//! The daemon as a service of systemd, by the unit file that is in docs/.

use super::member;
use crate::support::debian::Init;

const UNIT: &str = include_str!("../../../docs/isconf.service");

#[test]
fn the_unit_starts_the_daemon_and_waits_until_it_can_be_asked() {
    let Some(host) = member("unit", Init::Systemd) else {
        return;
    };
    let program = host.ok("command -v isconf");
    let unit = UNIT.replace("ExecStart=isconf", &format!("ExecStart={}", program.trim()));
    host.write("/etc/systemd/system/isconf.service", unit);
    // `start` of a unit of type notify returns when the daemon said that it is ready.
    host.ok("systemctl daemon-reload && systemctl enable --now isconf");
    let pid = host.ok("systemctl show -p MainPID --value isconf");
    let status = host.ok("isconf status");
    let expected = format!("daemon    running, process {}", pid.trim());
    assert!(status.contains(&expected), "{status}");
    let journal = host.ok("journalctl -u isconf --no-pager");
    assert!(
        journal.contains("daemon of example.com started on /var/is, UDP port 65027"),
        "{journal}"
    );
    // Nobody restarts what was stopped by a verb.
    host.ok("isconf stop");
    host.ok("timeout 30 sh -c 'while systemctl is-active isconf; do sleep 0.05; done'");
    assert_eq!(
        host.ok("systemctl show -p NRestarts --value isconf").trim(),
        "0"
    );
    host.ok("systemctl start isconf");
    // It comes back when it was killed.
    host.ok("systemctl kill --signal=KILL isconf");
    host.ok("timeout 30 sh -c 'until isconf status | grep -q running; do sleep 0.1; done'");
    host.ok("systemctl stop isconf");
}
