//! The gateway's own CA: `<state_dir>/ca/ca.pem`, which clients trust, and `key.pem`, which nobody else reads.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::{
    SupportedCipherSuite,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use serde::Serialize;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::{Zeroize as _, Zeroizing};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long clients can trust a CA.
const CA_LIFE: Duration = DAY.saturating_mul(3650);
/// How long a certificate for clients is valid; it is made anew when half of that is over.
pub(super) const CERTIFICATE_LIFE: Duration = DAY.saturating_mul(30);
/// Clocks of a host and of its containers differ, by less than this.
const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);
/// RFC 5280, appendix A.1: `ub-common-name`, in characters.
const COMMON_NAME_MAX: usize = 64;

/// A CA with its key.
pub(crate) struct Authority {
    folder: PathBuf,
    pem: String,
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// What an operator and the clients must know of a CA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Description {
    pub(crate) path: PathBuf,
    pub(crate) subject: String,
    /// SHA-256 of the certificate, in hexadecimal with colons as `openssl x509 -fingerprint` prints it.
    pub(crate) sha256: String,
    /// RFC 3339.
    pub(crate) not_before: String,
    /// RFC 3339.
    pub(crate) not_after: String,
    pub(crate) pem: String,
}

impl Authority {
    /// The CA of a `state_dir`, made when there is none. Two processes that do so at once get the same.
    ///
    /// # Errors
    /// It is damaged, or cannot be written.
    pub(crate) fn open(state_dir: &Path, now: SystemTime) -> Result<Self> {
        let _alone = lock(state_dir)?;
        let folder = state_dir.join("ca");
        if !folder.exists() {
            let fresh = prepare(state_dir, now)?;
            fs::rename(&fresh, &folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
            sync(state_dir)?;
        }
        Self::load(folder)
    }

    /// Replaces the CA of a `state_dir`. The old certificate stays beside the new as `ca.pem.<n>`, its key does not.
    ///
    /// # Errors
    /// There is none, or it cannot be written; the old one is then as it was.
    pub(crate) fn renew(state_dir: &Path, now: SystemTime) -> Result<(Self, PathBuf)> {
        let _alone = lock(state_dir)?;
        let folder = state_dir.join("ca");
        if !folder.join("ca.pem").exists() {
            bail!("there is no CA at `{}` yet: run `portreeve ca` to make one", folder.display());
        }
        let fresh = prepare(state_dir, now)?;
        let kept = keep_certificates(&folder, &fresh).context("cannot keep the old certificates")?;
        // In one step: key and certificate are a pair at every moment.
        renameat2(AT_FDCWD, &fresh, AT_FDCWD, &folder, RenameFlags::RENAME_EXCHANGE)
            .with_context(|| format!("cannot replace `{}`", folder.display()))?;
        sync(state_dir)?;
        fs::remove_dir_all(&fresh).with_context(|| format!("cannot remove the old key in `{}`", fresh.display()))?;
        let kept = folder.join(kept);
        Ok((Self::load(folder)?, kept))
    }

    fn load(folder: PathBuf) -> Result<Self> {
        let shown = folder.display();
        let advice =
            || format!("the CA in `{shown}` is damaged: repair it, or remove the folder to have a new one made");
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))
        };
        let pem = read("ca.pem").with_context(advice)?;
        let key = Zeroizing::new(read("key.pem").with_context(advice)?);
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).context("`ca.pem` holds no certificate");
        let certificate = certificate.with_context(advice)?;
        let key = KeyPair::from_pkcs8_pem_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256);
        let key = key.context("`key.pem` holds no ECDSA P-256 key").with_context(advice)?;
        let parsed = parse(&certificate).with_context(advice)?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(anyhow::anyhow!("`key.pem` is not the key of `ca.pem`")).with_context(advice);
        }
        Ok(Self { pem, certificate, key, folder })
    }

    /// Subject, fingerprint, validity and the PEM.
    pub(crate) fn describe(&self) -> Result<Description> {
        let parsed = parse(&self.certificate)?;
        let date = |at: x509_parser::time::ASN1Time| {
            jiff::Timestamp::from_second(at.timestamp()).map(|at| at.to_string()).context("a date is out of range")
        };
        Ok(Description {
            path: self.folder.join("ca.pem"),
            subject: parsed.subject().to_string(),
            sha256: fingerprint(&self.certificate),
            not_before: date(parsed.validity().not_before)?,
            not_after: date(parsed.validity().not_after)?,
            pem: self.pem.clone(),
        })
    }

    /// When clients stop to trust it.
    pub(crate) fn not_after(&self) -> Result<SystemTime> {
        let seconds = parse(&self.certificate)?.validity().not_after.timestamp();
        Ok(UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }

    /// A certificate for `names`, with a key of its own that is nowhere else.
    pub(super) fn issue(&self, names: Vec<SanType>, now: SystemTime) -> Result<CertifiedKey> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.distinguished_name = common_name("portreeve".to_owned());
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.not_before = (now - CLOCK_SKEW).into();
        // None outlives its CA: clients would say that the chain is expired, and an operator would look at the wrong end.
        params.not_after = (now + CERTIFICATE_LIFE).min(self.not_after()?).into();
        let mut key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("no key can be made")?;
        let issuer = Issuer::from_ca_cert_der(&self.certificate, &self.key).context("the CA cannot be used")?;
        let certificate = params.signed_by(&key, &issuer).context("the CA cannot sign")?;
        let mut der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signing_key = ring::sign::any_ecdsa_type(&der).context("a key that was made is unusable");
        der.zeroize();
        key.zeroize();
        Ok(CertifiedKey::new(vec![certificate.der().clone()], signing_key?))
    }
}

/// A folder `ca.new` in `state_dir` with a new pair in it, written through to the disk.
fn prepare(state_dir: &Path, now: SystemTime) -> Result<PathBuf> {
    let fresh = state_dir.join("ca.new");
    if fresh.exists() {
        // A process was ended in the middle of this.
        fs::remove_dir_all(&fresh).with_context(|| format!("cannot remove `{}`", fresh.display()))?;
    }
    let (pem, key) = generate(now)?;
    let write = || -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(&fresh)?;
        for (name, text, mode) in [("ca.pem", pem.as_str(), 0o644), ("key.pem", key.as_str(), 0o600)] {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(fresh.join(name))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
        }
        File::open(&fresh)?.sync_all()
    };
    write().with_context(|| format!("cannot write a CA to `{}`", fresh.display()))?;
    Ok(fresh)
}

/// Certificate and key of a new CA, as PEM.
fn generate(now: SystemTime) -> Result<(String, Zeroizing<String>)> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(format!("portreeve {} CA", hostname()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + CA_LIFE).into();
    let mut key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("no key can be made")?;
    let certificate = params.self_signed(&key).context("the CA cannot sign itself");
    let key_pem = Zeroizing::new(key.serialize_pem());
    key.zeroize();
    Ok((certificate?.pem(), key_pem))
}

/// Copies `ca.pem` and the ones kept before into `fresh`. Returns the name that the current one gets.
fn keep_certificates(folder: &Path, fresh: &Path) -> io::Result<String> {
    let mut last = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(number) = name.to_str().and_then(|name| name.strip_prefix("ca.pem.")) else { continue };
        last = last.max(number.parse::<u32>().unwrap_or(0));
        fs::copy(entry.path(), fresh.join(&name))?;
    }
    let kept = format!("ca.pem.{}", last.saturating_add(1));
    fs::copy(folder.join("ca.pem"), fresh.join(&kept))?;
    Ok(kept)
}

/// Held while a CA is made: the daemon and `portreeve ca` may come at once. It is on the folder itself, which is made
/// where it is missing.
fn lock(state_dir: &Path) -> Result<File> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(state_dir);
    made.with_context(|| format!("state_dir `{}` cannot be made", state_dir.display()))?;
    let folder = File::open(state_dir).and_then(|folder| folder.lock().map(|()| folder));
    folder.with_context(|| format!("state_dir `{}` cannot be locked", state_dir.display()))
}

fn sync(folder: &Path) -> Result<()> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.with_context(|| format!("`{}` cannot be written", folder.display()))
}

fn common_name(name: String) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// As much of it as the CA's name has room for.
fn hostname() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().chars().take(COMMON_NAME_MAX - "portreeve  CA".len()).collect()
}

fn parse<'c>(certificate: &'c CertificateDer<'_>) -> Result<X509Certificate<'c>> {
    Ok(X509Certificate::from_der(certificate).context("`ca.pem` is not an X.509 certificate")?.1)
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = match ring::cipher_suite::TLS13_AES_128_GCM_SHA256 {
        SupportedCipherSuite::Tls12(suite) => suite.common.hash_provider.hash(certificate),
        SupportedCipherSuite::Tls13(suite) => suite.common.hash_provider.hash(certificate),
    };
    let bytes: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}
