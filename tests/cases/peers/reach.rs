//! Hosts that not everybody can reach: one-way networks, neighbours, and many hosts.

use super::locks::voters;
use super::spread::{change, head, updated, wait_for_entries};
use super::{connected, status};
use crate::support::machine::Machine;
use crate::support::network::{Port, domain_of, wait_for};

#[test]
fn a_host_that_only_accepts_from_inside_takes_part() {
    let Some((mut network, hosts)) = domain_of(&["inside"]) else {
        return;
    };
    let dmz = Machine::ready("dmz").expect("hosts can be made");
    let port = network.join(&dmz);
    // Nothing that begins there comes in.
    network.refuse_new(&hosts[0], port);
    dmz.isconf(["start"]).code(0);
    dmz.isconf(["join", &Port(1).address()]).fails();
    assert_eq!(connected(&dmz), 0);
    hosts[0].isconf(["join", &port.address()]).code(0);
    change(&hosts[0], "one");
    updated(&dmz, "one");
    change(&dmz, "two");
    wait_for("the entries", || head(&hosts[0]) == 4);
    updated(&hosts[0], "two");
}

#[test]
fn a_host_that_reaches_one_neighbour_alone_locks_and_checks_in() {
    let Some((mut network, mut hosts)) = domain_of(&["h1", "h2", "h3", "h4"]) else {
        return;
    };
    for host in &hosts {
        wait_for("the voters", || voters(host).len() == 3);
    }
    let seats = voters(&hosts[0]);
    let neighbour = hosts
        .iter()
        .position(|host| {
            let name = &status(host)["host"];
            seats.iter().all(|(voter, _)| name != voter)
        })
        .expect("one of four does not vote");
    let far = Machine::ready("far").expect("hosts can be made");
    let port = network.join(&far);
    for (number, host) in (1..).zip(&hosts) {
        if number != neighbour + 1 {
            let other = Port(u8::try_from(number).expect("hosts are few"));
            network.block(port, host);
            network.block(other, &far);
        }
    }
    let near = Port(u8::try_from(neighbour + 1).expect("hosts are few"));
    far.isconf(["start"]).code(0);
    far.isconf(["join", &near.address()]).code(0);
    wait_for("news of the voters", || voters(&far).len() == 3);
    assert_eq!(connected(&far), 1);
    change(&far, "one");
    hosts.push(far);
    for host in &hosts {
        wait_for("the entries", || head(host) == 2);
        updated(host, "one");
    }
}

#[test]
fn twelve_hosts_have_five_voters_and_go_on_without_two_of_them() {
    let names: Vec<_> = (1..=12).map(|number| format!("h{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let Some((network, hosts)) = domain_of(&names) else {
        return;
    };
    for host in &hosts {
        wait_for("five voters", || voters(host).len() == 5);
    }
    let seats = voters(&hosts[0]);
    let votes = |number: usize| seats.iter().any(|(voter, _)| *voter == names[number]);
    let gone: Vec<usize> = (0..12).filter(|number| votes(*number)).take(2).collect();
    for number in &gone {
        network.cut(Port(u8::try_from(number + 1).expect("hosts are few")));
    }
    let there: Vec<_> = (0..12).filter(|number| !gone.contains(number)).collect();
    let origin = &hosts[*there.last().expect("ten are left")];
    wait_for("a leader", || origin.isconf(["lock", "x"]).status() == 0);
    origin.isconf(["unlock"]).code(0);
    change(origin, "one");
    for number in &there {
        wait_for_entries(&hosts[*number], 2);
    }
    for number in gone {
        network.heal(Port(u8::try_from(number + 1).expect("hosts are few")));
        wait_for_entries(&hosts[number], 2);
        updated(&hosts[number], "one");
    }
}
