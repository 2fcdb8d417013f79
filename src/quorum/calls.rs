//! How voters call each other. Not for what carries the calls. Upholds: a call that does not arrive is one
//! more try later, nothing else.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use openraft::error::{
    InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, Unreachable,
};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::kinds::{Kinds, Seat, VoterId};
use crate::model::PublicKey;

/// What a voter asks another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallKind {
    /// To append to its log.
    Append,
    /// For its vote.
    Vote,
}

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no connection, and none is needed to know it.
    #[error("it cannot be reached")]
    Unreachable,
    /// Something went wrong on the way.
    #[error("the call broke off")]
    Broken(#[source] io::Error),
}

/// What carries calls to other voters.
pub trait Carrier: fmt::Debug + Send + Sync + 'static {
    /// Carries a call; its answer.
    fn carry(
        &self,
        to: PublicKey,
        kind: CallKind,
        body: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, CallError>> + Send + '_>>;
}

/// Makes lines to voters.
#[derive(Debug, Clone)]
pub struct Lines(pub Arc<dyn Carrier>);

/// The line to one voter.
#[derive(Debug)]
pub struct Line {
    carrier: Arc<dyn Carrier>,
    to: VoterId,
}

impl RaftNetworkFactory<Kinds> for Lines {
    type Network = Line;

    async fn new_client(&mut self, to: VoterId, _seat: &Seat) -> Line {
        Line {
            carrier: Arc::clone(&self.0),
            to,
        }
    }
}

type Failed<E> = RPCError<VoterId, Seat, RaftError<VoterId, E>>;

impl Line {
    async fn call<Q: Serialize, A, E>(&self, kind: CallKind, request: Q) -> Result<A, Failed<E>>
    where
        A: DeserializeOwned,
        E: std::error::Error + DeserializeOwned,
    {
        let network = |e: &(dyn std::error::Error + 'static)| {
            RPCError::Network(NetworkError::new(&io::Error::other(e.to_string())))
        };
        let body = serde_json::to_vec(&request).map_err(|e| network(&e))?;
        let carried = self.carrier.carry(self.to.0, kind, body).await;
        let answer = carried.map_err(|error| match error {
            CallError::Unreachable => RPCError::Unreachable(Unreachable::new(&error)),
            CallError::Broken(_) => network(&error),
        })?;
        let answer: Result<A, RaftError<VoterId, E>> =
            serde_json::from_slice(&answer).map_err(|e| network(&e))?;
        answer.map_err(|e| RPCError::RemoteError(RemoteError::new(self.to, e)))
    }
}

impl RaftNetwork<Kinds> for Line {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Kinds>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<VoterId>, Failed<openraft::error::Infallible>> {
        self.call(CallKind::Append, rpc).await
    }

    async fn install_snapshot(
        &mut self,
        _rpc: InstallSnapshotRequest<Kinds>,
        _option: RPCOption,
    ) -> Result<InstallSnapshotResponse<VoterId>, Failed<InstallSnapshotError>> {
        // Logs are kept whole (see `Voter::open`), so that nobody ever needs one.
        Err(RPCError::Unreachable(Unreachable::new(
            &CallError::Unreachable,
        )))
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<VoterId>,
        _option: RPCOption,
    ) -> Result<VoteResponse<VoterId>, Failed<openraft::error::Infallible>> {
        self.call(CallKind::Vote, rpc).await
    }
}
