//! A private network of throwaway hosts: a bridge in a network namespace of its own, and a cable to each
//! host that can be pulled. Nothing of it has a name outside. Upholds: no test reaches the network of this
//! machine.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::debian::DebianHost;
use super::machine::Machine;

/// At most so many hosts: the kernel's table of neighbours is one for all namespaces, and a full mesh of
/// more overflows it.
const MAX_HOSTS: u8 = 20;

/// What has a network namespace of its own.
pub trait Networked {
    /// A process in it.
    fn network(&self) -> Pid;
}

impl Networked for Machine {
    fn network(&self) -> Pid {
        self.host().init()
    }
}

impl Networked for DebianHost {
    fn network(&self) -> Pid {
        self.keeper()
    }
}

/// The bridge, and the number of hosts that joined.
pub struct PrivateNetwork {
    /// Ends when its input does, and the namespace with it.
    holder: Child,
    joined: u8,
}

/// A host's place in the network: the first that joined has 1.
#[derive(Debug, Clone, Copy)]
pub struct Port(pub u8);

impl Port {
    /// Returns the host's address.
    pub fn address(self) -> String {
        format!("10.77.0.{}", self.0)
    }
}

impl PrivateNetwork {
    /// Makes an empty network.
    pub fn new() -> Self {
        let script = "ip link add br0 type bridge && ip link set br0 up && echo ready; exec cat";
        let mut holder = Command::new("setsid")
            .args(["unshare", "--net", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a network can be made");
        let mut line = String::new();
        let output = holder.stdout.as_mut().expect("the holder has an output");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line)
            .expect("the holder answers");
        assert_eq!(line, "ready\n");
        Self { holder, joined: 0 }
    }

    /// Connects a host.
    pub fn join(&mut self, host: &impl Networked) -> Port {
        self.joined += 1;
        assert!(self.joined <= MAX_HOSTS);
        let port = Port(self.joined);
        let (name, there) = (format!("p{}", port.0), host.network().to_string());
        self.ip(&format!(
            "link add {name} type veth peer name host0 netns {there}"
        ));
        self.ip(&format!("link set {name} master br0 up"));
        ip(&there, &format!("addr add {}/24 dev host0", port.address()));
        ip(&there, "link set host0 up");
        ip(&there, "link set lo up");
        port
    }

    /// Takes a host's cable out.
    pub fn cut(&self, port: Port) {
        self.ip(&format!("link set p{} nomaster", port.0));
    }

    /// Puts it back.
    pub fn heal(&self, port: Port) {
        self.ip(&format!("link set p{} master br0", port.0));
    }

    /// Lets nothing come to a host that another one sent.
    pub fn block(&self, from: Port, to: &impl Networked) {
        filter(to, &format!("ip saddr {} drop", from.address()));
    }

    /// Lets only answers come to a host from another one.
    pub fn refuse_new(&self, to: &impl Networked, from: Port) {
        filter(
            to,
            &format!("ip saddr {} ct state new drop", from.address()),
        );
    }

    fn ip(&self, words: &str) {
        ip(&self.holder.id().to_string(), words);
    }
}

impl Drop for PrivateNetwork {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // Nothing is left of it but the namespace, which goes with it.
        let _ended = self.holder.wait();
    }
}

/// Adds a rule of nft(8) for what comes to a host.
#[track_caller]
fn filter(to: &impl Networked, rule: &str) {
    let script = format!(
        "add table inet cut; add chain inet cut input {{ type filter hook input priority 0; }}; add rule inet cut input {rule}"
    );
    let process = to.network().to_string();
    let done = Command::new("nsenter")
        .args(["-t", &process, "-n", "nft", &script])
        .output()
        .expect("nft runs");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "nft {script}: {said}");
}

/// Runs ip(8) in the network namespace of a process.
#[track_caller]
fn ip(process: &str, words: &str) {
    let done = Command::new("nsenter")
        .args(["-t", process, "-n", "ip"])
        .args(words.split(' '))
        .output()
        .expect("ip runs");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "ip {words}: {said}");
}

/// Hosts of one domain on one network, numbered from 1, each with a running daemon; all but the first
/// were given the first one's address. `None` where tests cannot make hosts.
pub fn domain_of(names: &[&str]) -> Option<(PrivateNetwork, Vec<Machine>)> {
    if !super::may_make_hosts() {
        return None;
    }
    let mut network = PrivateNetwork::new();
    let mut machines = Vec::new();
    for name in names {
        let machine = Machine::ready(name)?;
        let port = network.join(&machine);
        machine.isconf(["start"]).code(0);
        if port.0 > 1 {
            machine.isconf(["join", &Port(1).address()]).code(0);
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
