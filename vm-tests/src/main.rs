//! Real machines under qemu: stock Debian kernels, power cuts, reboots. Each scenario is one claim
//! about isconf, checked by facts. Not for what a throwaway host can show (`tests/`): what is left
//! for here is the kernel, the boot, the clock and the disk.
//!
//! ```text
//! supplies (root, kernel, disk; kept below target/vm-tests) → rig → machine ⇄ agent (in the guest)
//!                                                              └─ scenarios
//! ```

mod frame;
mod agent;
mod tool;
mod swept;
mod release;
mod supplies;
mod machine;
mod rig;
mod scenarios;
mod runner;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Runs scenarios on real machines under qemu. As root; needs qemu-system-x86,
/// mmdebstrap, binutils.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Arguments {
    /// Run the scenarios that pay most for their time [default]
    #[arg(long)]
    quick: bool,
    /// Run all scenarios
    #[arg(long, conflicts_with = "quick")]
    all: bool,
    /// Run this scenario, however often given
    #[arg(long, value_name = "NAME", conflicts_with_all = ["quick", "all"])]
    only: Vec<String>,
    /// List the scenarios; a star marks those of --quick
    #[arg(long)]
    list: bool,
    /// Serve a line inside a machine
    #[command(subcommand)]
    inside: Option<Inside>,
}

/// What the same program does inside a machine.
#[derive(Debug, clap::Subcommand)]
enum Inside {
    /// Run what the runner asks for.
    #[command(hide = true)]
    Agent {
        /// The terminal at the guest's end of the line.
        terminal: PathBuf,
    },
}

#[allow(clippy::print_stderr, reason = "the edge: errors are said here")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Inside::Agent { terminal }) = &arguments.inside {
        return match agent::serve(terminal) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("agent: {error}");
                ExitCode::FAILURE
            }
        };
    }
    match runner::run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("vm-tests: {}", runner::with_causes(&error));
            ExitCode::FAILURE
        }
    }
}
