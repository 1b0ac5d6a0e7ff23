//! Whether a server is who it should be. Whatever is verified, the server must have the key of what it shows.

use std::{fmt, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{
        WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key,
    },
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::ParsedCertificate,
};
use x509_parser::prelude::{ASN1Time, FromDer as _, X509Certificate, X509Version};

/// What of a server's certificate is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    Nothing,
    Chain,
    ChainAndName,
}

/// What is wrong with a certificate, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Complaint(String);

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Complaint {}

impl From<Complaint> for Error {
    fn from(complaint: Complaint) -> Self {
        CertificateError::Other(OtherError(Arc::new(complaint))).into()
    }
}

/// Verifies the certificates of one server.
#[derive(Debug)]
pub(super) struct Verifier {
    check: Check,
    roots: RootCertStore,
    /// Trusted by themselves, whoever signed them.
    pinned: Vec<CertificateDer<'static>>,
    /// Where the CAs are, in words.
    source: String,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// `ca_file` is where `roots` are from, or none when they are the system's.
    pub(super) fn new(
        check: Check,
        roots: RootCertStore,
        pinned: Vec<CertificateDer<'static>>,
        ca_file: Option<String>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        let source = match ca_file {
            Some(path) => format!("a CA in `{path}`: write its CA into `ca_file`"),
            None => "one of the system's roots: write its CA's file as `ca_file`".to_owned(),
        };
        Self { check, roots, pinned, source, algorithms }
    }

    fn check_chain(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Complaint> {
        let parsed = parse(certificate)?;
        if self.pinned.contains(certificate) {
            return check_validity(&parsed, now);
        }
        if parsed.version() == X509Version::V1 {
            return Err(Complaint(
                "its certificate is of X.509 version 1, which cannot be verified: issue it one of version 3, or write \
                 this very certificate into `ca_file`"
                    .to_owned(),
            ));
        }
        if parsed.is_ca() {
            return Err(Complaint(format!(
                "its certificate `{}` is a CA's own or signed by itself, and is not in `ca_file`: write it there",
                parsed.subject()
            )));
        }
        check_validity(&parsed, now)?;
        let end_entity = ParsedCertificate::try_from(certificate).map_err(|error| other(&error))?;
        let verified = verify_server_cert_signed_by_trust_anchor(
            &end_entity,
            &self.roots,
            intermediates,
            now,
            self.algorithms.all,
        );
        verified.map_err(|error| match error {
            // A bad signature: a CA of that name is there, but it is another one.
            Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
                Complaint(format!(
                    "its certificate `{}`, issued by `{}`, is not signed by {}",
                    parsed.subject(),
                    parsed.issuer(),
                    self.source
                ))
            }
            error => other(&error),
        })
    }
}

fn parse<'c>(certificate: &'c CertificateDer<'_>) -> Result<X509Certificate<'c>, Complaint> {
    let parsed = X509Certificate::from_der(certificate).map(|(_, parsed)| parsed);
    parsed.map_err(|error| Complaint(format!("its certificate cannot be read: {error}")))
}

fn check_validity(parsed: &X509Certificate<'_>, now: UnixTime) -> Result<(), Complaint> {
    let validity = parsed.validity();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let day = |at: ASN1Time| {
        jiff::Timestamp::from_second(at.timestamp()).map_or_else(|_| at.to_string(), |at| at.to_string())
    };
    if now > validity.not_after.timestamp() {
        return Err(Complaint(format!("its certificate is expired since {}", day(validity.not_after))));
    }
    if now < validity.not_before.timestamp() {
        let from = day(validity.not_before);
        return Err(Complaint(format!("its certificate is valid from {from} on only: is this host's clock right?")));
    }
    Ok(())
}

fn check_name(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Complaint> {
    let parsed = ParsedCertificate::try_from(certificate).map_err(|error| other(&error))?;
    verify_server_name(&parsed, name).map_err(|error| {
        let shown = name.to_str();
        let names = names(certificate);
        match error {
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) if names.is_empty() => Complaint(format!(
                "its certificate has no names (subject alternative names), so that it is not for `{shown}`: issue it \
                 one that has, or write `tls = \"verify-ca\"`"
            )),
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => Complaint(format!(
                "its certificate is for {}, not for `{shown}`: write the right name first in `hosts`, or issue it a \
                 certificate for this one",
                names.join(", ")
            )),
            error => other(&error),
        }
    })
}

/// The subject alternative names that rustls verifies.
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    use x509_parser::extensions::GeneralName;
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(extension)) = parsed.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(format!("`{name}`")),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| format!("`{address}`")),
        _ => None,
    };
    extension.value.general_names.iter().filter_map(name).collect()
}

fn address(bytes: &[u8]) -> Option<std::net::IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).ok().map(Into::into);
    v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(Into::into))
}

fn other(error: &Error) -> Complaint {
    Complaint(format!("its certificate cannot be verified: {error}"))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.check {
            Check::Nothing => {}
            Check::Chain => self.check_chain(end_entity, intermediates, now)?,
            Check::ChainAndName => {
                self.check_chain(end_entity, intermediates, now)?;
                check_name(end_entity, server_name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match version_1_key(certificate) {
            None => verify_tls12_signature(message, certificate, signed, &self.algorithms),
            Some(key) => {
                let algorithms = self.algorithms.mapping.iter().filter(|(scheme, _)| *scheme == signed.scheme);
                // An algorithm for another kind of key cannot read this one.
                let valid = algorithms
                    .flat_map(|(_, algorithms)| *algorithms)
                    .any(|algorithm| algorithm.verify_signature(&key.bits, message, signed.signature()).is_ok());
                if valid {
                    Ok(HandshakeSignatureValid::assertion())
                } else {
                    Err(CertificateError::BadSignature.into())
                }
            }
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match version_1_key(certificate) {
            None => verify_tls13_signature(message, certificate, signed, &self.algorithms),
            Some(key) => {
                let key = SubjectPublicKeyInfoDer::from(key.whole);
                verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
            }
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// A public key as it stands in a certificate.
struct PublicKey {
    bits: Vec<u8>,
    whole: Vec<u8>,
}

/// The key of a certificate of X.509 version 1, which webpki does not read: `openssl x509 -req` without extensions makes
/// them, and MariaDB's own instructions do so. They are good enough where nothing but the key is asked for.
fn version_1_key(certificate: &CertificateDer<'_>) -> Option<PublicKey> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let key = parsed.public_key();
    (parsed.version() == X509Version::V1)
        .then(|| PublicKey { bits: key.subject_public_key.data.to_vec(), whole: key.raw.to_vec() })
}
