//! TLS by host keys. Upholds: the other end of a connection is the owner of the key that it shows, and
//! which key that is, is known; whether it is welcome is the domain proof's to say. No certificates,
//! no resumption and no early data, so that every connection begins with both keys and a new proof.

use std::fmt;
use std::sync::Arc;

use quinn::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    SignatureAlgorithm, SignatureScheme, version::TLS13,
};

use crate::identity::HostKey;
use crate::model::{Hex, PublicKey};

/// The name of the protocol of this version; hosts of another one do not understand each other.
pub const PROTOCOL: &[u8] = b"isconf/1";

/// What stands before an Ed25519 key in its SubjectPublicKeyInfo (RFC 8410, section 4).
const SPKI_START: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The library refuses the settings.
    #[error("TLS cannot be set up")]
    Settings(#[from] Error),
    /// The library lacks what QUIC begins with.
    #[error("TLS lacks what QUIC begins with")]
    Suite(#[from] NoInitialCipherSuite),
}

/// What a host shows when it is dialled, and when it dials.
pub struct TlsConfigs {
    /// When it is dialled.
    pub listener: Arc<QuicServerConfig>,
    /// When it dials.
    pub dialler: Arc<QuicClientConfig>,
}

impl TlsConfigs {
    /// Those of the host with `key`.
    pub fn new(key: &Arc<HostKey>) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let spki = spki_of(&key.public());
        let shown = CertifiedKey::new(
            vec![CertificateDer::from(spki.clone())],
            Arc::new(KeyOfHost {
                key: Arc::clone(key),
                spki,
            }),
        );
        let shown = Arc::new(shown);
        let any_host = Arc::new(AnyHost(Arc::clone(&provider)));
        let mut listener = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::clone(&any_host) as _)
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(
                Arc::clone(&shown),
            )));
        listener.alpn_protocols = vec![PROTOCOL.to_vec()];
        listener.session_storage = Arc::new(NoServerSessionStorage {});
        listener.send_tls13_tickets = 0;
        let mut dialler = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(any_host)
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(shown)));
        dialler.alpn_protocols = vec![PROTOCOL.to_vec()];
        dialler.resumption = Resumption::disabled();
        // There is no name to ask for: hosts are their keys.
        dialler.enable_sni = false;
        Ok(Self {
            listener: Arc::new(listener.try_into()?),
            dialler: Arc::new(dialler.try_into()?),
        })
    }
}

/// The key in a SubjectPublicKeyInfo, if it is one of Ed25519.
pub fn key_of(spki: &[u8]) -> Option<PublicKey> {
    let key = spki.strip_prefix(&SPKI_START)?;
    Some(Hex::from_bytes(key.try_into().ok()?))
}

fn spki_of(key: &PublicKey) -> Vec<u8> {
    [&SPKI_START, key.as_bytes().as_slice()].concat()
}

/// The host's key as TLS wants it: what is signed begins with 64 spaces and a sentence (RFC 8446, section
/// 4.4.3), so that it can be no digest of an entry.
struct KeyOfHost {
    key: Arc<HostKey>,
    spki: Vec<u8>,
}

impl fmt::Debug for KeyOfHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

impl SigningKey for KeyOfHost {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let is_offered = offered.contains(&SignatureScheme::ED25519);
        is_offered.then(|| Box::new(SignerOfHost(Arc::clone(&self.key))) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(self.spki.as_slice()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

#[derive(Debug)]
struct SignerOfHost(Arc<HostKey>);

impl Signer for SignerOfHost {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign_handshake(message).as_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// Takes any host whose key is one of Ed25519 and that owns it.
#[derive(Debug)]
struct AnyHost(Arc<CryptoProvider>);

impl AnyHost {
    fn check_key(
        end_entity: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Result<(), Error> {
        match key_of(end_entity) {
            Some(_) if others.is_empty() => Ok(()),
            Some(_) | None => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn check_owner(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let spki = SubjectPublicKeyInfoDer::from(key.as_ref());
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &spki, signed, algorithms)
    }
}

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Self::check_key(end_entity, intermediates)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_owner(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for AnyHost {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Self::check_key(end_entity, intermediates)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_owner(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
