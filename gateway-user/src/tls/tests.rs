//! The CA on disk, what clients are shown, and every way in which a server's certificate can be wrong.

use super::*;
use crate::config::{Compression, OnClientGone, Server, Tls};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    sign::{CertifiedKey, SingleCertAndKey},
};
use std::{
    fs, io,
    net::IpAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A folder that is gone at the end of the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("portreeve-tls-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_ca_is_made_once_and_found_again() {
    let folder = Folder::new("made");
    let state_dir = folder.0.join("state");
    let now = SystemTime::now();
    let made = Authority::open(&state_dir, now).unwrap().describe().unwrap();
    assert_eq!(Authority::open(&state_dir, now + DAY).unwrap().describe().unwrap(), made);
    assert_eq!(made.path, state_dir.join("ca/ca.pem"));
    assert_eq!(fs::read_to_string(&made.path).unwrap(), made.pem);
    assert!(made.subject.starts_with("CN=portreeve ") && made.subject.ends_with(" CA"), "{}", made.subject);
    assert_eq!(made.sha256.len(), 32 * 3 - 1);
    assert_eq!(
        [mode(&state_dir), mode(&state_dir.join("ca")), mode(&state_dir.join("ca/key.pem"))],
        [0o700, 0o700, 0o600]
    );
    let years = |from: &str, to: &str| to[..4].parse::<i32>().unwrap() - from[..4].parse::<i32>().unwrap();
    assert_eq!(years(&made.not_before, &made.not_after), 10);
    assert!(!state_dir.join("ca.new").exists());
}

#[test]
fn processes_that_start_at_once_get_one_ca() {
    let folder = Folder::new("at-once");
    let open = || Authority::open(&folder.0, SystemTime::now()).unwrap().describe().unwrap().sha256;
    let found = std::thread::scope(|scope| {
        let started: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(found.iter().all(|one| *one == found[0]), "{found:?}");
}

#[test]
fn a_renewed_ca_is_another_and_the_old_certificates_are_kept() {
    let folder = Folder::new("renewed");
    let now = SystemTime::now();
    let error = Authority::renew(&folder.0, now).unwrap_err().to_string();
    assert!(error.contains("there is no CA"), "{error}");
    let first = Authority::open(&folder.0, now).unwrap().describe().unwrap();
    let (second, kept) = Authority::renew(&folder.0, now).unwrap();
    assert_eq!(kept, folder.0.join("ca/ca.pem.1"));
    assert_eq!(fs::read_to_string(kept).unwrap(), first.pem);
    let second = second.describe().unwrap();
    assert_ne!(second.sha256, first.sha256);
    assert_eq!(Authority::open(&folder.0, now).unwrap().describe().unwrap(), second);
    let (_, kept) = Authority::renew(&folder.0, now).unwrap();
    assert_eq!(fs::read_to_string(folder.0.join("ca/ca.pem.1")).unwrap(), first.pem);
    assert_eq!(fs::read_to_string(kept).unwrap(), second.pem);
    let mut names: Vec<_> =
        fs::read_dir(folder.0.join("ca")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["ca.pem", "ca.pem.1", "ca.pem.2", "key.pem"]);
    assert!(!folder.0.join("ca.new").exists());
}

#[test]
fn what_an_ended_process_left_is_in_nobodys_way() {
    let folder = Folder::new("left");
    fs::create_dir(folder.0.join("ca.new")).unwrap();
    folder.write("ca.new/ca.pem", "half");
    Authority::open(&folder.0, SystemTime::now()).unwrap();
}

#[test]
fn a_damaged_ca_is_an_error_and_never_replaced_unasked() {
    let folder = Folder::new("damaged");
    let now = SystemTime::now();
    Authority::open(&folder.0, now).unwrap();
    let (ca, key) = (folder.0.join("ca/ca.pem"), folder.0.join("ca/key.pem"));
    let (good_ca, good_key) = (fs::read_to_string(&ca).unwrap(), fs::read_to_string(&key).unwrap());
    let other = KeyPair::generate().unwrap().serialize_pem();
    let check = |ca_text: &str, key_text: &str, expected: &str| {
        fs::write(&ca, ca_text).unwrap();
        fs::write(&key, key_text).unwrap();
        let error = format!("{:#}", Authority::open(&folder.0, now).unwrap_err());
        assert!(error.contains(expected) && error.contains("is damaged: repair it"), "{expected}\nbut {error}");
        assert!(!error.contains(key_text.lines().nth(1).unwrap_or("no key")), "{error}");
    };
    check("", &good_key, "`ca.pem` holds no certificate");
    check(&good_ca, "", "`key.pem` holds no ECDSA P-256 key");
    check(&good_ca, &good_ca, "`key.pem` holds no ECDSA P-256 key");
    check(&good_ca, &other, "`key.pem` is not the key of `ca.pem`");
    fs::remove_file(&key).unwrap();
    let error = format!("{:#}", Authority::open(&folder.0, now).unwrap_err());
    assert!(error.contains("cannot read"), "{error}");
}

/// Both ends of a handshake in memory. What failed first, at either end.
fn handshake(
    client: &Arc<ClientConfig>,
    name: &str,
    server: &Arc<ServerConfig>,
) -> Result<(rustls::ClientConnection, rustls::ServerConnection), rustls::Error> {
    let mut client = rustls::ClientConnection::new(Arc::clone(client), ServerName::try_from(name.to_owned()).unwrap())?;
    let mut server = rustls::ServerConnection::new(Arc::clone(server))?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets()?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    Ok((client, server))
}

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
        rustls::Error::InvalidCertificate(rustls::CertificateError::NotValidForNameContext { .. })
    ));
    let stranger = trusting(&rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap().cert.pem());
    assert!(matches!(
        handshake(&stranger, "10.0.0.5", &server).unwrap_err(),
        rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)
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
    for number in 0..crate::limits::CERTIFICATES_MAX {
        certificates.issue_for(&format!("db{number}"), now);
    }
    assert_eq!(certificates.kept(), crate::limits::CERTIFICATES_MAX);
    certificates.issue_for("one-more", now);
    assert_eq!(certificates.kept(), 1);
}

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
        ca_params.distinguished_name.push(rcgen::DnType::CommonName, "Shop CA");
        ca_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = KeyPair::generate().unwrap();
        let ca_pem = ca_params.self_signed(&ca).unwrap().pem();
        let folder = Folder::new(name);
        folder.write("ca.pem", &ca_pem);
        Self { folder, ca, ca_params, ca_pem }
    }

    fn serving(&self, change: impl FnOnce(&mut CertificateParams)) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new(["db.example.org".to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "Shop server");
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
    let client_only =
        shop.serving(|params| params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth]);
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
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
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
    config.client_certificate = Some(crate::config::ClientCertificate {
        certificate_file: shop.folder.write("cert.pem", &signed(&own).pem()),
        key_file: shop.folder.write("key.pem", &own.serialize_pem()),
    });
    connect(&config, &server).unwrap();
    shop.folder.write("key.pem", &key.serialize_pem());
    check_failure(connect(&config, &server), "is not that of the certificate");
}
