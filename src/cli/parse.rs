//! From the words of the command line to an [`Invocation`], or the text that says why not. Upholds:
//! wrong usage ends with 22 and does nothing; help and version need no configuration.

use std::ffi::OsString;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::ui::exit::ExitCode;

use super::args::{CommandLine, definition};
use super::invocation::Invocation;
use super::resolve::{UsageError, resolve};

/// Why there is nothing to do: wrong usage, or a question that is answered here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseFailure {
    /// What to print, with its last line end.
    pub text: String,
    /// Whether it is an answer (help, version), for standard output.
    pub to_stdout: bool,
    /// How to end.
    pub exit: ExitCode,
}

/// Parses and resolves a command line; the first word is the name of the program.
pub fn parse(argv: Vec<OsString>) -> Result<Invocation, ParseFailure> {
    let line = CommandLine::try_parse_from(argv).map_err(|error| refused(&error))?;
    resolve(line).map_err(|error| match error {
        UsageError::MissingVerb => wrong_usage(format!("missing verb\n{}", usage())),
        other => wrong_usage(format!("isconf: error: {other}: Invalid argument\n")),
    })
}

fn wrong_usage(text: String) -> ParseFailure {
    ParseFailure {
        text,
        to_stdout: false,
        exit: ExitCode::Usage,
    }
}

fn refused(error: &clap::Error) -> ParseFailure {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ParseFailure {
            text: rendered(error),
            to_stdout: true,
            exit: ExitCode::Ok,
        },
        ErrorKind::InvalidSubcommand => unknown_verb(error),
        // `bundle` or `keys` alone: the parser gives its help.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => wrong_usage(format!(
            "isconf: error: one of these is missing after the verb\n\n{}",
            rendered(error)
        )),
        _ => wrong_usage(format!("isconf: {}", rendered(error))),
    }
}

/// The parser's text, without colour, with a line end.
fn rendered(error: &clap::Error) -> String {
    let text = error.render().to_string();
    format!("{}\n", text.trim_end())
}

/// Says which verb is unknown; those of `bundle` and `keys` get the parser's own text.
fn unknown_verb(error: &clap::Error) -> ParseFailure {
    let text = rendered(error);
    if text.contains("Usage: isconf bundle") || text.contains("Usage: isconf keys") {
        return wrong_usage(format!("isconf: {text}"));
    }
    let verb = error.get(clap::error::ContextKind::InvalidSubcommand);
    let verb = verb.map(ToString::to_string).unwrap_or_default();
    wrong_usage(format!("unknown verb: {verb}\n{}", usage()))
}

/// The short usage of the original: flags and verbs, made from the definition.
fn usage() -> String {
    let mut definition = definition();
    let mut text = String::from(
        "usage: isconf [-DhqrV] [-c config] [-m message] {verb} [verb args ...]\n\noptions:\n",
    );
    definition.build();
    for arg in definition.get_arguments() {
        let (Some(short), Some(long)) = (arg.get_short(), arg.get_long()) else {
            continue;
        };
        let value = arg
            .get_value_names()
            .filter(|_| arg.get_action().takes_values());
        let value = value.and_then(|names| names.first());
        let value = value.map(|n| format!("={n}")).unwrap_or_default();
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!(
            "  {:<24}{help}\n",
            format!("-{short}, --{long}{value}")
        ));
    }
    let verbs = definition.get_subcommands().filter(|c| !c.is_hide_set());
    let verbs: Vec<_> = verbs.map(clap::Command::get_name).collect();
    text.push_str(&format!("\nVerb is one of: {}\n", verbs.join(", ")));
    text
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
