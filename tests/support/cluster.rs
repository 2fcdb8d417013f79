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
        let rules = "ip link set lo up && : > /srv/nets && nft add table inet cut && \
                     nft add chain inet cut input '{ type filter hook input priority 0; }'";
        machine.sh(rules).code(0);
        let cluster = Self { machine, hosts };
        for host in 0..hosts {
            cluster.give_key(host);
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

    /// Adds hosts, whose daemons begin at the same time; they were given the first one's address.
    pub fn add(&mut self, more: usize) {
        let added = self.hosts..self.hosts + more;
        self.hosts += more;
        for host in added.clone() {
            self.give_key(host);
            self.isconf(host, "init example.com").code(0);
        }
        self.sh(&format!("echo 127.0.0.1:{FIRST_PORT} > /srv/nets"))
            .code(0);
        let start = |host| format!("{} isconf -q start &", environment(host));
        let starts: Vec<_> = added.map(start).collect();
        self.sh(&format!("{}\nwait", starts.join("\n"))).code(0);
    }

    fn give_key(&self, host: usize) {
        let home = home(host);
        let key = format!(
            "mkdir -m 700 -p {home}/conf && (umask 077; echo a-key-of-the-cluster > {home}/conf/hmac_keys)"
        );
        self.machine.sh(&key).code(0);
    }

    /// Counts from now on what a host sends.
    pub fn count(&self, from: usize) {
        let port = port(from);
        let rules = format!(
            "nft add counter inet cut sent && nft add rule inet cut input udp sport {port} counter name sent"
        );
        self.sh(&rules).code(0);
    }

    /// How many bytes it sent, in packets that may have been lost.
    pub fn counted(&self) -> u64 {
        let listed = self.sh("nft list counter inet cut sent").code(0).out();
        let mut words = listed
            .split_whitespace()
            .skip_while(|word| *word != "bytes");
        words
            .nth(1)
            .and_then(|bytes| bytes.parse().ok())
            .expect("a counter")
    }

    /// How many hosts there are.
    pub const fn len(&self) -> usize {
        self.hosts
    }

    /// Runs isconf as on a host; the words are a shell's.
    pub fn isconf(&self, host: usize, words: &str) -> Done {
        let environment = environment(host);
        let command = format!("{environment} exec timeout 60 isconf -q {words}");
        self.machine.sh(&command)
    }

    /// The assignments in front of a command that have it run as on a host.
    pub fn as_host(&self, host: usize) -> String {
        environment(host)
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

/// The variables of a host.
fn environment(host: usize) -> String {
    let (home, port) = (home(host), port(host));
    format!("IS_HOME={home} HOSTNAME=h{host} IS_PORT={port} IS_NOBROADCAST=1 IS_NETS=/srv/nets")
}

fn home(host: usize) -> String {
    format!("/srv/home{host}")
}

fn port(host: usize) -> u16 {
    FIRST_PORT + u16::try_from(host).expect("hosts are few")
}
