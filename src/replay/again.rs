//! `exec --check-repeatable`: runs an entry once more, on a disguised host and at another second, and
//! compares. Not for what the differences mean (`hazards::repeat`). Upholds: what is committed is
//! the first run; of the second nothing stays.

use std::time::Duration;

use isconf_sandbox::change::NormalRules;
use nix::time::{ClockId, clock_gettime};

use super::commit::{MakeRealError, discard};
use super::contents::Contents;
use super::disguise::other_host;
use super::lint::Looked;
use super::trial::{Afterwards, Bench, TrialError, attempt, prepare_disguised};
use super::work::{Input, Output, Streams, Work};
use super::written::{Reading, Written};
use crate::hazards::Window;
use crate::hazards::repeat::{Run, compare};
use crate::model::report::Verdict;
use crate::model::{Hazard, Home};

/// How often an entry is run before it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Once.
    No,
    /// A second time, to see what differs.
    Check,
}

/// Why the second run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AgainError {
    /// The entry could not be tried again.
    #[error("the second run, for the comparison")]
    Trial(#[from] TrialError),
    /// Its scratchpad could not be dropped.
    #[error(transparent)]
    Discard(#[from] MakeRealError),
}

/// What came of the second run.
pub(super) enum Second {
    /// What differs.
    Compared(Vec<Hazard>),
    /// Somebody told isconf to stop, by this signal.
    Interrupted(i32),
}

/// Runs the work again and compares. Its output was seen already, and goes nowhere.
pub(super) fn run_again(
    home: &Home,
    bench: Bench<'_>,
    work: &Work,
    first: Looked<'_>,
) -> Result<Second, AgainError> {
    let window = Window::of(first.rules.run);
    wait_for_another_second(&window);
    let (disguise, facts) = other_host();
    let pad = prepare_disguised(home, disguise)?;
    let streams = Streams {
        input: Input::Nothing,
        output: Output::Nowhere,
    };
    let bench = Bench {
        streams,
        keeps_contents: false,
        ..bench
    };
    let trial = attempt(bench, pad, Afterwards::End, work, &mut Contents::new())?;
    if let Verdict::Interrupted(signal) = trial.report.verdict {
        discard(trial.exited)?;
        return Ok(Second::Interrupted(signal));
    }
    let read = |layout, capture, rules: &NormalRules| {
        Written::read(layout, capture, &rules.ignore, Reading::New)
    };
    let contents = read(first.layout, first.capture, first.rules);
    let contents_again = read(trial.exited.layout(), &trial.capture, &trial.rules);
    let found = compare(
        &Run {
            ending: first.report.ending,
            changes: &first.capture.set,
            rules: first.rules,
            contents: &contents,
        },
        &Run {
            ending: trial.report.ending,
            changes: &trial.capture.set,
            rules: &trial.rules,
            contents: &contents_again,
        },
        &facts,
    );
    discard(trial.exited)?;
    Ok(Second::Compared(found))
}

/// Waits until the clock has left the last second of the first run: a time in whole seconds is then
/// another one. A clock that was set back is not waited for.
fn wait_for_another_second(window: &Window) {
    let Ok(now) = clock_gettime(ClockId::CLOCK_REALTIME) else {
        return;
    };
    let now = Duration::from(now);
    if now.as_secs().cast_signed() == window.last_second() {
        let rest = Duration::from_secs(1)
            .saturating_sub(Duration::from_nanos(u64::from(now.subsec_nanos())));
        std::thread::sleep(rest);
    }
}
