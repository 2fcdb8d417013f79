//! Answers notified starts of programs: most go on; for one that speaks with a service manager it is the
//! desk that decides. Not for the decision (see `services`). Upholds: one call is decided once, however
//! often a signal makes the caller begin it anew.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use nix::errno::Errno;

use super::caller::read_string;
use super::program_start::program_start;
use super::stand_in::{StandIns, Told};
use crate::services::{Answer, Desk, Response};
use crate::sys::seccomp::{Notification, Reply};

/// The starts of programs in one scratchpad.
#[derive(Debug)]
pub(super) struct Starts {
    stand_ins: StandIns,
    desk: Desk,
    /// The callers that were told and may call again, by their number.
    told: HashMap<i32, Told>,
    /// What was decided for a caller that was not there to be told, by its number.
    decided: HashMap<i32, Decided>,
}

/// A decision that did not reach its caller.
#[derive(Debug)]
struct Decided {
    /// The arguments of the call, which are those of the same call begun anew.
    arguments: [u64; 6],
    /// The path that it called with.
    path: Vec<u8>,
    /// What it is to start; `None`: it may not start that.
    answer: Option<Answer>,
}

impl Starts {
    /// For the scratchpad with this root directory.
    pub(super) fn new(root: OwnedFd, desk: Desk) -> Self {
        Self {
            stand_ins: StandIns::new(root),
            desk,
            told: HashMap::new(),
            decided: HashMap::new(),
        }
    }

    /// The desk.
    pub(super) fn desk(&mut self) -> &mut Desk {
        &mut self.desk
    }

    /// The desk, when no more programs start.
    pub(super) fn into_desk(self) -> Desk {
        self.desk
    }

    /// Decides about a call; `None` when its caller has been let go already.
    pub(super) fn answer(
        &mut self,
        call: &Notification,
        directory: Option<usize>,
        argument: usize,
    ) -> Option<Reply> {
        if let Some(told) = self.told.remove(&call.pid)
            && told.is_made_by(call)
        {
            let written = told.write_again(call);
            self.told.insert(call.pid, told);
            return Some(match written {
                Ok(()) => Reply::Continue,
                Err(_) => Reply::Fail(libc::EACCES),
            });
        }
        let path = || read_string(call.pid, call.arguments[argument]);
        let known = match self.decided.is_empty() {
            true => None,
            false => self
                .decided
                .remove(&call.pid)
                .filter(|decided| decided.arguments == call.arguments && decided.path == path()),
        };
        let waiting = self.desk.count();
        let answer = match known {
            Some(Decided { answer: None, .. }) => return Some(Reply::Fail(libc::EACCES)),
            Some(Decided {
                answer: Some(answer),
                ..
            }) => answer,
            None => {
                let root = self.stand_ins.root();
                let Some(start) = program_start(call, directory, argument, root) else {
                    return Some(Reply::Continue);
                };
                // Then the program runs, and finds whom it finds.
                if !self.stand_ins.can_run() {
                    return Some(Reply::Continue);
                }
                match self.desk.respond(&start) {
                    Response::Itself => return Some(Reply::Continue),
                    Response::Instead(answer) => answer,
                }
            }
        };
        match self.stand_ins.put(call, argument, &answer) {
            Ok(told) => {
                self.told.insert(call.pid, told);
                None
            }
            Err(Errno::EAGAIN) => Some(self.not_told(call, path(), Some(answer))),
            Err(_) => {
                self.desk.drop_beyond(waiting);
                Some(self.not_told(call, path(), None))
            }
        }
    }

    /// The caller could not be told: it calls again, or is refused.
    fn not_told(&mut self, call: &Notification, path: Vec<u8>, answer: Option<Answer>) -> Reply {
        let decided = Decided {
            arguments: call.arguments,
            path,
            answer,
        };
        self.decided.insert(call.pid, decided);
        // Where the call was interrupted there is nothing to answer any more, which is no error.
        Reply::Fail(libc::EACCES)
    }
}
