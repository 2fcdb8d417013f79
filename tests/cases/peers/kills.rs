//! Every daemon killed at every step: that of the origin, that of whoever leads the voters, and the others, some time
//! after a lock or a check-in began. And many daemons on one machine.

use std::time::Duration;

use crate::support::cluster::Cluster;
use crate::support::machine::DOMAIN;
use crate::support::network::{wait_at_most, wait_for};

/// How many hosts there are. One of them leads the voters, whichever it is.
const HOSTS: usize = 3;

/// When a daemon is killed, in thousandths of a second after a verb began: such a verb takes 10 to 30.
const MOMENTS: [u32; 3] = [0, 8, 20];

/// Runs a verb on the first host while another one's daemon is killed and started again; whether it did it.
fn while_killed(cluster: &Cluster, words: &str, host: usize, moment: u32) -> bool {
    let pid = cluster.file(host, "conf/.pid");
    let kill = format!("(sleep 0.{moment:03}; kill -9 {}) &", pid.trim());
    let done = cluster.sh(&format!("{kill} {} isconf -q {words}", cluster.as_host(0)));
    let is_done = done.status() == 0;
    wait_for("its end", || {
        cluster.sh(&format!("kill -0 {}", pid.trim())).status() != 0
    });
    cluster.isconf(host, "start").code(0);
    is_done
}

#[test]
fn whoever_is_killed_at_any_step_of_a_lock_or_a_check_in_nothing_is_lost_or_done_twice() {
    let Some(cluster) = Cluster::of(HOSTS) else {
        return;
    };
    let all_vote = || {
        let status = cluster.isconf(0, "status --json").out();
        status.matches("\"reachable\":true").count() == HOSTS
    };
    wait_for("three voters", all_vote);
    let mut made = Vec::new();
    for host in 0..HOSTS {
        for moment in MOMENTS {
            if !while_killed(&cluster, "lock work", host, moment) {
                // It may be held by then: who holds it may lock it again.
                wait_for("the lock", || {
                    cluster.isconf(0, "up").status() == 0
                        && cluster.isconf(0, "lock again").status() == 0
                });
            }
            let command = format!("op-{host}-{moment}");
            wait_for("the change", || {
                cluster
                    .isconf(0, &format!("exec sh -c ': {command};'"))
                    .status()
                    == 0
            });
            if !while_killed(&cluster, "ci", host, moment) {
                wait_for("the check-in", || cluster.isconf(0, "ci").status() == 0);
            }
            made.push(command);
        }
    }
    for host in 0..HOSTS {
        wait_for("the same journal", || {
            cluster.journal(host) == cluster.journal(0)
        });
    }
    let journal = cluster.journal(0);
    for command in &made {
        let times = journal.matches(&format!(": {command};")).count();
        assert_eq!(times, 1, "{command} is in the journal {times} times");
    }
    assert_eq!(journal.matches("\nkind = ").count(), made.len());
}

#[test]
fn fifty_daemons_on_one_machine_have_one_journal_and_one_lock() {
    const DAEMONS: usize = 50;
    let Some(mut cluster) = Cluster::of(1) else {
        return;
    };
    cluster.add(DAEMONS - 1);
    cluster.isconf(0, "lock 'the first'").code(0);
    cluster.isconf(0, "exec true").code(0);
    cluster.isconf(0, "ci").code(0);
    let last = "ls /srv/home*/fs/cache/".to_owned()
        + DOMAIN
        + "/volume/generic/head | xargs grep -c '^seq = 1$' | grep -c ':1$'";
    let have_it = || cluster.sh(&last).out().trim() == DAEMONS.to_string();
    wait_at_most(Duration::from_secs(120), "the entry on all hosts", have_it);
    // Five of them vote; of two that lock at the same moment one does.
    let voters = || {
        let status = cluster.isconf(7, "status --json").out();
        let status: serde_json::Value = serde_json::from_str(&status).unwrap_or_default();
        status["voters"]["hosts"].as_array().map_or(0, Vec::len)
    };
    wait_at_most(Duration::from_secs(120), "five voters", || voters() == 5);
    for host in [30, 41] {
        cluster.isconf(host, "up").code(0);
    }
    let lock = |host| {
        format!(
            "({} isconf -q lock both; echo $? >/srv/lock{host}) &",
            cluster.as_host(host)
        )
    };
    cluster
        .sh(&format!("{}\n{}\nwait", lock(30), lock(41)))
        .code(0);
    let ended = cluster.sh("cat /srv/lock30 /srv/lock41").out();
    let granted = ended.lines().filter(|line| *line == "0").count();
    assert_eq!(granted, 1, "{ended}");
}
