//! Runs commands in one scratchpad, one after the other, says what each changed and tried, and drops
//! everything: `dry-run [--home DIR] COMMAND [ARGUMENT...] [--then COMMAND [ARGUMENT...]]...`. An example of the crate's use, and what the tests
//! run. Needs root.

use std::error::Error;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use isconf_sandbox::child::{Group, Limits, NetworkAccess, Request, Stream};
use isconf_sandbox::collect::CollectError;
use isconf_sandbox::session::{Exited, Prepared, Settings, sweep};

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut home = PathBuf::from("/var/lib/isconf");
    if arguments.first().is_some_and(|first| first == "--home") && arguments.len() > 1 {
        home = PathBuf::from(arguments.remove(1));
        arguments.remove(0);
    }
    run(home, arguments).unwrap_or_else(|error| {
        let mut text = format!("dry-run: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        say(&text);
        ExitCode::from(1)
    })
}

fn run(home: PathBuf, arguments: Vec<OsString>) -> Result<ExitCode, Box<dyn Error>> {
    for tx in sweep(&home)? {
        say(&format!("swept up the abandoned transaction {tx}"));
    }
    let prepared = Prepared::new(&Settings::new(home), None)?;
    for place in prepared.uncovered() {
        say(&format!("not covered: {}: {place}", place.mount_point));
    }
    let mut mounted = prepared.mount()?;
    let mut code = ExitCode::SUCCESS;
    for argv in arguments.split(|argument| argument == "--then") {
        let running = match mounted.start(request(argv)?) {
            Ok(running) => running,
            Err((mounted, error)) => {
                mounted.written().end()?.discard()?;
                say(&error.to_string());
                return Ok(ExitCode::from(error.shell_status()));
            }
        };
        let mut exited = running.wait()?;
        code = report(&mut exited)?;
        mounted = exited.again();
    }
    mounted.written().end()?.discard()?;
    Ok(code)
}

fn request(argv: &[OsString]) -> Result<Request, std::io::Error> {
    Ok(Request {
        argv: argv.to_vec(),
        cwd: std::env::current_dir()?,
        env: std::env::vars_os().collect(),
        umask: umask(),
        stdin: Stream::Inherit,
        stdout: Stream::Inherit,
        stderr: Stream::Inherit,
        group: Group::Callers,
        network: NetworkAccess::Host,
        limits: Limits::default(),
    })
}

fn report(exited: &mut Exited) -> Result<ExitCode, CollectError> {
    for effect in exited.effects() {
        say(&format!("effect: {effect:?}"));
    }
    for change in exited.capture()?.set.changes() {
        say(&format!("{:?} {}", change.label(), change.path));
    }
    if let Some(signal) = exited.interrupted_by() {
        say(&format!("interrupted by signal {signal}"));
    }
    Ok(ExitCode::from(
        exited.exit().map_or(0, |exit| exit.shell_status()),
    ))
}

/// The mask can only be read by setting it.
fn umask() -> u32 {
    let mask = nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    nix::sys::stat::umask(mask);
    mask.bits()
}

/// Results of the example go to standard error, so that standard output is the command's.
fn say(text: &str) {
    // A closed standard error is not worth failing for.
    let _ = writeln!(std::io::stderr(), "{text}");
}
