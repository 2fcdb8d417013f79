//! One lock for all hosts of a domain, wherever it is asked for.

use serde_json::Value;

use super::spread::{change, head, updated};
use super::status;
use crate::support::machine::Machine;
use crate::support::network::{Port, PrivateNetwork, domain_of, wait_for};

/// The names of those who keep the locks, and whether a host reaches them.
pub fn voters(machine: &Machine) -> Vec<(String, bool)> {
    let status = status(machine);
    let hosts = status["voters"]["hosts"].as_array();
    let voter = |voter: &Value| {
        let name = voter["host"].as_str().expect("a name");
        (name.to_owned(), voter["reachable"] == true)
    };
    hosts.map_or_else(Vec::new, |hosts| hosts.iter().map(voter).collect())
}

/// Three hosts, all of which keep the locks, and know it.
fn three() -> Option<(PrivateNetwork, Vec<Machine>)> {
    let (network, hosts) = domain_of(&["h1", "h2", "h3"])?;
    for host in &hosts {
        wait_for("three voters", || voters(host).len() == 3);
    }
    Some((network, hosts))
}

#[test]
fn case_20_the_second_host_that_locks_is_told_who_has_it_and_case_21_gets_it_afterwards() {
    let Some((_network, hosts)) = three() else {
        return;
    };
    hosts[1].isconf(["lock", "upgrading"]).code(0);
    for verb in [["lock", "mine"], ["exec", "true"], ["snap", "/etc/motd"]] {
        let done = hosts[2].isconf(verb).code(220);
        done.says("generic is locked by: root@h2: upgrading (lock time ");
    }
    hosts[0]
        .isconf(["ci"])
        .code(220)
        .says("generic is locked by: root@h2: upgrading");
    // The same person again: the message changes.
    hosts[1].isconf(["lock", "still upgrading"]).code(0);
    wait_for("the news", || {
        status(&hosts[0])["lock"]["message"] == "still upgrading"
    });
    hosts[1]
        .isconf(["ci"])
        .code(0)
        .says("no outstanding updates");
    hosts[2].isconf(["lock", "mine"]).code(0);
    change(&hosts[2], "one");
    hosts[0].isconf(["lock", "x"]).fails().says("out of date");
    updated(&hosts[0], "one");
    hosts[0].isconf(["lock", "x"]).code(0);
}

#[test]
fn of_hosts_that_lock_at_the_same_moment_one_does() {
    let Some((_network, hosts)) = three() else {
        return;
    };
    for _ in 0..10 {
        let locked = std::thread::scope(|scope| {
            let lock = |host| scope.spawn(move || Machine::isconf(host, ["lock", "mine"]).status());
            let locks: Vec<_> = hosts.iter().map(lock).collect();
            let ended = locks.into_iter().map(|lock| lock.join().expect("it ends"));
            ended.collect::<Vec<_>>()
        });
        assert_eq!(
            locked.iter().filter(|code| **code == 0).count(),
            1,
            "{locked:?}"
        );
        assert_eq!(
            locked.iter().filter(|code| **code == 220).count(),
            2,
            "{locked:?}"
        );
        let winner = locked.iter().position(|code| *code == 0).expect("one won");
        hosts[winner].isconf(["unlock"]).code(0);
    }
}

#[test]
fn case_24_any_host_unlocks_and_the_old_holder_is_refused_and_told_the_way_out() {
    let Some((_network, hosts)) = three() else {
        return;
    };
    let (old, new) = (&hosts[0], &hosts[1]);
    old.isconf(["lock", "first"]).code(0);
    old.isconf(["exec", "sh", "-c", "echo mine > /srv/mine"])
        .code(0);
    new.isconf(["unlock"])
        .code(0)
        .says("removing lock on generic set by root@h1")
        .says("broke generic lock -- please notify root@h1");
    // Nothing of the old holder's counts, and nothing is lost.
    old.isconf(["ci"])
        .code(221)
        .says("generic is not locked")
        .says("not lost: 1 change made here");
    assert_eq!(head(new), 0);
    // The journal did not move: it goes on.
    old.isconf(["lock", "again"])
        .code(0)
        .says("still here: 1 change");
    new.isconf(["unlock"]).code(0);
    new.isconf(["lock", "now me"]).code(0);
    old.isconf(["ci"])
        .code(220)
        .says("locked by: root@h2: now me")
        .says("Once the lock is yours again");
    new.isconf(["exec", "sh", "-c", "echo theirs > /srv/theirs"])
        .code(0);
    new.isconf(["ci"]).code(0);
    // Now it moved: the old holder's changes have to be made again.
    wait_for("the entry", || head(old) == 1);
    old.isconf(["lock", "too late"])
        .fails()
        .says("`isconf unlock --discard` takes them back");
    old.isconf(["unlock", "--discard"]).code(0);
    assert!(!old.exists("/srv/mine"));
    old.isconf(["up"]).code(0);
    old.isconf(["lock", "in time"]).code(0);
}

#[test]
fn a_minority_locks_and_checks_in_nothing_and_loses_nothing() {
    let Some((network, hosts)) = three() else {
        return;
    };
    let alone = &hosts[2];
    alone.isconf(["lock", "cut off"]).code(0);
    alone
        .isconf(["exec", "sh", "-c", "echo 1 > /srv/1"])
        .code(0);
    network.cut(Port(3));
    wait_for("the end of the connections", || {
        voters(alone).iter().filter(|(_, there)| *there).count() == 1
    });
    alone
        .isconf(["exec", "sh", "-c", "echo 2 > /srv/2"])
        .code(0);
    let refused = alone.isconf(["ci"]).code(75);
    refused
        .says("the locks of the domain need 2 of its 3 voters; not reached: h")
        .says("Do the same again when they are back");
    alone.isconf(["up"]).fails().says("not checked in");
    // It may have been ordered, and who decides that it was not cannot be asked.
    alone.isconf(["unlock", "--discard"]).code(75);
    assert!(alone.exists("/srv/2"));
    // The others know whose lock it is, and that it was not given up.
    hosts[0]
        .isconf(["lock", "x"])
        .code(220)
        .says("root@h3: cut off");
    network.heal(Port(3));
    wait_for("the check-in", || alone.isconf(["ci"]).status() == 0);
    for host in &hosts[..2] {
        wait_for("the entries", || head(host) == 2);
        host.isconf(["up"]).code(0);
        assert_eq!(host.read("/srv/2"), "2\n");
    }
}

#[test]
fn a_domain_goes_on_without_the_leader_and_the_origin() {
    let Some((_network, mut hosts)) = three() else {
        return;
    };
    change(&hosts[0], "one");
    // It is acknowledged, so that it is elsewhere.
    drop(hosts.remove(0));
    for host in &hosts {
        wait_for("the entries", || head(host) == 2);
    }
    updated(&hosts[0], "one");
    wait_for("another leader", || {
        hosts[0].isconf(["lock", "without h1"]).status() == 0
    });
    hosts[0].isconf(["unlock"]).code(0);
    change(&hosts[0], "two");
    updated(&hosts[1], "two");
}

#[test]
fn two_hosts_make_one_branch_of_a_name() {
    let Some((_network, hosts)) = three() else {
        return;
    };
    change(&hosts[0], "one");
    updated(&hosts[1], "one");
    hosts[0].isconf(["fork", "web"]).code(0);
    hosts[1]
        .isconf(["fork", "web"])
        .code(1)
        .says("web already exists");
    wait_for("the branch", || {
        hosts[1].isconf(["migrate", "web"]).status() == 0
    });
    change(&hosts[0], "two");
    updated(&hosts[1], "two");
}

#[test]
fn a_check_in_that_is_killed_before_or_after_its_moment_is_gone_on_with() {
    let Some((_network, mut hosts)) = three() else {
        return;
    };
    for (point, text) in [("ci-kept", "one"), ("ci-agreed", "two")] {
        let origin = &mut hosts[2];
        origin.isconf(["lock", "for the test"]).code(0);
        let command = format!("echo {text} > /srv/text");
        origin.isconf(["exec", "sh", "-c", &command]).code(0);
        origin.setenv("ISCONF_CRASH_AT", point);
        origin.isconf(["ci"]).fails();
        origin.setenv("ISCONF_CRASH_AT", "");
        // Done already, for others as well, or done now.
        wait_for("the check-in", || {
            let done = hosts[2].isconf(["ci"]);
            [0, 221].contains(&done.status())
        });
        for host in &hosts[..2] {
            host.isconf(["up"]).code(0);
            assert_eq!(host.read("/srv/text"), format!("{text}\n"));
        }
        let status = status(&hosts[2]);
        assert_eq!((&status["wip"], &status["pending"]), (&0.into(), &0.into()));
    }
}

#[test]
fn a_check_in_without_an_answer_is_asked_for_again_before_anything_else() {
    let Some((network, hosts)) = domain_of(&["h1", "h2"]) else {
        return;
    };
    let origin = &hosts[1];
    change(&hosts[0], "one");
    updated(origin, "one");
    origin.isconf(["lock", "for the test"]).code(0);
    origin
        .isconf(["exec", "sh", "-c", "echo 2 > /srv/2"])
        .code(0);
    network.cut(Port(2));
    wait_for("the end of the connection", || {
        voters(origin) == [("h1".to_owned(), false)]
    });
    origin.isconf(["ci"]).code(75);
    for verb in [&["exec", "true"][..], &["undo"]] {
        let mut words = vec!["isconf".into()];
        words.extend(verb.iter().map(Into::into));
        origin
            .run(&words)
            .code(75)
            .says("`isconf ci` again finds out");
    }
    network.heal(Port(2));
    wait_for("the check-in", || origin.isconf(["ci"]).status() == 0);
    updated(&hosts[0], "one");
    assert_eq!(hosts[0].read("/srv/2"), "2\n");
    origin.isconf(["lock", "for the test"]).code(0);
    origin.isconf(["exec", "touch", "/srv/3"]).code(0);
    network.cut(Port(2));
    wait_for("the end of the connection", || {
        voters(origin) == [("h1".to_owned(), false)]
    });
    origin.isconf(["ci"]).code(75);
    network.heal(Port(2));
    // What is decided against does not come back.
    wait_for("the decision", || {
        origin.isconf(["unlock", "--discard"]).status() == 0
    });
    assert!(!origin.exists("/srv/3"));
    change(&hosts[0], "four");
    updated(origin, "four");
}

#[test]
fn a_host_of_the_same_name_is_another_one() {
    let Some((_network, hosts)) = domain_of(&["twin", "twin", "h3"]) else {
        return;
    };
    hosts[0].isconf(["lock", "first"]).code(0);
    hosts[1].isconf(["lock", "second"]).code(220).says("first");
    hosts[1].isconf(["exec", "true"]).code(220);
    hosts[0]
        .isconf(["exec", "sh", "-c", "echo 1 > /srv/1"])
        .code(0);
    hosts[0].isconf(["ci"]).code(0);
}

#[test]
fn what_is_taken_back_late_leaves_the_lock_of_another_alone() {
    let Some((_network, hosts)) = three() else {
        return;
    };
    hosts[0].isconf(["lock", "first"]).code(0);
    hosts[0]
        .isconf(["exec", "sh", "-c", "echo 1 > /srv/1"])
        .code(0);
    hosts[1].isconf(["unlock"]).code(0);
    hosts[1].isconf(["lock", "second"]).code(0);
    // Its own file says still that it has the lock.
    hosts[0].isconf(["unlock", "--discard"]).code(0);
    assert!(!hosts[0].exists("/srv/1"));
    hosts[2]
        .isconf(["lock", "third"])
        .code(220)
        .says("root@h2: second");
}

#[test]
fn a_lock_that_was_taken_alone_is_kept_when_others_come() {
    let Some((mut network, hosts)) = domain_of(&["h1"]) else {
        return;
    };
    let first = &hosts[0];
    change(first, "one");
    first.isconf(["lock", "while alone"]).code(0);
    first
        .isconf(["exec", "sh", "-c", "echo 2 > /srv/2"])
        .code(0);
    let second = Machine::ready("h2").expect("hosts can be made");
    network.join(&second);
    second.isconf(["join", &Port(1).address()]).code(0);
    updated(&second, "one");
    second
        .isconf(["lock", "x"])
        .code(220)
        .says("root@h1: while alone");
    first.isconf(["ci"]).code(0);
    second.isconf(["up"]).code(0);
    assert_eq!(second.read("/srv/2"), "2\n");
    second.isconf(["lock", "x"]).code(0);
}

#[test]
fn entries_of_a_bundle_are_agreed_on_before_anybody_goes_on_behind_them() {
    let Some((_network, hosts)) = three() else {
        return;
    };
    // Made by a host of the domain that no network reaches.
    let apart = Machine::ready("apart").expect("hosts can be made");
    change(&apart, "one");
    apart.isconf(["bundle", "export", "/root/bundle"]).code(0);
    hosts[1].write("/root/bundle", apart.bytes("/root/bundle"));
    hosts[0].isconf(["lock", "in the way"]).code(0);
    hosts[1]
        .isconf(["bundle", "import", "/root/bundle"])
        .code(220)
        .says("root@h1: in the way");
    hosts[0].isconf(["unlock"]).code(0);
    hosts[1]
        .isconf(["bundle", "import", "/root/bundle"])
        .code(0);
    for host in &hosts {
        wait_for("the entries", || head(host) == 2);
        updated(host, "one");
    }
    change(&hosts[2], "two");
    updated(&hosts[0], "two");
}

#[test]
fn after_most_voters_are_lost_one_host_begins_anew_and_the_others_follow_it() {
    let Some((network, hosts)) = three() else {
        return;
    };
    change(&hosts[0], "one");
    for host in &hosts[1..] {
        updated(host, "one");
    }
    hosts[0]
        .isconf(["domain", "recover", "--yes"])
        .code(1)
        .says("there is nothing to recover");
    hosts[0].isconf(["lock", "will be lost"]).code(0);
    hosts[0]
        .isconf(["exec", "sh", "-c", "echo old > /srv/old"])
        .code(0);
    // Two of three are gone, one of them with the lock.
    for port in [Port(1), Port(2)] {
        network.cut(port);
    }
    let left = &hosts[2];
    wait_for("the end of the connections", || {
        voters(left).iter().filter(|(_, there)| *there).count() == 1
    });
    left.isconf(["lock", "x"])
        .code(75)
        .says("isconf domain recover");
    left.isconf(["domain", "recover"])
        .code(1)
        .says("without h1, h2")
        .says("nothing was done");
    left.isconf(["domain", "recover", "--yes"])
        .code(0)
        .says("epoch 2");
    change(left, "two");
    // The others come back: theirs is the older epoch.
    for port in [Port(1), Port(2)] {
        network.heal(port);
    }
    for host in &hosts {
        wait_for("the new epoch", || {
            status(host)["voters"]["epoch"] == 2 && voters(host).len() == 3
        });
    }
    hosts[0].isconf(["ci"]).code(1).says("your wip is kept");
    updated(&hosts[1], "two");
    hosts[0].isconf(["unlock", "--discard"]).code(0);
    updated(&hosts[0], "two");
    change(&hosts[0], "three");
    updated(left, "three");
}

#[test]
fn without_a_daemon_nothing_is_locked_that_others_could_have() {
    let Some((_network, hosts)) = domain_of(&["h1", "h2"]) else {
        return;
    };
    change(&hosts[1], "one");
    hosts[1].isconf(["stop"]).code(0);
    hosts[1]
        .isconf(["lock", "x"])
        .code(1)
        .says("the daemon here does not run")
        .says("`isconf start` starts it");
    hosts[1].isconf(["up"]).code(0);
    hosts[1].isconf(["start"]).code(0);
    wait_for("the lock", || hosts[1].isconf(["lock", "x"]).status() == 0);
}
