//! The tour itself, as a visitor runs it: `isconf tour` must succeed, and leave nothing behind.

use std::process::Command;

use crate::support::PROGRAM;

#[test]
fn the_tour_runs_to_its_end_and_leaves_this_machine_as_it_was() {
    if !nix::unistd::geteuid().is_root() && std::env::var_os("CI").is_none() {
        eprintln!("SKIPPED: needs root to make throwaway hosts; run the tests as root.");
        return;
    }
    let output = Command::new(PROGRAM).arg("tour").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let trouble = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{trouble}");
    assert!(
        text.contains("[checked] This machine is as it was"),
        "{text}"
    );
}
