//! Hosts of one domain and what spreads among them, on real daemons in network namespaces.

mod caches;
mod hosts;
mod kills;
mod locks;
mod long_files;
mod quick_start;
mod reach;
mod simulation;
mod schedules;
mod spread;
mod strangers;
mod trouble;

use serde_json::Value;

use crate::support::machine::Machine;

/// What a host says of itself.
fn status(machine: &Machine) -> Value {
    let done = machine.isconf(["status", "--json"]).code(0);
    serde_json::from_str(&done.out()).expect("the status is JSON")
}

/// How many hosts a host is connected with.
fn connected(machine: &Machine) -> usize {
    let status = status(machine);
    let peers = status["peers"].as_array().expect("a list");
    peers
        .iter()
        .filter(|peer| peer["connected"] == true)
        .count()
}
