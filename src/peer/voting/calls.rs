//! Calls of voters over the connections between hosts. Upholds: a voter hears only voters of its own epoch; a
//! call is bounded before memory is taken.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::timeout;

use super::super::endpoint::Link;
use super::super::frames::{FrameError, Incoming};
use super::super::messages::{Answer, MAX_CALL_BYTES, Refused, Request, VoterCall};
use super::super::serve::ask_with;
use super::super::this_host::Shared;
use super::own_voter;
use crate::model::PublicKey;
use crate::quorum::{CallError, CallKind, Carrier, Epoch};

/// How long the bytes of a call or an answer may be under way.
const PATIENCE: Duration = Duration::from_secs(10);

/// Carries the calls of the voter here.
#[derive(Debug)]
pub struct Roads {
    /// The voter lives in it.
    pub shared: Weak<Shared>,
    /// The epoch of the voter.
    pub epoch: Epoch,
}

impl Carrier for Roads {
    fn carry(
        &self,
        to: PublicKey,
        kind: CallKind,
        body: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, CallError>> + Send + '_>> {
        Box::pin(async move {
            let shared = self.shared.upgrade().ok_or(CallError::Unreachable)?;
            let link = shared.link_to(&to).ok_or(CallError::Unreachable)?;
            let broken = |e: FrameError| CallError::Broken(io::Error::other(e));
            let request = Request::Call(VoterCall {
                epoch: self.epoch,
                kind,
                length: body.len() as u64,
            });
            let (answer, mut incoming) = ask_with(&link, &request, &body).await.map_err(broken)?;
            let length = match answer {
                Answer::Called(length) if length <= MAX_CALL_BYTES => length,
                Answer::Refused(why) => return Err(CallError::Broken(io::Error::other(why))),
                _ => return Err(CallError::Unreachable),
            };
            body_of(&mut incoming, length).await.map_err(broken)
        })
    }
}

/// Reads so many bytes, which were bounded before.
async fn body_of(incoming: &mut Incoming, length: u64) -> Result<Vec<u8>, FrameError> {
    let read = timeout(PATIENCE, incoming.bytes(length)).await;
    read.map_err(|_| FrameError::Late)?
}

/// Answers the call of another host.
pub async fn answer(
    shared: &Arc<Shared>,
    link: &Link,
    call: VoterCall,
    incoming: &mut Incoming,
) -> Result<Result<Vec<u8>, Refused>, FrameError> {
    if call.length > MAX_CALL_BYTES {
        return Ok(Err(Refused::Nonsense));
    }
    let Some(voter) = own_voter::voter_for(shared, link, call.epoch).await else {
        return Ok(Err(Refused::Later));
    };
    // One at a time is in memory, whoever calls.
    let Ok(_place) = shared.calls.acquire().await else {
        return Ok(Err(Refused::Later));
    };
    let body = body_of(incoming, call.length).await?;
    let answered = voter.answer(&link.peer, call.kind, &body).await;
    Ok(answered.ok_or(Refused::Nonsense))
}
