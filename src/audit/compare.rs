//! Compares the expected state with the live filesystem, path by path. Reads only. Upholds: what
//! cannot be read is said, and never taken for clean.

use std::path::{Path, PathBuf};

use isconf_sandbox::change::{Content, Kind, Node, RelPath, Timestamp};
use nix::errno::Errno;

use super::expected::{Expected, ExpectedState};
use super::judge::judge;
use super::known::Known;
use super::live::{Live, fingerprint};
use crate::model::drift::{Audit, Drift, Unreadable};
use crate::model::progress::{Progress, Unit};

/// What is to be audited, and how.
#[derive(Clone, Copy)]
pub struct AuditRequest<'a> {
    /// The live root.
    pub root: &'a Path,
    /// Only paths at or below these; empty for all.
    pub limit: &'a [RelPath],
    /// Whether other times of modification are drift.
    pub times: bool,
    /// Whether everything is read, whatever earlier audits found.
    pub thorough: bool,
    /// Which paths are left out.
    pub is_ignored: &'a dyn Fn(&RelPath) -> bool,
    /// The time now.
    pub now: Timestamp,
}

/// Why an audit could not begin.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The root could not be opened.
    #[error("{root}: cannot open the root of the audit")]
    Root {
        /// Where.
        root: PathBuf,
        /// Why.
        #[source]
        source: Errno,
    },
}

/// How one path turned out.
enum Finding {
    Clean,
    Unchanged,
    Drifted(Box<Drift>),
}

/// Audits every expected path. `known` is used and brought up to date; the caller keeps it, and sets
/// the duration of the result.
pub fn audit(
    expected: &ExpectedState,
    known: &mut Known,
    request: &AuditRequest<'_>,
    progress: &mut dyn Progress,
) -> Result<Audit, AuditError> {
    let live = Live::open(request.root).map_err(|source| AuditError::Root {
        root: request.root.to_owned(),
        source,
    })?;
    let mut auditor = Auditor {
        live,
        known,
        request,
        progress,
        done: 0,
        result: Audit::default(),
    };
    let wanted = expected.iter();
    let wanted = wanted.filter(|(path, _)| is_wanted(path, request.limit));
    let total = wanted.clone().count() as u64;
    auditor
        .progress
        .begin("comparing", Unit::Paths, Some(total));
    for (path, expectation) in wanted {
        if (request.is_ignored)(path) {
            auditor.result.ignored += 1;
            continue;
        }
        auditor.audit_path(path, expectation);
        auditor.done += 1;
        auditor.progress.done(auditor.done);
    }
    auditor.progress.end();
    let result = auditor.result;
    known.retain(|path| expected.get(path).is_some());
    Ok(result)
}

fn is_wanted(path: &RelPath, limit: &[RelPath]) -> bool {
    limit.is_empty() || limit.iter().any(|above| path.starts_with(above))
}

struct Auditor<'a> {
    live: Live,
    known: &'a mut Known,
    request: &'a AuditRequest<'a>,
    progress: &'a mut dyn Progress,
    /// How many paths were compared.
    done: u64,
    result: Audit,
}

impl Auditor<'_> {
    fn audit_path(&mut self, path: &RelPath, expected: Expected<'_>) {
        self.result.checked += 1;
        match self.compare(path, expected) {
            Ok(Finding::Clean) => {}
            Ok(Finding::Unchanged) => self.result.unchanged += 1,
            Ok(Finding::Drifted(drift)) => {
                self.known.forget(path);
                self.result.drifts.push(*drift);
            }
            Err(errno) => {
                self.known.forget(path);
                self.result.unreadable.push(Unreadable {
                    path: path.clone(),
                    errno: errno as i32,
                });
            }
        }
    }

    fn compare(&mut self, path: &RelPath, expected: Expected<'_>) -> Result<Finding, Errno> {
        let Some(stat) = self.live.look(path)? else {
            return Ok(self.judged(path, expected, None));
        };
        let fingerprint = fingerprint(&stat);
        let Some(node) = expected.node else {
            let found = self.live.read(path, &stat, None, &mut |_| {})?;
            return Ok(self.judged(path, expected, Some(found)));
        };
        let same_time = !self.request.times || node.meta.mtime == fingerprint.mtime;
        if !self.request.thorough
            && same_time
            && self.known.is_as_expected(path, &fingerprint, node)
        {
            return Ok(Finding::Unchanged);
        }
        // A file of many GB is one path: the line stays alive, and so does Ctrl-C.
        let mut tell = |_| self.progress.done(self.done);
        let found = self.live.read(path, &stat, size_to_read(node), &mut tell)?;
        if is_read(&found) {
            self.result.hashed += 1;
        }
        let finding = self.judged(path, expected, Some(found));
        if matches!(finding, Finding::Clean) {
            self.known
                .remember(path, fingerprint, node, self.request.now);
        }
        Ok(finding)
    }

    fn judged(&self, path: &RelPath, expected: Expected<'_>, found: Option<Node>) -> Finding {
        match judge(expected.node, found.as_ref(), self.request.times) {
            None => Finding::Clean,
            Some(judgement) => Finding::Drifted(Box::new(Drift {
                path: path.clone(),
                kind: judgement.kind,
                fields: judgement.fields,
                expected: expected.node.cloned(),
                found,
                writer: expected.writer.clone(),
            })),
        }
    }
}

/// The size at which the content has to be read to be compared; `None` when it is not compared.
fn size_to_read(expected: &Node) -> Option<u64> {
    match expected.kind {
        Kind::File {
            size,
            content: Content::Read(_),
            ..
        } => Some(size),
        _ => None,
    }
}

fn is_read(node: &Node) -> bool {
    matches!(
        node.kind,
        Kind::File {
            content: Content::Read(_),
            ..
        }
    )
}

#[cfg(test)]
mod tests;
