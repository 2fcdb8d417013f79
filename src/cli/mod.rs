//! The command line. Upholds: what the user typed is resolved into what we will do before anything
//! is done; verbs know the model and the messages, and start the conductors.
//!
//! ```text
//! words ─clap→ CommandLine ─resolve→ Invocation ─dispatch→ a verb ─> ExitCode
//!    │                                                       └─> Failure (message, hints, code)
//!    └─────────────────────────────> ParseFailure (help, version, wrong usage)
//! ```

mod nested_verbs;
mod domain_args;
mod hazard_args;
mod preview_args;
pub mod args;
mod resolve;
pub mod invocation;
mod parse;
mod session;
mod verbs;
mod failure;
mod domain_locks;
mod card;
mod conductor_failure;
mod worksite;
mod advice;
pub mod completions;
pub mod man;

use std::ffi::OsString;

use crate::config::Surroundings;
use crate::ui::exit::ExitCode;
use crate::ui::output::{Output, Volume};

pub use failure::Failure;
pub use parse::{ParseFailure, parse};
pub use resolve::{UsageError, resolve};
pub use session::{Member, Session};

use invocation::{Command, Invocation};

/// Does what the words of the command line say; the first is the name of the program.
pub fn main(argv: Vec<OsString>) -> std::process::ExitCode {
    match parse(argv) {
        Ok(invocation) => run(invocation),
        Err(failure) => answer(&failure),
    }
    .into()
}

/// Prints what the parser has to say.
fn answer(failure: &ParseFailure) -> ExitCode {
    let mut out = Output::process(Volume::Normal, false);
    if !failure.to_stdout {
        out.usage(&failure.text);
        return failure.exit;
    }
    match out.result(&failure.text) {
        Ok(()) => failure.exit,
        Err(error) => Failure::from(error).tell(&mut out),
    }
}

/// Runs the verb, and says what went wrong: here, once.
fn run(invocation: Invocation) -> ExitCode {
    let around = match Surroundings::gather() {
        Ok(around) => around,
        Err(error) => {
            let mut out = Output::process(invocation.volume, false);
            return Failure::from(error).tell(&mut out);
        }
    };
    let mut session = Session::new(around, invocation.config, invocation.volume);
    match dispatch(&mut session, invocation.command) {
        Ok(code) => code,
        Err(failure) => failure.tell(&mut session.out),
    }
}

/// One call a verb.
fn dispatch(session: &mut Session, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Lock {
            message,
            others_work,
        } => verbs::lock(session, message, others_work),
        Command::Unlock { wip } => verbs::unlock(session, wip),
        Command::Snap { paths, run, show } => verbs::snap(session, paths, run, show),
        Command::Exec(exec) => verbs::exec(session, exec),
        Command::Reboot => verbs::reboot(session),
        Command::CheckIn(strictness) => verbs::check_in(session, strictness),
        Command::Up(command) => verbs::up(session, command),
        Command::Fork(branch) => verbs::fork(session, branch),
        Command::Migrate(branch) => verbs::migrate(session, branch),
        Command::Start(place) => verbs::start(session, place),
        Command::Stop => verbs::stop(session),
        Command::Restart => verbs::restart(session),
        Command::Init { domain, branch } => verbs::init(session, domain, branch),
        Command::Join { address, branch } => verbs::join(session, &address, branch),
        Command::Status(format) => verbs::status(session, format),
        Command::Log(format) => verbs::log(session, format),
        Command::Show { entry, show } => verbs::show(session, &entry, show),
        Command::History(format) => verbs::history(session, format),
        Command::Undo { run, show } => verbs::undo(session, run, show),
        Command::Try(command) => verbs::try_out(session, command),
        Command::Diff {
            paths,
            times,
            reading,
            show,
        } => verbs::diff(session, paths, (times, reading), show),
        Command::BundleExport { file, since } => verbs::bundle_export(session, &file, since),
        Command::BundleImport { file, trust } => verbs::bundle_import(session, &file, trust),
        Command::Tour => verbs::tour(session),
        Command::Env(format) => verbs::env(session, format),
        Command::Probe(format) => verbs::probe(session, format),
        Command::Cache(reading, format) => verbs::cache(session, reading, format),
        Command::Prune(run, format) => verbs::prune(session, run, format),
        Command::KeysGenerate => verbs::keys_generate(session),
        Command::Hosts(format) => verbs::hosts(session, format),
        Command::Watch(format) => verbs::watch(session, format),
        Command::DomainRecover(consent) => verbs::domain_recover(session, consent),
        Command::KeysRotate => verbs::keys_rotate(session),
        Command::KeysList => verbs::keys_list(session),
        Command::Completions(shell) => verbs::print_completions(session, shell),
        Command::Man { directory } => verbs::write_man(session, &directory),
        Command::Daemon => verbs::daemon(session),
    }
}
