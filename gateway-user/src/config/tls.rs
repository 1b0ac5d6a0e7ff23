//! How the gateway speaks to a server: `tls` of `[[server]]`, and what belongs to it.

use super::{
    ClientCertificate, Tls,
    document::{Located, Section},
    names, pem,
    problem::Findings,
    servers::choice,
    settings::{Depth, Place, Seen, checked, valid},
};
use crate::limits::HOSTS_MAX;
use std::path::PathBuf;

const MODES: [Tls; 4] = [Tls::VerifyIdentity, Tls::VerifyCa, Tls::Required, Tls::Disabled];

/// What was read.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) mode: Tls,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) hosts: Vec<String>,
    pub(super) client_certificate: Option<ClientCertificate>,
}

pub(super) fn read(section: &mut Section<'_>, place: &Place<'_>, findings: &mut Findings<'_>) -> Option<Settings> {
    let mode = choice(section, "tls", &MODES.map(|mode| (mode.word(), mode)), findings);
    let ca_file = ca_file(section, place, mode, findings);
    let hosts = hosts(section, findings);
    let client_certificate = client_certificate(section, place, mode, findings);
    Some(Settings { mode: mode?, ca_file, hosts, client_certificate })
}

fn ca_file(
    section: &mut Section<'_>,
    place: &Place<'_>,
    mode: Option<Tls>,
    findings: &mut Findings<'_>,
) -> Option<PathBuf> {
    if !section.has("ca_file") {
        let verifies = matches!(mode, Some(Tls::VerifyCa | Tls::VerifyIdentity));
        if verifies && place.depth == Depth::NamedFiles && rustls_native_certs::load_native_certs().certs.is_empty() {
            let message = "the system has no root certificates to verify the server with: write `ca_file`";
            findings.error(&section.spot_of("ca_file"), message);
        }
        return None;
    }
    let found = section.string("ca_file", findings)?;
    match mode {
        Some(Tls::Disabled) => findings.warning(&found.spot, "is not used: `tls` is `disabled`"),
        Some(Tls::Required) => findings.warning(
            &found.spot,
            "is not used: `required` verifies nothing; write `tls = \"verify-ca\"` or `\"verify-identity\"`",
        ),
        Some(Tls::VerifyCa | Tls::VerifyIdentity) | None => {}
    }
    let path = place.absolute(found.value);
    if place.depth == Depth::NamedFiles {
        valid(pem::certificates(&path).map_err(|error| error.to_string()), &found.spot, findings);
    }
    Some(path)
}

fn hosts(section: &mut Section<'_>, findings: &mut Findings<'_>) -> Vec<String> {
    if !section.has("hosts") {
        return Vec::new();
    }
    let Some(found) = section.strings("hosts", findings) else { return Vec::new() };
    if !(1..=HOSTS_MAX).contains(&found.value.len()) {
        let message = format!(
            "has {} names: write 1 to {HOSTS_MAX}, such as `[\"db.example.org\"]`, or leave it out",
            found.value.len()
        );
        findings.error(&found.spot, message);
    }
    let mut seen = Seen::default();
    for host in &found.value {
        checked(host, names::check_host, findings);
        seen.once(host.value, &host.spot, findings);
    }
    found.value.iter().map(|host| host.value.to_owned()).collect()
}

fn client_certificate(
    section: &mut Section<'_>,
    place: &Place<'_>,
    mode: Option<Tls>,
    findings: &mut Findings<'_>,
) -> Option<ClientCertificate> {
    const CERTIFICATE: &str = "client_cert_file";
    const KEY: &str = "client_key_file";
    for (missing, other) in [(CERTIFICATE, KEY), (KEY, CERTIFICATE)] {
        if !section.has(missing) && section.has(other) {
            let message = format!("`{missing}` is missing: write it beside `{other}`, or remove that");
            findings.error(&section.spot_of(missing), message);
        }
    }
    let (certificate, key) = (section.string(CERTIFICATE, findings), section.string(KEY, findings));
    let (certificate, key) = (certificate?, key?);
    if mode == Some(Tls::Disabled) {
        findings.warning(&certificate.spot, "is not used: `tls` is `disabled`");
    }
    if place.depth == Depth::NamedFiles {
        look_at_pair(place, &certificate, &key, findings);
    }
    Some(ClientCertificate { certificate_file: place.absolute(certificate.value), key_file: place.absolute(key.value) })
}

fn look_at_pair(place: &Place<'_>, certificate: &Located<&str>, key: &Located<&str>, findings: &mut Findings<'_>) {
    let (certificate_file, key_file) = (place.absolute(certificate.value), place.absolute(key.value));
    let chain =
        valid(pem::certificates(&certificate_file).map_err(|error| error.to_string()), &certificate.spot, findings);
    let found = valid(pem::inspect_key(&key_file).map_err(|error| error.to_string()), &key.spot, findings);
    let Some((private_key, suspicious)) = found else { return };
    if let Some(suspicious) = suspicious {
        findings.warning(&key.spot, suspicious);
    }
    let certified = pem::certify(chain.unwrap_or_default(), &certificate_file, private_key, &key_file);
    valid(certified.map(drop).map_err(|error| error.to_string()), &key.spot, findings);
}
