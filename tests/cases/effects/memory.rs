//! Shared memory, semaphores and queues: each scratchpad has its own.

use super::daemon::{attempt, machine, natively};

#[test]
fn shared_memory_and_queues_are_the_scratchpads_own() {
    let Some(host) = machine("ipc") else {
        return;
    };
    host.sh("echo live >/dev/shm/live").code(0);
    let look = "ipcs; ls -l /dev/shm /dev/mqueue 2>/dev/null; cat /dev/shm/live";
    let before = host.sh(look).out();
    for name in ["shmget", "semget", "msgget"] {
        attempt(&host, ["key", name, "0x4242"])
            .code(0)
            .prints(&format!("ipc: {name} key 0x4242: "))
            .prints("stayed in the scratchpad");
        attempt(&host, ["key", name, "0"])
            .code(0)
            .does_not_print("effects:");
    }
    attempt(&host, ["queue", "mine"])
        .code(0)
        .prints("ipc: mq_open mine: ");
    host.isconf(["try", "sh", "-c", "echo inside >/dev/shm/live"])
        .code(0)
        .prints("ipc: openat /dev/shm/live: ");
    assert_eq!(host.sh(look).out(), before);
}

#[test]
fn live_shared_memory_is_not_found_inside() {
    let Some(host) = machine("ipclive") else {
        return;
    };
    natively(&host, ["key", "shmget", "0x77"]).code(0);
    host.sh("ipcs -m").prints("0x00000077");
    host.isconf(["try", "ipcs", "-m"])
        .code(0)
        .does_not_print("0x00000077");
    host.sh("ipcrm -M 0x77").code(0);
}
