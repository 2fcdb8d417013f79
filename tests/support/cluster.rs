//! Several isconf daemons of one domain on one throwaway machine, each with a home and a port of its own, and rules
//! of nftables between them: cheap enough for hundreds of schedules. Not for what needs hosts with roots of their own
//! (see `network`). Upholds: all of it is in the machine's own network, and ends with it.

use super::machine::{DOMAIN, Done, Machine};

/// The first host's port; the others follow.
const FIRST_PORT: u16 = 65_001;

/// Daemons on one machine.
pub struct Cluster {
    machine: Machine,
    hosts: usize,
}

impl Cluster {
    /// So many hosts of one domain, with running daemons, that know each other. `None` where tests cannot make
    /// machines.
    pub fn of(hosts: usize) -> Option<Self> {
        let machine = Machine::bare("cluster")?;
        let rules = "ip link set lo up && nft add table inet cut && \
                     nft add chain inet cut input '{ type filter hook input priority 0; }'";
        machine.sh(rules).code(0);
        let cluster = Self { machine, hosts };
        for host in 0..hosts {
            let home = home(host);
            let key = format!(
                "mkdir -m 700 -p {home}/conf && (umask 077; echo a-key-of-the-cluster > {home}/conf/hmac_keys)"
            );
            cluster.machine.sh(&key).code(0);
            match host {
                0 => cluster.isconf(0, "init example.com").code(0),
                _ => cluster
                    .isconf(host, &format!("join 127.0.0.1:{FIRST_PORT}"))
                    .code(0),
            };
            cluster.isconf(host, "start").code(0);
        }
        Some(cluster)
    }

    /// How many hosts there are.
    pub const fn len(&self) -> usize {
        self.hosts
    }

    /// Runs isconf as on a host; the words are a shell's.
    pub fn isconf(&self, host: usize, words: &str) -> Done {
        let (home, port) = (home(host), port(host));
        let command = format!(
            "IS_HOME={home} HOSTNAME=h{host} IS_PORT={port} IS_NOBROADCAST=1 exec timeout 60 isconf -q {words}"
        );
        self.machine.sh(&command)
    }

    /// Runs a shell script on the machine.
    pub fn sh(&self, script: &str) -> Done {
        self.machine.sh(script)
    }

    /// Ends a host's daemon as a power cut would.
    pub fn kill(&self, host: usize) {
        let pid = format!("{}/conf/.pid", home(host));
        // It may not run.
        let _killed = self.sh(&format!("kill -9 $(cat {pid})"));
    }

    /// Lets nothing of `from` come to `to`.
    pub fn cut(&self, from: usize, to: usize) {
        let rule = format!(
            "nft add rule inet cut input udp sport {} udp dport {} drop",
            port(from),
            port(to)
        );
        self.sh(&rule).code(0);
    }

    /// Lets everything through again.
    pub fn heal(&self) {
        self.sh("nft flush chain inet cut input").code(0);
    }

    /// A file of a host, below its home; empty where there is none.
    pub fn file(&self, host: usize, path: &str) -> String {
        self.sh(&format!("cat {}/{path} 2>/dev/null", home(host)))
            .out()
    }

    /// A host's journal.
    pub fn journal(&self, host: usize) -> String {
        self.file(host, &format!("fs/cache/{DOMAIN}/volume/generic/journal"))
    }
}

fn home(host: usize) -> String {
    format!("/srv/home{host}")
}

fn port(host: usize) -> u16 {
    FIRST_PORT + u16::try_from(host).expect("hosts are few")
}
