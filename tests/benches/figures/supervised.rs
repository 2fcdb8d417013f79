//! Runs a command in a scratchpad that is dropped, with its system calls watched or not: all else is the
//! same. Not for clocking it (`driver`).

use isconf_sandbox::child::{Group, Limits, NetworkAccess, Request, Stream};
use isconf_sandbox::session::{Prepared, Settings};

use crate::Error;

/// Where the transactions are.
const HOME: &str = "/var/lib/figures";

/// Runs it; it must succeed.
pub fn run(watches: bool, words: &[&str]) -> Result<(), Error> {
    let settings = Settings {
        watches,
        ..Settings::new(HOME)
    };
    let request = Request {
        argv: words.iter().map(Into::into).collect(),
        cwd: "/".into(),
        env: std::env::vars_os().collect(),
        umask: 0o22,
        stdin: Stream::Null,
        stdout: Stream::Null,
        stderr: Stream::Null,
        group: Group::Callers,
        network: NetworkAccess::Host,
        limits: Limits::default(),
    };
    let mut exited = Prepared::new(&settings, None)?.launch(request)?.wait()?;
    exited.capture()?;
    let exit = exited.exit();
    exited.end()?.discard()?;
    match exit.is_some_and(|exit| exit.is_success()) {
        true => Ok(()),
        false => Err(format!("{words:?} ended with {exit:?}").into()),
    }
}
