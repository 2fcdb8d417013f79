//! The UDP port of this host, dialling and being dialled. Upholds: a connection is given out only after
//! both ends proved that they belong to the domain; whoever does not gets no word of ours beyond
//! TLS, and can hold no more than a place among those who have not yet.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrLike, bind, setsockopt,
    socket, sockopt,
};
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, EndpointConfig, Incoming, ServerConfig,
    TokioRuntime, TransportConfig, TransportErrorCode, VarInt,
};
use rustls::pki_types::CertificateDer;

use super::proof::{Claim, EXPORTER_BYTES, EXPORTER_LABEL, Proof, Role};
use super::question;
use super::tls::{TlsConfigs, TlsError, key_of};
use crate::identity::{Authentication, CODE_BYTES, HmacKeys, HostKey};
use crate::model::{DomainName, PublicKey};

/// After so long without a word a connection is taken for broken: a dead provider is replaced soon, and a
/// busy host is not taken for a dead one.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(8);

/// How often a word is said on a connection on which nothing else is: thrice in the above.
const KEEP_ALIVE: Duration = Duration::from_millis(2500);

/// How long greeting a host may take, from the first packet to the proof.
pub const GREETING: Duration = Duration::from_secs(5);

/// How many requests of one host are served at once.
const MAX_STREAMS: u32 = 32;

/// How many hosts that have proved nothing yet are listened to at once.
pub const MAX_STRANGERS: usize = 64;

/// How much of one stream and of one connection may be under way, in bytes: a gigabit at 20 ms.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// The wanted room of the socket for packets that were not read yet, in bytes.
const SOCKET_BUFFER: usize = 4 << 20;

/// Why a connection was closed, in numbers that only isconf understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCode {
    /// This host stops.
    Stopping = 0,
    /// The proof was none.
    NotOfTheDomain = 1,
    /// There are enough connections.
    Enough = 2,
    /// It is this host itself.
    Myself = 3,
    /// It said what cannot be.
    Nonsense = 4,
}

impl From<CloseCode> for VarInt {
    fn from(code: CloseCode) -> Self {
        Self::from_u32(code as u32)
    }
}

/// Why this host cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody has the port.
    #[error("UDP port {port} is in use by another program")]
    InUse {
        /// Which.
        port: u16,
    },
    /// The socket cannot be made.
    #[error("cannot listen on UDP port {port}")]
    Socket {
        /// Which.
        port: u16,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Why a host is no peer.
#[derive(Debug, thiserror::Error)]
pub enum MeetError {
    /// No connection came about.
    #[error("{}", close_words(.0))]
    Connection(ConnectionError),
    /// It speaks another version of the protocol.
    #[error("it speaks another version of isconf's protocol")]
    Version,
    /// The address cannot be dialled.
    #[error("cannot dial the address")]
    Dial(#[from] quinn::ConnectError),
    /// It did not say in time who it is.
    #[error("it did not answer in time")]
    Late,
    /// It has no key of ours, or belongs to another domain.
    #[error("it has none of this domain's keys, or is in another domain")]
    Stranger,
    /// This host has no keys.
    #[error("this host has no keys")]
    NoKeys,
    /// It is this host.
    #[error(
        "it is this host itself, or a clone of it: a clone has to have a key of its own (remove its \
         conf/host.key and restart its daemon)"
    )]
    Myself,
    /// It asked for the domain's name, with a key of the domain, and went.
    #[error("it asked for the name of the domain")]
    Asked,
    /// It broke the rules of the greeting.
    #[error("it did not greet as isconf does")]
    NoGreeting,
}

impl From<ConnectionError> for MeetError {
    fn from(error: ConnectionError) -> Self {
        match &error {
            ConnectionError::ConnectionClosed(closed)
                if closed.error_code == TransportErrorCode::crypto(NO_APPLICATION_PROTOCOL) =>
            {
                Self::Version
            }
            ConnectionError::VersionMismatch => Self::Version,
            ConnectionError::TimedOut => Self::Late,
            _ => Self::Connection(error),
        }
    }
}

/// The alert of TLS when the two ends have no protocol in common (RFC 7301, section 3.2).
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// Why a connection ended; nothing of what the other end said of it.
pub fn close_words(reason: &ConnectionError) -> &'static str {
    match reason {
        ConnectionError::TimedOut => "it fell silent",
        ConnectionError::ApplicationClosed(_) => "it closed the connection",
        ConnectionError::LocallyClosed => "this host closed the connection",
        ConnectionError::Reset => "it began anew",
        ConnectionError::ConnectionClosed(_)
        | ConnectionError::TransportError(_)
        | ConnectionError::VersionMismatch
        | ConnectionError::CidsExhausted => "the connection failed",
    }
}

/// A connection whose other end belongs to the domain.
#[derive(Debug, Clone)]
pub struct Link {
    /// The other host.
    pub peer: PublicKey,
    connection: Connection,
    proof: Proof,
    codes: Codes,
}

/// What both ends sent.
#[derive(Debug, Clone, Copy)]
struct Codes {
    own: [u8; CODE_BYTES],
    other: [u8; CODE_BYTES],
}

impl Link {
    /// The connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Where the other end is.
    pub fn address(&self) -> SocketAddr {
        canonical(self.connection.remote_address())
    }

    /// Whether the connection lives.
    pub fn is_alive(&self) -> bool {
        self.connection.close_reason().is_none()
    }

    /// Whether both proofs are still some after the keys changed here.
    pub fn is_still_welcome(&self, keys: &HmacKeys) -> bool {
        self.proof.check(keys, &self.codes.other) != Authentication::Unknown
            && self.proof.is_own(keys, &self.codes.own)
    }

    /// Ends the connection.
    pub fn close(&self, code: CloseCode) {
        self.connection.close(code.into(), b"");
    }
}

/// What both ends of a greeting need.
#[derive(Debug, Clone)]
pub struct Member {
    /// This host.
    pub own: PublicKey,
    /// Its domain.
    pub domain: DomainName,
    /// The domain's keys as they are now.
    pub keys: Arc<RwLock<Arc<HmacKeys>>>,
}

impl Member {
    /// The keys as they are now.
    pub fn keys_now(&self) -> Arc<HmacKeys> {
        // Whoever panicked while replacing an Arc left one of the two there.
        let keys = self.keys.read().unwrap_or_else(|e| e.into_inner());
        Arc::clone(&keys)
    }
}

/// The port of this host.
#[derive(Debug, Clone)]
pub struct Port {
    endpoint: Endpoint,
    member: Member,
}

impl Port {
    /// Opens UDP port `port` on all addresses. Needs a tokio runtime.
    pub fn open(port: u16, key: &Arc<HostKey>, member: Member) -> Result<Self, BindError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse { port },
            _ => BindError::Socket { port, source },
        };
        let socket = udp_socket(port).map_err(failed)?;
        let tls = TlsConfigs::new(key)?;
        let transport = Arc::new(transport());
        let mut listener = ServerConfig::with_crypto(tls.listener);
        listener.transport_config(Arc::clone(&transport));
        // A host whose address changes dials anew, and proves anew who it is.
        listener.migration(false);
        listener.max_incoming(4 * MAX_STRANGERS);
        let mut dialler = ClientConfig::new(tls.dialler);
        dialler.transport_config(transport);
        let runtime = Arc::new(TokioRuntime);
        let mut endpoint =
            Endpoint::new(EndpointConfig::default(), Some(listener), socket, runtime)
                .map_err(failed)?;
        endpoint.set_default_client_config(dialler);
        Ok(Self { endpoint, member })
    }

    /// The next host that dials; `None` when the port is closed.
    pub async fn next(&self) -> Option<Incoming> {
        self.endpoint.accept().await
    }

    /// Greets a host that dialled.
    pub async fn greet(&self, incoming: Incoming) -> Result<Link, MeetError> {
        let greeting = async {
            let connection = incoming.accept()?.await?;
            self.prove(connection, Role::Listener).await
        };
        tokio::time::timeout(GREETING, greeting)
            .await
            .map_err(|_| MeetError::Late)?
    }

    /// Dials an address.
    pub async fn dial(&self, address: SocketAddr) -> Result<Link, MeetError> {
        let greeting = async {
            let connection = self.endpoint.connect(address, "isconf")?.await?;
            self.prove(connection, Role::Dialler).await
        };
        tokio::time::timeout(GREETING, greeting)
            .await
            .map_err(|_| MeetError::Late)?
    }

    /// Closes the port; waits a moment so that the others hear of it.
    pub async fn close(&self) {
        self.endpoint.close(CloseCode::Stopping.into(), b"");
        let patience = Duration::from_millis(200);
        // Those who do not hear of it find out by themselves.
        let _all_heard = tokio::time::timeout(patience, self.endpoint.wait_idle()).await;
    }

    /// Exchanges the proofs: the dialler's first.
    async fn prove(&self, connection: Connection, role: Role) -> Result<Link, MeetError> {
        match self.proven(&connection, role).await {
            Ok((proof, codes)) => Ok(Link {
                peer: proof.other,
                connection,
                proof,
                codes,
            }),
            Err(error) => {
                let code = match error {
                    MeetError::Myself => CloseCode::Myself,
                    _ => CloseCode::NotOfTheDomain,
                };
                connection.close(code.into(), b"");
                Err(error)
            }
        }
    }

    async fn proven(
        &self,
        connection: &Connection,
        role: Role,
    ) -> Result<(Proof, Codes), MeetError> {
        let claim = Claim::Member(self.member.domain.clone());
        let proof = proof_over(connection, role, self.member.own, claim)?;
        let keys = self.member.keys_now();
        let own = proof.code(&keys).ok_or(MeetError::NoKeys)?;
        let mut code = [0; CODE_BYTES];
        let check = |code: &[u8]| match proof.check(&keys, code) {
            Authentication::Known | Authentication::AnyAccepted => Ok(()),
            Authentication::Unknown => Err(MeetError::Stranger),
        };
        match role {
            Role::Dialler => {
                let (mut send, mut receive) = connection.open_bi().await?;
                send.write_all(&own)
                    .await
                    .map_err(|_| refused(connection))?;
                let read = receive.read_exact(&mut code).await;
                read.map_err(|_| refused(connection))?;
                check(&code)?;
            }
            Role::Listener => {
                let (mut send, mut receive) = connection.accept_bi().await?;
                let read = receive.read_exact(&mut code).await;
                read.map_err(|_| refused(connection))?;
                if question::is_one(&proof, &keys, &code) {
                    question::answer(connection, &mut send, &proof, &keys).await?;
                    return Err(MeetError::Asked);
                }
                check(&code)?;
                send.write_all(&own)
                    .await
                    .map_err(|_| refused(connection))?;
            }
        }
        Ok((proof, Codes { own, other: code }))
    }
}

/// What the proofs of a connection are over.
pub fn proof_over(
    connection: &Connection,
    role: Role,
    own: PublicKey,
    claim: Claim,
) -> Result<Proof, MeetError> {
    let other = identity_of(connection).ok_or(MeetError::NoGreeting)?;
    if other == own {
        return Err(MeetError::Myself);
    }
    let mut exported = [0; EXPORTER_BYTES];
    connection
        .export_keying_material(&mut exported, EXPORTER_LABEL, b"")
        .map_err(|_| MeetError::NoGreeting)?;
    Ok(Proof {
        role,
        exported,
        own,
        other,
        claim,
    })
}

/// Why a greeting was cut off: the other end may have said so.
pub fn refused(connection: &Connection) -> MeetError {
    match connection.close_reason() {
        Some(ConnectionError::ApplicationClosed(closed))
            if closed.error_code == VarInt::from(CloseCode::NotOfTheDomain) =>
        {
            MeetError::Stranger
        }
        Some(reason) => reason.into(),
        None => MeetError::NoGreeting,
    }
}

/// The key that TLS proved.
fn identity_of(connection: &Connection) -> Option<PublicKey> {
    let shown = connection.peer_identity()?;
    let shown = shown.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    key_of(shown.first()?)
}

/// IPv4 addresses as such, also where an IPv6 socket shows them otherwise.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

pub fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(IDLE_TIMEOUT.try_into().ok())
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_concurrent_bidi_streams(VarInt::from_u32(MAX_STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        .send_window(u64::from(CONNECTION_WINDOW));
    transport
}

/// A socket for IPv6 and IPv4; for IPv4 alone where the kernel has no IPv6.
fn udp_socket(port: u16) -> io::Result<UdpSocket> {
    let any = SockaddrIn6::from(std::net::SocketAddrV6::new(
        Ipv6Addr::UNSPECIFIED,
        port,
        0,
        0,
    ));
    match bound(AddressFamily::Inet6, &any) {
        Ok(socket) => Ok(socket),
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => Err(e),
        Err(_no_ipv6) => bound(AddressFamily::Inet, &SockaddrIn::new(0, 0, 0, 0, port)),
    }
}

fn bound(family: AddressFamily, address: &dyn SockaddrLike) -> io::Result<UdpSocket> {
    use std::os::fd::AsRawFd;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket: OwnedFd = socket(family, SockType::Datagram, flags, None)?;
    if family == AddressFamily::Inet6 {
        setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
    }
    // As much as the machine allows; less only means slower.
    let _less_is_slower = setsockopt(&socket, sockopt::RcvBuf, &SOCKET_BUFFER);
    let _less_is_slower = setsockopt(&socket, sockopt::SndBuf, &SOCKET_BUFFER);
    bind(socket.as_raw_fd(), address)?;
    Ok(UdpSocket::from(socket))
}
