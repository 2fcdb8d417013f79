//! A network of throwaway hosts: a bridge in a network namespace of its own, and a cable to each host that can
//! be pulled. Upholds: no packet leaves it, and it ends with the process that made it.

use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use super::machine::Machine;

/// The first three numbers of all addresses here.
pub const SUBNET: &str = "10.91.7";

/// At most so many hosts: the kernel's table of neighbours is one for all namespaces, and a full mesh of
/// more overflows it.
const MAX_HOSTS: u8 = 20;

/// A network.
pub struct Network {
    holder: Child,
    _life: Option<ChildStdin>,
}

impl Network {
    /// A network without hosts.
    pub fn new() -> Self {
        let script = "ip link set lo up && ip link add br0 type bridge && ip link set br0 up \
            && echo ready && exec cat";
        let mut holder = Command::new("unshare")
            .args(["--net", "--", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a network namespace can be made");
        let life = holder.stdin.take();
        let mut said = [0; 6];
        let out = holder.stdout.as_mut().expect("it is piped");
        std::io::Read::read_exact(out, &mut said).expect("the bridge is made");
        Self {
            holder,
            _life: life,
        }
    }

    /// Puts a cable from the bridge to a host, which gets address `SUBNET.number`.
    pub fn plug(&self, machine: &Machine, number: u8) {
        assert!((1..=MAX_HOSTS).contains(&number));
        let init = machine.host().init();
        self.inside(&format!(
            "ip link add v{number} type veth peer name eth0 netns {init} && \
             ip link set v{number} master br0 up"
        ));
        machine
            .sh(&format!(
                "ip link set lo up && ip addr add {SUBNET}.{number}/24 dev eth0 && ip link set eth0 up"
            ))
            .code(0);
    }

    /// Pulls the cable of a host.
    pub fn cut(&self, number: u8) {
        self.inside(&format!("ip link set v{number} down"));
    }

    /// Puts it back.
    pub fn mend(&self, number: u8) {
        self.inside(&format!("ip link set v{number} up"));
    }

    /// Runs a line of shell where the bridge is.
    pub fn inside(&self, line: &str) {
        let pid = self.holder.id().to_string();
        let output = Command::new("nsenter")
            .args(["-t", &pid, "-n", "--", "sh", "-c", line])
            .output()
            .expect("nsenter can be run");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {said}");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ended_with_the_test = self.holder.kill();
        let _reaped = self.holder.wait();
    }
}

/// The address of a host.
pub fn address(number: u8) -> String {
    format!("{SUBNET}.{number}")
}

/// Hosts of one domain on one network, numbered from 1, each with a running daemon; all but the first
/// were given the first one's address. `None` where tests cannot make hosts.
pub fn domain_of(names: &[&str]) -> Option<(Network, Vec<Machine>)> {
    if !super::may_make_hosts() {
        return None;
    }
    let network = Network::new();
    let mut machines = Vec::new();
    for (number, name) in (1..).zip(names) {
        let machine = Machine::ready(name)?;
        network.plug(&machine, number);
        machine.isconf(["start"]).code(0);
        if number > 1 {
            machine.isconf(["join", &address(1)]).code(0);
        }
        machines.push(machine);
    }
    Some((network, machines))
}

/// Waits until something is so.
#[track_caller]
pub fn wait_for(what: &str, so: impl Fn() -> bool) {
    wait_at_most(Duration::from_secs(60), what, so);
}

/// Waits for at most so long until something is so.
#[track_caller]
pub fn wait_at_most(limit: Duration, what: &str, so: impl Fn() -> bool) {
    let deadline = Instant::now() + limit;
    while !so() {
        assert!(Instant::now() < deadline, "waited for {what} in vain");
        std::thread::sleep(Duration::from_millis(20));
    }
}
