//! Leads through the tour: types each step's command in a throwaway host, shows its real output,
//! and stops at the first result that is not the expected one. At the end, proves that the real
//! machine is as before. Not for the content of the tour, which is in `steps`.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::command::Output;
use super::error::HostError;
use super::fingerprint::Fingerprint;
use super::host::Host;
use super::manifest::Manifest;
use super::spec::HostSpec;
use super::steps::{Expect, IN_C, IN_SHELL, IS_HOME, STEPS, Side, Step};

/// What can end the tour early.
#[derive(Debug, thiserror::Error)]
pub enum TourError {
    /// A throwaway host could not be made or used.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The tour's text could not be written.
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
    /// A command did not do what the tour says it does.
    #[error("on {host}: `{command}` should have {expected}, but ended with {code}")]
    Unexpected {
        /// The host.
        host: &'static str,
        /// The command as typed.
        command: &'static str,
        /// What it should have done, as the end of a sentence.
        expected: String,
        /// Its exit status.
        code: i32,
    },
    /// A host is not as it was, where the tour says it is.
    #[error("{host} is not as it was:\n{}", differences.join("\n"))]
    Changed {
        /// The host.
        host: &'static str,
        /// Paths with the state before (`-`) and after (`+`).
        differences: Vec<String>,
    },
    /// The machine on which the tour ran is not as it was.
    #[error("this machine is not as it was before the tour:\n{}", differences.join("\n"))]
    RealMachine {
        /// What differs.
        differences: Vec<String>,
    },
}

/// Walks through the whole tour with `program` as `isconf`, and writes it to `out`.
///
/// # Errors
/// The first thing that was not as the tour says; the hosts are gone then, too.
pub fn tour(program: &Path, out: &mut dyn Write) -> Result<(), TourError> {
    let started = Instant::now();
    let before = Fingerprint::take()?;
    writeln!(
        out,
        "Welcome to isconf. This tour makes two throwaway hosts and runs the real"
    )?;
    writeln!(
        out,
        "program in them. It needs no network and does not touch this machine."
    )?;
    {
        let guide = Guide {
            origin: Host::start(HostSpec::new(Side::Origin.name()).program(program))?,
            target: Host::start(HostSpec::new(Side::Target.name()).program(program))?,
        };
        guide.lay_out_sources()?;
        guide.lead(out)?;
    }
    let differences = before.differences(&Fingerprint::take()?);
    if !differences.is_empty() {
        return Err(TourError::RealMachine { differences });
    }
    writeln!(out, "\n[checked] This machine is as it was: {before}.")?;
    let commands = STEPS
        .iter()
        .filter(|step| matches!(step, Step::Type(..)))
        .count();
    writeln!(
        out,
        "{commands} commands in {:.1} s.",
        seconds(started.elapsed())
    )?;
    Ok(())
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

/// The two hosts of the tour.
struct Guide {
    origin: Host,
    target: Host,
}

impl Guide {
    fn host(&self, side: Side) -> &Host {
        match side {
            Side::Origin => &self.origin,
            Side::Target => &self.target,
        }
    }

    /// Puts the sources of a small program on the origin, in C if there is a compiler.
    fn lay_out_sources(&self) -> Result<(), HostError> {
        if !self.origin.run(["make", "--version"])?.status.success() {
            return Err(HostError::MissingTool {
                tool: "make",
                package: "make",
            });
        }
        let compiler = self.origin.shell("command -v cc").run()?.status.success();
        let sources = if compiler { &IN_C } else { &IN_SHELL };
        self.origin.sh("mkdir /root/hello-1.0")?;
        for (name, text) in sources.files {
            self.origin
                .write(Path::new("/root/hello-1.0").join(name), text)?;
        }
        Ok(())
    }

    /// Takes every step in turn.
    fn lead(&self, out: &mut dyn Write) -> Result<(), TourError> {
        let mut remembered: Option<Manifest> = None;
        let mut chapter = 0;
        for step in STEPS {
            match step {
                Step::Chapter(title) => {
                    chapter += 1;
                    writeln!(out, "\n== {chapter}. {title}\n")?;
                }
                Step::Say(text) => writeln!(out, "   {text}")?,
                Step::Type(side, line, expect) => self.type_line(side, line, expect, out)?,
                Step::Carry(path) => self.carry(path, out)?,
                Step::Remember(side) => remembered = Some(self.list(side)?),
                Step::Same(side, claim) => {
                    let now = self.list(side)?;
                    same(side, remembered.as_ref(), &now)?;
                    writeln!(out, "[checked] {claim}: {} paths compared.", now.len())?;
                }
            }
            out.flush()?;
        }
        Ok(())
    }

    /// Lists everything a host has but isconf's own files.
    fn list(&self, side: Side) -> Result<Manifest, HostError> {
        self.host(side).manifest_except("/", &[IS_HOME])
    }

    /// Types one line and shows what comes.
    fn type_line(
        &self,
        side: Side,
        line: &'static str,
        expect: Expect,
        out: &mut dyn Write,
    ) -> Result<(), TourError> {
        writeln!(out, "{}# {line}", side.name())?;
        out.flush()?;
        let output = self.host(side).shell(line).merged().run()?;
        out.write_all(&output.stdout)?;
        if !output.stdout.is_empty() && !output.stdout.ends_with(b"\n") {
            writeln!(out)?;
        }
        if output.code() != 0 {
            writeln!(out, "(exit status {})", output.code())?;
        }
        judge(&output, expect).map_err(|expected| TourError::Unexpected {
            host: side.name(),
            command: line,
            expected,
            code: output.code(),
        })
    }

    /// Carries a file to the target with its mode.
    fn carry(&self, path: &'static str, out: &mut dyn Write) -> Result<(), TourError> {
        writeln!(out, "   ({path} is carried from origin to target)")?;
        self.target.sh(format!("umask 077; : >{path}"))?;
        self.target.write(path, self.origin.read(path)?)?;
        Ok(())
    }
}

/// Tells what a command should have done, if it did not.
fn judge(output: &Output, expect: Expect) -> Result<(), String> {
    let (code, text) = match expect {
        Expect::Exit(code) => (code, None),
        Expect::Failure if output.code() != 0 => return Ok(()),
        Expect::Failure => return Err("failed".to_owned()),
        Expect::Shows(text) => (0, Some(text)),
        Expect::Finds(text) => (1, Some(text)),
    };
    if output.code() != code {
        return Err(format!("ended with {code}"));
    }
    match text {
        Some(text) if !output.out().contains(text) => Err(format!("shown {text:?}")),
        Some(_) | None => Ok(()),
    }
}

/// Compares a host with what was remembered of it.
fn same(side: Side, remembered: Option<&Manifest>, now: &Manifest) -> Result<(), TourError> {
    let differences = match remembered {
        Some(before) => before.differences(now),
        None => vec!["nothing was remembered".to_owned()],
    };
    if differences.is_empty() {
        return Ok(());
    }
    Err(TourError::Changed {
        host: side.name(),
        differences,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn ended(code: i32, text: &str) -> Output {
        let status = ExitStatus::from_raw(code << 8);
        Output {
            status,
            stdout: text.into(),
            stderr: Vec::new(),
        }
    }

    #[test]
    fn a_result_is_judged_by_status_and_text() {
        assert_eq!(judge(&ended(0, "a b"), Expect::Shows("b")), Ok(()));
        assert_eq!(judge(&ended(1, "a b"), Expect::Finds("b")), Ok(()));
        assert_eq!(judge(&ended(7, ""), Expect::Failure), Ok(()));
        assert!(judge(&ended(0, "a"), Expect::Shows("b")).is_err());
        assert!(judge(&ended(2, "b"), Expect::Finds("b")).is_err());
        assert!(judge(&ended(0, ""), Expect::Failure).is_err());
        assert!(judge(&ended(1, ""), Expect::Exit(0)).is_err());
    }

    #[test]
    fn every_comparison_follows_a_listing_of_the_same_host() {
        let mut remembered = None;
        for step in STEPS {
            match step {
                Step::Remember(side) => remembered = Some(side),
                Step::Same(side, _) => assert_eq!(remembered, Some(side)),
                Step::Chapter(_) | Step::Say(_) | Step::Type(..) | Step::Carry(_) => {}
            }
        }
    }
}
