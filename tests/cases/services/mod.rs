//! What entries ask of service managers: it waits for the commit, is done in order, is taken back when
//! it fails, and goes on after a crash; questions are answered as after the commit. On hosts with
//! systemd as PID 1, and on hosts without it. Not for what a scratchpad keeps from an entry (see
//! `effects`).

mod systemd;
mod unit;
mod interrupted;
mod scripts;
mod live;
mod daemons;

use crate::support::debian::{DebianHost, DebianRoot, Disk, Init};
use crate::support::machine::DOMAIN;

/// The key that the hosts share.
const KEY: &str = "somekey-of-the-tests\n";

/// A service that writes down how it was started, with what configuration.
const APP: &str = r#"
mkdir -p /usr/local/bin /etc/app
cat >/usr/local/bin/app <<'END'
#!/bin/sh
grep -q broken /etc/app/conf && exit 1
echo "$1 $(cat /etc/app/conf)" >>/srv/starts
exec sleep 100000
END
chmod 755 /usr/local/bin/app
echo first >/etc/app/conf
for name in one two; do
cat >/etc/systemd/system/$name.service <<END
[Unit]
StartLimitIntervalSec=0
[Service]
Type=exec
ExecStartPre=/bin/sh -c '! grep -q broken /etc/app/conf'
ExecStart=/usr/local/bin/app $name
[Install]
WantedBy=multi-user.target
END
done
"#;

/// A host that belongs to the domain; `None` means to skip.
fn member(name: &str, init: Init) -> Option<DebianHost> {
    let host = DebianHost::start(name, &DebianRoot::bookworm(), Disk::Ext4, init)?;
    host.ok(&format!("isconf init {DOMAIN}"));
    host.write("/var/is/conf/hmac_keys", KEY);
    host.ok("chmod 600 /var/is/conf/hmac_keys");
    Some(host)
}

/// One with the services, and the lock; the first of them runs.
fn with_app(name: &str) -> Option<DebianHost> {
    let host = member(name, Init::Systemd)?;
    host.ok(APP);
    host.ok("systemctl daemon-reload && systemctl start one && isconf lock why");
    host.ok("until grep -q one /srv/starts; do :; done");
    Some(host)
}

/// The states of units, as systemd has them.
fn states(host: &DebianHost, units: &str) -> Vec<String> {
    let done = host.run(&format!("systemctl is-active {units}"));
    done.out().lines().map(str::to_owned).collect()
}
