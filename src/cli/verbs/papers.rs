//! `completions` and `man`: what is made from the definition of the command line. Upholds: both
//! need no configuration.

use std::path::Path;

use clap_complete::Shell;

use crate::cli::completions::completions;
use crate::cli::man::write_man_pages;
use crate::cli::{Failure, Session};
use crate::ui::exit::ExitCode;

/// Prints the completions for a shell.
pub fn print_completions(session: &mut Session, shell: Shell) -> Result<ExitCode, Failure> {
    session.out.bytes(&completions(shell))?;
    Ok(ExitCode::Ok)
}

/// Writes the man pages.
pub fn write_man(session: &mut Session, directory: &Path) -> Result<ExitCode, Failure> {
    let shown = directory.display();
    if !directory.exists() {
        let message = format!("{shown}: No such file or directory");
        return Err(Failure::new(ExitCode::NotFound, message).hint("make the directory first."));
    }
    if !directory.is_dir() {
        let message = format!("{shown} is not a directory");
        return Err(Failure::new(ExitCode::Usage, message)
            .hint("name the directory in which the man pages are to be."));
    }
    let pages = write_man_pages(directory)?;
    let directory = directory.display();
    session
        .out
        .info(&format!("{} pages written to {directory}", pages.len()));
    Ok(ExitCode::Ok)
}
