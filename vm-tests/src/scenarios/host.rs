//! Facts about a machine that several scenarios ask for. Not for claims.

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
