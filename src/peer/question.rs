//! Asking a host for the name of its domain, with nothing but an address and a key of it. Upholds: whoever has
//! none of the keys learns nothing; the name is believed only of a host that has one.
//!
//! ```text
//! asker                                   host
//!   code of a question         ─>
//!                              <─  code of an answer, length (1 byte), the domain's name
//! ```

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quinn::{ClientConfig, Connection, Endpoint, SendStream};
use tokio::time::timeout;

use super::dialling::addresses_of;
use super::endpoint::{GREETING, MeetError, proof_over, refused, transport};
use super::nets::{InvalidPlace, Place};
use super::proof::{Claim, Proof, Role};
use super::tls::{TlsConfigs, TlsError};
use crate::identity::{Authentication, CODE_BYTES, HmacKeys, HostKey};
use crate::model::DomainName;

/// How long the other end may take to hear the answer and go.
const GOING: Duration = Duration::from_secs(2);

/// Why the name is not known.
#[derive(Debug, thiserror::Error)]
pub enum QuestionError {
    /// Not an address.
    #[error(transparent)]
    Place(#[from] InvalidPlace),
    /// The name has no address.
    #[error("the name does not resolve")]
    Name(#[source] io::Error),
    /// The network cannot be used here.
    #[error("the network cannot be used")]
    Network(#[source] io::Error),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Nobody is there, or a stranger.
    #[error("{address}: {source}")]
    Meet {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: MeetError,
    },
}

/// Asks the host at `place` (with `port` where that names none) for its domain. Makes a runtime of its own.
pub fn domain_at(
    place: &str,
    port: u16,
    key: &Arc<HostKey>,
    keys: &HmacKeys,
) -> Result<DomainName, QuestionError> {
    let place = Place::parse(place, port)?;
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime
        .enable_all()
        .build()
        .map_err(QuestionError::Network)?;
    runtime.block_on(ask(&place, key, keys))
}

async fn ask(
    place: &Place,
    key: &Arc<HostKey>,
    keys: &HmacKeys,
) -> Result<DomainName, QuestionError> {
    let addresses = addresses_of(place).await.map_err(QuestionError::Name)?;
    let mut dialler = ClientConfig::new(TlsConfigs::new(key)?.dialler);
    dialler.transport_config(Arc::new(transport()));
    let mut failure = QuestionError::Name(io::ErrorKind::NotFound.into());
    for address in addresses {
        let any = match address {
            SocketAddr::V4(_) => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
            SocketAddr::V6(_) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0),
        };
        let mut endpoint = Endpoint::client(any).map_err(QuestionError::Network)?;
        endpoint.set_default_client_config(dialler.clone());
        let asked = timeout(GREETING, ask_at(&endpoint, address, key, keys)).await;
        match asked.unwrap_or(Err(MeetError::Late)) {
            Ok(domain) => return Ok(domain),
            Err(source) => failure = QuestionError::Meet { address, source },
        }
    }
    Err(failure)
}

async fn ask_at(
    endpoint: &Endpoint,
    address: SocketAddr,
    key: &HostKey,
    keys: &HmacKeys,
) -> Result<DomainName, MeetError> {
    let connection = endpoint.connect(address, "isconf")?.await?;
    let question = proof_over(&connection, Role::Dialler, key.public(), Claim::Question)?;
    let code = question.code(keys).ok_or(MeetError::NoKeys)?;
    let (mut send, mut receive) = connection.open_bi().await?;
    let sent = send.write_all(&code).await;
    sent.map_err(|_| refused(&connection))?;
    let (mut code, mut length) = ([0; CODE_BYTES], [0]);
    let read = receive.read_exact(&mut code).await;
    read.map_err(|_| refused(&connection))?;
    let read = receive.read_exact(&mut length).await;
    read.map_err(|_| refused(&connection))?;
    let mut name = vec![0; length[0].into()];
    let read = receive.read_exact(&mut name).await;
    read.map_err(|_| refused(&connection))?;
    let name = str::from_utf8(&name).map_err(|_| MeetError::NoGreeting)?;
    let domain = DomainName::new(name).map_err(|_| MeetError::NoGreeting)?;
    let answer = question.claiming(Claim::Answer(domain.clone()));
    match answer.check(keys, &code) {
        Authentication::Known => Ok(domain),
        // Whom anybody could be is not believed where to belong.
        Authentication::AnyAccepted | Authentication::Unknown => Err(MeetError::Stranger),
    }
}

/// Whether a code is a question of somebody with a key of ours.
pub fn is_one(proof: &Proof, keys: &HmacKeys, code: &[u8]) -> bool {
    let question = proof.claiming(Claim::Question);
    question.check(keys, code) == Authentication::Known
}

/// Answers, and waits a moment for the asker to go.
pub async fn answer(
    connection: &Connection,
    send: &mut SendStream,
    proof: &Proof,
    keys: &HmacKeys,
) -> Result<(), MeetError> {
    let Claim::Member(domain) = &proof.claim else {
        return Err(MeetError::NoGreeting);
    };
    let answer = proof.claiming(Claim::Answer(domain.clone()));
    let mut said = answer.code(keys).ok_or(MeetError::NoKeys)?.to_vec();
    let name = domain.as_str().as_bytes();
    // A name has at most 128 bytes.
    said.push(u8::try_from(name.len()).map_err(|_| MeetError::NoGreeting)?);
    said.extend(name);
    let sent = send.write_all(&said).await;
    sent.map_err(|_| refused(connection))?;
    let _already_gone = send.finish();
    let _gone_or_late = timeout(GOING, connection.closed()).await;
    Ok(())
}
