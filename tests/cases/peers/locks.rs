//! One lock for all hosts of a domain, wherever it is asked for.

use super::{connected, status};
use crate::support::machine::Machine;
use crate::support::network::{Port, PrivateNetwork, domain_of, wait_for};

#[test]
fn debugging() {
    let mut network = PrivateNetwork::new();
    let h1 = Machine::ready("h1").unwrap();
    let h2 = Machine::ready("h2").unwrap();
    for h in [&h1, &h2] {
        network.join(h);
        h.sh("(isconf start --foreground >/root/log 2>&1 </dev/null &) ; sleep 1")
            .code(0);
    }
    h2.isconf(["join", &Port(1).address()]).code(0);
    std::thread::sleep(std::time::Duration::from_secs(5));
    println!("{}", status(&h1));
    println!("{}", h1.isconf(["lock", "x"]).status());
    println!("h1 {}\nh2 {}", h1.read("/root/log"), h2.read("/root/log"));
    println!("{}", h1.sh("find /var/is").out());
    panic!();
}
