//! What clients are shown.

use super::{
    super::{Authority, Certificates, VERSIONS, facts_of_client, provider},
    DAY, Folder, handshake,
};
use crate::limits::CERTIFICATES_MAX;
use rustls::{
    CertificateError, ClientConfig, Error, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

fn trusting(pem: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS).unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

fn names_shown(connection: &rustls::ClientConnection) -> Vec<String> {
    let certificate = &connection.peer_certificates().unwrap()[0];
    let (_, parsed) = X509Certificate::from_der(certificate).unwrap();
    let names = parsed.subject_alternative_name().unwrap().unwrap().value.general_names.iter();
    names
        .map(|name| match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            GeneralName::IPAddress(bytes) if bytes.len() == 4 => {
                IpAddr::from(<[u8; 4]>::try_from(*bytes).unwrap()).to_string()
            }
            GeneralName::IPAddress(bytes) => IpAddr::from(<[u8; 16]>::try_from(*bytes).unwrap()).to_string(),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_client_that_trusts_the_ca_verifies_every_name_of_its_destination() {
    let folder = Folder::new("shown");
    let authority = Authority::open(&folder.0, SystemTime::now()).unwrap();
    let pem = authority.describe().unwrap().pem;
    let certificates = Certificates::new(authority).unwrap();
    let check = |hosts: &[&str], destination: &str, asked: &str, shown: &[&str]| {
        let hosts: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
        let server = certificates.config_for(&hosts, destination.parse().unwrap());
        // A client of its own each time: one that comes again is not shown anything.
        let (client, server) = handshake(&trusting(&pem), asked, &server).unwrap();
        assert_eq!(names_shown(&client), shown);
        let facts = facts_of_client(&server);
        assert_eq!(facts.version, "TLSv1.3");
        assert!(facts.cipher_suite.starts_with("TLS_AES_"), "{facts}");
        // An address is not sent.
        assert_eq!(facts.name.as_deref(), asked.parse::<IpAddr>().err().map(|_| asked));
    };
    check(&[], "10.0.0.5", "10.0.0.5", &["10.0.0.5"]);
    check(&[], "10.0.0.5", "db.internal", &["10.0.0.5", "db.internal"]);
    check(&["db.example.org", "10.9.9.9"], "10.0.0.5", "db.example.org", &["10.0.0.5", "db.example.org", "10.9.9.9"]);
    check(&["db.example.org", "10.9.9.9"], "10.0.0.5", "10.9.9.9", &["10.0.0.5", "db.example.org", "10.9.9.9"]);
    check(&[], "127.7.7.7", "localhost", &["127.7.7.7", "localhost"]);
    check(&[], "::1", "::1", &["::1", "localhost"]);
    check(&[], "::ffff:10.0.0.5", "10.0.0.5", &["10.0.0.5", "::ffff:10.0.0.5"]);
    check(&[], "fd00::5", "fd00::5", &["fd00::5"]);

    let server = certificates.config_for(&[], "10.0.0.5".parse().unwrap());
    assert!(matches!(
        handshake(&trusting(&pem), "10.0.0.6", &server).unwrap_err(),
        Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })
    ));
    let stranger = trusting(&rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap().cert.pem());
    assert!(matches!(
        handshake(&stranger, "10.0.0.5", &server).unwrap_err(),
        Error::InvalidCertificate(CertificateError::UnknownIssuer)
    ));
}

#[test]
fn a_certificate_is_kept_until_half_of_its_life_is_over() {
    let folder = Folder::new("kept");
    let now = SystemTime::now();
    let certificates = Certificates::new(Authority::open(&folder.0, now).unwrap()).unwrap();
    let issue = |name: &str, after: Duration| certificates.issue_for(name, now + after).cert[0].clone();
    let first = issue("db", Duration::ZERO);
    assert_eq!(issue("db", 14 * DAY), first);
    assert_ne!(issue("db2", 14 * DAY), first);
    let second = issue("db", 16 * DAY);
    assert_ne!(second, first);
    let (_, parsed) = X509Certificate::from_der(&second).unwrap();
    let life = parsed.validity().not_after.timestamp() - parsed.validity().not_before.timestamp();
    assert_eq!(life, 30 * 24 * 60 * 60 + 60 * 60);
    // None outlives the CA.
    let last = issue("db", 3649 * DAY);
    let (_, parsed) = X509Certificate::from_der(&last).unwrap();
    let left =
        parsed.validity().not_after.timestamp() - now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
    assert_eq!(left, 3650 * 24 * 60 * 60);
}

#[test]
fn a_client_cannot_fill_the_memory_with_names() {
    let folder = Folder::new("names");
    let now = SystemTime::now();
    let certificates = Certificates::new(Authority::open(&folder.0, now).unwrap()).unwrap();
    for number in 0..CERTIFICATES_MAX {
        certificates.issue_for(&format!("db{number}"), now);
    }
    assert_eq!(certificates.kept(), CERTIFICATES_MAX);
    certificates.issue_for("one-more", now);
    assert_eq!(certificates.kept(), 1);
}
