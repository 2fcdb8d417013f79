//! `tour`: shows isconf at work on two throwaway hosts. Upholds: needs no configuration, and does
//! not touch this machine.

use std::io::{self, Write};
use std::path::Path;

use crate::cli::{Failure, Session};
use crate::durable::FileError;
use crate::ui::exit::ExitCode;
use crate::ui::output::Output;

/// Walks through the tour with this very program.
pub fn tour(session: &mut Session) -> Result<ExitCode, Failure> {
    let program = std::env::current_exe();
    let program = program.map_err(FileError::of("find", Path::new("/proc/self/exe")))?;
    crate::tour::tour(&program, &mut Results(&mut session.out))?;
    Ok(ExitCode::Ok)
}

/// Results as a writer.
struct Results<'a>(&'a mut Output);

impl Write for Results<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.bytes(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // Results are written through.
        Ok(())
    }
}
