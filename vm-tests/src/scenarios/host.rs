//! Facts about a machine that several scenarios ask for, and ways to hold it still. Not for claims.

use crate::machine::Machine;
use crate::rig::Failure;

/// Says everything about a tree but the times: names, kinds, modes, owners, links and contents.
pub fn state_of(machine: &mut Machine, tree: &str) -> Result<String, Failure> {
    Ok(machine.get(&format!(
        "cd {tree} 2>/dev/null || {{ echo absent; exit 0; }}\n\
         find . -printf '%p %y %m %U:%G %n %l\\n' | sort\n\
         find . -type f -print0 | sort -z | xargs -0r sha256sum"
    ))?)
}

/// Starts a verb and waits until it stands still at a named crash point. Its process id is then in
/// `/run/held`, its output in `/run/held.log`.
pub fn hold(machine: &mut Machine, point: &str, verb: &str) -> Result<(), Failure> {
    machine.get(&format!(
        "ISCONF_CRASH_AT={point}:1:pause {verb} > /run/held.log 2>&1 &\n\
         echo $! > /run/held\n\
         while read -r line < /proc/$!/stat; do\n\
         case $line in *') T '*) exit 0;; *') Z '*) break;; esac\n\
         sleep 0.05\n\
         done 2>/dev/null\n\
         echo 'it did not stop at {point}:'; cat /run/held.log; exit 1"
    ))?;
    Ok(())
}

/// Waits until the machine has started everything.
pub fn settle(machine: &mut Machine) -> Result<(), Failure> {
    // Whether a unit of Debian failed is not our question; that nothing is starting any more is.
    machine.get("systemctl is-system-running --wait || true")?;
    Ok(())
}
