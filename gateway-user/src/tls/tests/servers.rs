//! Every way in which a server's certificate can be wrong.

use super::{
    super::{Facts, ServerTls, ServersTls, VERSIONS, facts_of_server, provider},
    DAY, Folder, handshake,
};
use crate::config::{ClientCertificate, Compression, HiddenTriggers, Meaning, OnClientGone, Server, Tls};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
    sign::{CertifiedKey, SingleCertAndKey},
};
use std::{io, sync::Arc, time::SystemTime};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// A server of ours under a configuration of the operator's.
struct Upstream {
    folder: Folder,
    ca: KeyPair,
    ca_params: CertificateParams,
    ca_pem: String,
}

impl Upstream {
    fn new(name: &str) -> Self {
        let mut ca_params = CertificateParams::default();
        ca_params.distinguished_name.push(DnType::CommonName, "Shop CA");
        ca_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = KeyPair::generate().unwrap();
        let ca_pem = ca_params.self_signed(&ca).unwrap().pem();
        let folder = Folder::new(name);
        folder.write("ca.pem", &ca_pem);
        Self { folder, ca, ca_params, ca_pem }
    }

    fn serving(&self, change: impl FnOnce(&mut CertificateParams)) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new(["db.example.org".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "Shop server");
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.ca_params, &self.ca);
        serving(params.signed_by(&key, &issuer).unwrap().der().clone(), &key)
    }

    fn config(&self, tls: Tls, hosts: &[&str], ca_file: Option<&str>) -> Server {
        Server {
            name: "shop".into(),
            matches: Vec::new(),
            tls,
            ca_file: ca_file.map(|name| self.folder.0.join(name)),
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            client_certificate: None,
            compression: Compression::Client,
            on_client_gone: OnClientGone::Kill,
            namespace: Meaning::Host,
            hidden_triggers: HiddenTriggers::Deny,
            catalogue: None,
            credentials: Vec::new(),
        }
    }

    fn connect(&self, tls: Tls, hosts: &[&str], server: &Arc<ServerConfig>) -> Result<Facts, String> {
        connect(&self.config(tls, hosts, Some("ca.pem")), server)
    }
}

fn serving(certificate: CertificateDer<'static>, key: &KeyPair) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap())
}

fn connect(config: &Server, server: &Arc<ServerConfig>) -> Result<Facts, String> {
    let tls = ServerTls::load(config).map_err(|error| format!("{error:#}"))?.unwrap();
    let name = tls.name_at("10.0.0.5".parse().unwrap());
    let shown = name.to_str().into_owned();
    let connected = handshake(&tls.config(), &shown, server);
    let (client, _) = connected.map_err(|error| tls.failure(&io::Error::other(error)).to_string())?;
    Ok(facts_of_server(&client, shown, tls.mode()))
}

fn check_failure(result: Result<Facts, String>, expected: &str) {
    let why = result.unwrap_err();
    assert!(why.contains(expected), "{expected}\nbut {why}");
}

#[test]
fn each_mode_verifies_what_it_says() {
    let shop = Upstream::new("modes");
    let (good, other) = (shop.serving(|_| ()), Upstream::new("modes-other").serving(|_| ()));
    let facts = shop.connect(Tls::VerifyIdentity, &["db.example.org", "x"], &good).unwrap();
    assert_eq!(
        facts.to_string(),
        "TLSv1.3 TLS_AES_256_GCM_SHA384, name `db.example.org`, verify-identity of `CN=Shop server`"
    );
    for mode in [Tls::Required, Tls::VerifyCa] {
        // The name is another: the destination's address.
        assert_eq!(shop.connect(mode, &[], &good).unwrap().peer.unwrap().verification, mode);
    }
    shop.connect(Tls::Required, &[], &other).unwrap();
    let unknown = "its certificate `CN=Shop server`, issued by `CN=Shop CA`, is not signed by a CA in `";
    check_failure(shop.connect(Tls::VerifyCa, &[], &other), unknown);
    check_failure(shop.connect(Tls::VerifyIdentity, &["db.example.org"], &other), unknown);
    check_failure(
        shop.connect(Tls::VerifyIdentity, &[], &good),
        "its certificate is for `db.example.org`, not for `10.0.0.5`: write the right name first in `hosts`",
    );
    let by_address = shop.serving(|params| {
        params.subject_alt_names = vec![SanType::IpAddress("10.0.0.5".parse().unwrap())];
    });
    shop.connect(Tls::VerifyIdentity, &[], &by_address).unwrap();
    check_failure(shop.connect(Tls::VerifyIdentity, &["db"], &by_address), "is for `10.0.0.5`, not for `db`");
}

#[test]
fn what_is_wrong_with_a_certificate_is_said() {
    let shop = Upstream::new("wrong");
    let now = SystemTime::now();
    let connect = |server: &Arc<ServerConfig>| shop.connect(Tls::VerifyCa, &[], server);
    let expired = shop.serving(|params| params.not_after = (now - DAY).into());
    check_failure(connect(&expired), "its certificate is expired since 20");
    let early = shop.serving(|params| params.not_before = (now + DAY).into());
    check_failure(connect(&early), "is this host's clock right?");
    let client_only = shop.serving(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    check_failure(connect(&client_only), "its certificate cannot be verified");
    let nameless = shop.serving(|params| params.subject_alt_names = Vec::new());
    connect(&nameless).unwrap();
    check_failure(shop.connect(Tls::VerifyIdentity, &["db"], &nameless), "has no names (subject alternative names)");
    // The CA itself, as a server's certificate.
    let ca = CertificateDer::from_pem_slice(shop.ca_pem.as_bytes()).unwrap();
    let other = Upstream::new("wrong-other");
    check_failure(other.connect(Tls::VerifyCa, &[], &serving(ca, &shop.ca)), "is a CA's own or signed by itself");
}

#[test]
fn a_certificate_in_the_ca_file_is_trusted_by_itself() {
    let shop = Upstream::new("pinned");
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(["db.example.org".to_owned()]).unwrap().self_signed(&key).unwrap();
    let server = serving(own.der().clone(), &key);
    check_failure(shop.connect(Tls::VerifyCa, &[], &server), "is not signed by a CA in `");
    shop.folder.write("ca.pem", &format!("{}{}", shop.ca_pem, own.pem()));
    shop.connect(Tls::VerifyCa, &[], &server).unwrap();
    shop.connect(Tls::VerifyIdentity, &["db.example.org"], &server).unwrap();
    check_failure(shop.connect(Tls::VerifyIdentity, &["db"], &server), "is for `db.example.org`, not for `db`");
    // Not one that only claims to be it.
    let forged = KeyPair::generate().unwrap();
    let forgery = CertificateParams::new(["db.example.org".to_owned()]).unwrap().self_signed(&forged).unwrap();
    check_failure(shop.connect(Tls::VerifyCa, &[], &serving(forgery.der().clone(), &forged)), "its certificate");
}

#[test]
fn a_server_without_the_key_of_its_certificate_is_refused_in_every_mode() {
    let shop = Upstream::new("stolen");
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::from_params(&shop.ca_params, &shop.ca);
    let certificate = CertificateParams::new(["db".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let thief = KeyPair::generate().unwrap();
    for version in ["TLSv1.3", "TLSv1.2"] {
        let server = unchecked(certificate.der(), &thief, version);
        for mode in [Tls::Required, Tls::VerifyCa, Tls::VerifyIdentity] {
            check_failure(shop.connect(mode, &["db"], &server), "BadSignature");
        }
    }
}

/// A server of one TLS version that shows a certificate whosever key it has.
fn unchecked(certificate: &CertificateDer<'static>, key: &KeyPair, version: &str) -> Arc<ServerConfig> {
    let version = if version == "TLSv1.3" { &rustls::version::TLS13 } else { &rustls::version::TLS12 };
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[version]).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let certified = CertifiedKey::new(vec![certificate.clone()], ring::sign::any_ecdsa_type(&key).unwrap());
    Arc::new(builder.with_no_client_auth().with_cert_resolver(Arc::new(SingleCertAndKey::from(certified))))
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut base64 = String::new();
    for three in certificate.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        let signs = (0..=three.len()).map(|sign| ALPHABET[(bits >> (18 - 6 * sign)) as usize & 63] as char);
        base64.extend(signs);
        base64.push_str(&"="[..usize::from(three.len() < 3)].repeat(3 - three.len()));
    }
    format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82], length.as_slice(), content].concat()
}

/// As `openssl x509 -req` makes it without extensions, and MariaDB's instructions with it: rcgen makes version 3 only, so
/// that the version is taken out and the rest signed again.
fn version_1(key: &KeyPair) -> CertificateDer<'static> {
    const VERSION_3: [u8; 5] = [0xA0, 3, 2, 1, 2];
    const ECDSA_WITH_SHA256: [u8; 12] = [0x30, 10, 6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3, 2];
    let made = CertificateParams::default().self_signed(key).unwrap();
    let (_, parsed) = X509Certificate::from_der(made.der()).unwrap();
    let content = parsed.tbs_certificate.as_ref();
    let start = content.windows(5).position(|part| part == VERSION_3).unwrap();
    let to_be_signed = der(0x30, &content[start + 5..]);
    let signature = rcgen::SigningKey::sign(key, &to_be_signed).unwrap();
    let signature = der(3, &[&[0], signature.as_slice()].concat());
    der(0x30, &[to_be_signed.as_slice(), &ECDSA_WITH_SHA256, &signature].concat()).into()
}

#[test]
fn a_certificate_of_version_1_is_encrypted_to_and_pinned_but_not_verified() {
    let shop = Upstream::new("version-1");
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let certificate = version_1(&key);
    let pinned = shop.config(Tls::VerifyCa, &[], Some("pinned.pem"));
    shop.folder.write("pinned.pem", &pem(&certificate));
    for version in ["TLSv1.3", "TLSv1.2"] {
        let server = unchecked(&certificate, &key, version);
        assert_eq!(shop.connect(Tls::Required, &[], &server).unwrap().version, version);
        check_failure(shop.connect(Tls::VerifyCa, &[], &server), "is of X.509 version 1, which cannot be verified");
        connect(&pinned, &server).unwrap();
        let thief = unchecked(&certificate, &other, version);
        check_failure(shop.connect(Tls::Required, &[], &thief), "BadSignature");
        check_failure(connect(&pinned, &thief), "BadSignature");
    }
}

#[test]
fn a_server_that_offers_no_tls_is_refused_where_it_is_demanded() {
    let shop = Upstream::new("demanded");
    let mut servers = ServersTls::default();
    for mode in [Tls::Disabled, Tls::Required, Tls::VerifyCa, Tls::VerifyIdentity] {
        let server = shop.config(mode, &[], Some("ca.pem"));
        servers.add(&server).unwrap();
        let demanded = |offered: bool| servers.demanded(&server, offered).map(|tls| tls.map(ServerTls::mode));
        if mode == Tls::Disabled {
            assert_eq!((demanded(true), demanded(false)), (Ok(None), Ok(None)));
        } else {
            assert_eq!(demanded(true), Ok(Some(mode)));
            let error = demanded(false).unwrap_err().to_string();
            assert!(
                error.starts_with("server `shop` does not offer TLS, which `tls = \"") && error.contains(mode.word()),
                "{error}"
            );
        }
    }
}

#[test]
fn a_client_certificate_is_shown_to_a_server_that_asks() {
    let shop = Upstream::new("client");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(shop.ca_pem.as_bytes()).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::from_params(&shop.ca_params, &shop.ca);
    let signed =
        |key: &KeyPair| CertificateParams::new(["db.example.org".to_owned()]).unwrap().signed_by(key, &issuer).unwrap();
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS).unwrap();
    let server_key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let server =
        builder.with_client_cert_verifier(verifier).with_single_cert(vec![signed(&key).der().clone()], server_key);
    let server = Arc::new(server.unwrap());

    let mut config = shop.config(Tls::VerifyIdentity, &["db.example.org"], Some("ca.pem"));
    check_failure(connect(&config, &server), "peer sent no certificates");
    let own = KeyPair::generate().unwrap();
    config.client_certificate = Some(ClientCertificate {
        certificate_file: shop.folder.write("cert.pem", &signed(&own).pem()),
        key_file: shop.folder.write("key.pem", &own.serialize_pem()),
    });
    connect(&config, &server).unwrap();
    shop.folder.write("key.pem", &key.serialize_pem());
    check_failure(connect(&config, &server), "is not that of the certificate");
}
