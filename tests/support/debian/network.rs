//! A private network of Debian hosts: a bridge in a network namespace of its own, a veth for each
//! host. Nothing of it has a name outside. Upholds: no test reaches the network of this machine.

use std::process::{Child, Command, Stdio};

use super::host::DebianHost;

/// The bridge, and the number of hosts that joined.
pub struct PrivateNetwork {
    /// Ends when its input does, and the namespace with it.
    holder: Child,
    joined: u8,
}

/// A host's place in the network.
#[derive(Debug, Clone, Copy)]
pub struct Port(u8);

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

    /// Connects a host; it keeps its address when it reboots.
    pub fn join(&mut self, host: &DebianHost) -> Port {
        self.joined += 1;
        let port = Port(self.joined);
        let (name, there) = (format!("p{}", port.0), host.network().to_string());
        self.ip(&format!(
            "link add {name} type veth peer name host0 netns {there}"
        ));
        self.ip(&format!("link set {name} master br0 up"));
        ip(&there, &format!("addr add {}/24 dev host0", port.address()));
        ip(&there, "link set host0 up");
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
