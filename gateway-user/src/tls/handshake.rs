//! How a handshake ended, in words: facts for the recording, causes for the operator.

use std::{fmt, io, time::Duration};

use rustls::{AlertDescription, CertificateError, CommonState, ProtocolVersion, pki_types::CertificateDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config;

/// How long a handshake may take; a server's own `connect_timeout` is 10 s as well.
pub(crate) const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Why there is no TLS with a peer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// A server's first word inside TLS is its own: whatever came before it was put there by somebody else.
    #[error("it sent {0} bytes in clear text before TLS began")]
    ClearText(usize),
    #[error("no handshake within {} s", HANDSHAKE_MAX.as_secs())]
    Late,
    /// The peer says no, or it is said no to.
    #[error("{0}")]
    Failed(String),
}

/// What was agreed on, on one leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// `TLSv1.2` or `TLSv1.3`, as servers write it in `Ssl_version`.
    pub(crate) version: &'static str,
    /// IANA's name, as servers write it in `Ssl_cipher` for TLS 1.3.
    pub(crate) cipher_suite: String,
    /// What the client called the server (SNI), or the name that a server was asked for.
    pub(crate) name: Option<String>,
    /// The server; clients are not asked for a certificate.
    pub(crate) peer: Option<Peer>,
}

/// A server as its certificate has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) subject: String,
    /// How much of it was verified.
    pub(crate) verification: config::Tls,
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.version, self.cipher_suite)?;
        if let Some(name) = &self.name {
            write!(f, ", name `{name}`")?;
        }
        if let Some(peer) = &self.peer {
            write!(f, ", {} of `{}`", peer.verification.word(), peer.subject)?;
        }
        Ok(())
    }
}

/// The facts of a client's leg.
pub(crate) fn facts_of_client(connection: &rustls::ServerConnection) -> Facts {
    Facts { name: connection.server_name().map(str::to_owned), ..facts(connection) }
}

/// The facts of a server's leg.
pub(crate) fn facts_of_server(connection: &CommonState, name: String, verification: config::Tls) -> Facts {
    let certificate = connection.peer_certificates().and_then(<[_]>::first);
    let subject = certificate.map_or_else(String::new, subject);
    Facts { name: Some(name), peer: Some(Peer { subject, verification }), ..facts(connection) }
}

fn facts(connection: &CommonState) -> Facts {
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "unknown",
    };
    let suite = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("unknown");
    // rustls keeps the two kinds apart by their prefix, IANA has one.
    let cipher_suite = suite.replacen("TLS13_", "TLS_", 1);
    Facts { version, cipher_suite, name: None, peer: None }
}

fn subject(certificate: &CertificateDer<'_>) -> String {
    X509Certificate::from_der(certificate).map_or_else(|_| String::new(), |(_, parsed)| parsed.subject().to_string())
}

/// What rustls found, if it was rustls.
pub(super) fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Why a client's handshake failed.
pub(crate) fn client_failure(error: &io::Error) -> HandshakeError {
    const TRUST: &str = "it needs the CA that `portreeve ca` prints";
    HandshakeError::Failed(match tls_error(error) {
        Some(rustls::Error::AlertReceived(alert)) if is_distrust(*alert) => {
            format!("it does not trust the gateway's certificate ({alert:?}): {TRUST}")
        }
        Some(rustls::Error::AlertReceived(alert)) => format!("it refused the handshake ({alert:?})"),
        Some(other) => other.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            format!("it left during the handshake; if it does not trust the gateway's certificate, {TRUST}")
        }
        None => error.to_string(),
    })
}

fn is_distrust(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::AccessDenied
    )
}

/// Why a server's handshake failed.
pub(super) fn server_failure(error: &io::Error) -> HandshakeError {
    HandshakeError::Failed(match tls_error(error) {
        // The verifier's own words.
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(complaint))) => complaint.to_string(),
        Some(rustls::Error::AlertReceived(AlertDescription::CertificateRequired)) => {
            "it asks for a certificate: write `client_cert_file` and `client_key_file`".to_owned()
        }
        Some(rustls::Error::AlertReceived(alert)) => format!("it refused the handshake ({alert:?})"),
        Some(other) => other.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "it left during the handshake".to_owned(),
        None => error.to_string(),
    })
}
