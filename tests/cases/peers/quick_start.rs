//! What the README has a new user type, on three hosts and with sources: one is changed, the others follow, and one that is
//! built later gets the same from whoever is there.

use std::fs;

use serde_json::Value;

use super::spread::wait_for_entries;
use super::{connected, status};
use crate::support::machine::{DOMAIN, Machine};
use crate::support::network::{Port, PrivateNetwork, wait_for};

/// A package as it comes from its makers: unpacked, configured, made and installed.
const PACKAGE: &str = "mkdir -p /tmp/hello-1.0 && cd /tmp/hello-1.0 &&
cat > configure <<'END' && chmod +x configure &&
#!/bin/sh
cc --version >/dev/null || exit 1
sed s,@prefix@,${1#--prefix=}, Makefile.in > Makefile
END
printf '%s\\n' 'hello: hello.c' '\t$(CC) -o hello hello.c' 'install: hello' \
    '\tinstall -D hello @prefix@/bin/hello' > Makefile.in &&
printf '%s\\n' '#include <stdio.h>' 'int main(void) { puts(\"Hello, world!\"); }' > hello.c &&
cd .. && tar -czf hello.tar.gz hello-1.0 && rm -r hello-1.0";

/// Types a command as a new user would.
fn type_in(host: &Machine, line: &str) {
    host.sh(line).code(0);
}

/// A new host on the network.
fn new_host(network: &mut PrivateNetwork, name: &str) -> Option<Machine> {
    let host = Machine::bare(name)?;
    network.join(&host);
    Some(host)
}

/// Copies the key from the first host, and joins it.
fn joins(host: &Machine, first: &Machine, address: &str) {
    type_in(host, "mkdir -m 700 -p /var/is/conf");
    host.write(
        "/var/is/conf/hmac_keys",
        first.read("/var/is/conf/hmac_keys"),
    );
    type_in(host, "chmod 600 /var/is/conf/hmac_keys");
    type_in(host, &format!("isconf join {address}"));
}

/// Previews, applies and looks at it.
fn follows(host: &Machine, entries: u64) {
    wait_for("the entries", || status(host)["journal"]["seq"] == entries);
    let preview = host.sh("isconf up --noop").code(0);
    preview.prints("/opt/hello/bin/hello");
    assert!(!host.exists("/opt/hello/bin/hello"), "it was a preview");
    type_in(host, "isconf up");
    host.sh("/opt/hello/bin/hello")
        .code(0)
        .prints("Hello, world!");
    type_in(host, "isconf diff");
}

#[test]
fn the_quick_start_ends_on_three_hosts_as_the_readme_says() {
    let mut network = PrivateNetwork::new();
    let Some(first) = new_host(&mut network, "first") else {
        return;
    };
    // Any tarball that is configured and made will do, if its program says hello: ISCONF_TARBALL names one.
    match std::env::var_os("ISCONF_TARBALL") {
        Some(path) => {
            let tarball = fs::read(&path).expect("ISCONF_TARBALL can be read");
            first.write("/tmp/hello.tar.gz", tarball);
        }
        None => type_in(&first, PACKAGE),
    }
    type_in(&first, &format!("isconf init {DOMAIN} generic"));
    type_in(&first, "isconf keys generate");
    type_in(&first, "isconf start");
    let others: Vec<_> = ["second", "third"]
        .iter()
        .map(|name| new_host(&mut network, name).expect("hosts can be made"))
        .collect();
    for other in &others {
        joins(other, &first, &Port(1).address());
    }
    wait_for("two peers", || connected(&first) == 2);
    type_in(&first, "isconf lock 'install hello'");
    type_in(&first, "isconf snap /tmp/hello.tar.gz");
    type_in(&first, "cd /srv && isconf exec tar -xzvf /tmp/hello.tar.gz");
    let make = "cd /srv/hello-* && isconf exec sh -c './configure --prefix=/opt/hello && make && make install'";
    type_in(&first, make);
    type_in(&first, "isconf ci");
    first
        .sh("/opt/hello/bin/hello")
        .code(0)
        .prints("Hello, world!");
    for other in &others {
        wait_for_entries(other, 3);
        follows(other, 3);
    }
    for host in [&first, &others[0], &others[1]] {
        wait_for("what all hosts say", || {
            let shown = host.sh("isconf hosts --json").out();
            let shown: Value = serde_json::from_str(&shown).unwrap_or_default();
            let rows = shown["hosts"].as_array().cloned().unwrap_or_default();
            rows.len() == 3
                && rows
                    .iter()
                    .all(|row| row["at"]["seq"] == 3 && row["failed"].is_null())
        });
    }
    // Any of them can be changed, and one that is built later needs none in particular.
    type_in(
        &others[0],
        "isconf lock more && isconf exec sh -c '/opt/hello/bin/hello > /etc/motd' && isconf ci",
    );
    wait_for_entries(&first, 4);
    wait_for_entries(&others[1], 4);
    type_in(&first, "isconf up && isconf stop");
    let later = new_host(&mut network, "later").expect("hosts can be made");
    joins(&later, &others[1], &Port(3).address());
    wait_for_entries(&later, 4);
    follows(&later, 4);
    assert_eq!(later.read("/etc/motd"), first.read("/etc/motd"));
}
