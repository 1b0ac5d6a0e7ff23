//! From the document to a [`Config`]: the top level, `[[workload]]`, `[policy]`.

use super::{
    Config, ConfigProblems, Problem, Recording, TrustDomain, Workload,
    document::{Located, Section},
    interception, names,
    problem::{Findings, Spot},
    reach, select, servers,
};
use crate::hex::hex;
use crate::limits::{
    CONFIG_BYTES_MAX, DRAIN_SECONDS_MAX, GROUPS_MAX, KEEP_DAYS_MAX, SOCKET_PATH_BYTES_MAX, STOP_DRAIN_SECONDS,
    UPGRADE_DRAIN_SECONDS,
};
use crate::recorder::{Durability, Retention};
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    fs::File,
    io::Read as _,
    os::unix::ffi::OsStrExt as _,
    path::{Component, Path, PathBuf},
};
use toml::de::DeTable;

/// The control socket's name in the `run_dir`.
pub(super) const CONTROL_SOCKET: &str = "control.sock";

/// How far to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// The configuration file alone.
    TextOnly,
    /// The password files, PEM files and policy paths it names as well.
    NamedFiles,
}

/// What reading needs besides the document.
#[derive(Debug)]
pub(super) struct Place<'p> {
    /// The configuration's folder: relative paths start here.
    folder: &'p Path,
    pub(super) depth: Depth,
}

impl Place<'_> {
    pub(super) fn absolute(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }
}

/// Values that may occur once, and where each was first written.
#[derive(Debug, Default)]
pub(super) struct Seen(HashMap<String, Spot>);

impl Seen {
    pub(super) fn once(&mut self, value: &str, spot: &Spot, findings: &mut Findings<'_>) {
        if let Some(first) = self.0.get(value) {
            let line = findings.line(first);
            findings.error(spot, format!("`{value}` is there already, in line {line}: write another, or remove one"));
        } else {
            self.0.insert(value.to_owned(), spot.clone());
        }
    }
}

/// Reads the file and every setting of it.
pub(super) fn read(path: &Path, depth: Depth) -> Result<Config, ConfigProblems> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let text = text(&path).map_err(|message| {
        let key = String::new();
        ConfigProblems(vec![Problem { file: path.clone(), line: None, column: None, key, message }])
    })?;
    parse(&path, &text, depth)
}

/// Reads every setting of a text; `path` names it in problems and is where relative paths start.
pub(super) fn parse(path: &Path, text: &str, depth: Depth) -> Result<Config, ConfigProblems> {
    let mut findings = Findings::new(path, text);
    let (document, broken) = DeTable::parse_recoverable(text);
    // Behind the first syntax error the parser guesses, line after line. A key given twice is no guess.
    let (twice, syntax): (Vec<_>, Vec<_>) =
        broken.iter().partition(|error| error.message().starts_with("duplicate key"));
    let first = syntax.into_iter().min_by_key(|error| error.span().map_or(0, |span| span.start));
    for error in first.into_iter().chain(twice) {
        let spot = Spot { key: String::new(), offset: error.span().map_or(0, |span| span.start) };
        findings.error(&spot, format!("is not TOML: {}", error.message().replace('\n', ", ")));
    }
    // What follows a broken line was recovered by guessing: problems found in it would mislead.
    let config = if broken.is_empty() {
        let place = Place { folder: path.parent().unwrap_or(Path::new("/")), depth };
        whole(path, text, &place, Section::root(document.get_ref()), &mut findings)
    } else {
        None
    };
    let unfinished = Problem {
        file: path.to_owned(),
        line: None,
        column: None,
        key: String::new(),
        message: "a setting could not be read: run `portreeve check`".to_owned(),
    };
    let warnings = findings.finish()?;
    config.map(|config| Config { warnings, ..config }).ok_or(ConfigProblems(vec![unfinished]))
}

fn text(path: &Path) -> Result<String, String> {
    let cannot = |error| format!("cannot read the configuration: {error}; name the file with `--config`");
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > CONFIG_BYTES_MAX) {
        return Err(format!("is longer than {CONFIG_BYTES_MAX} bytes: name a configuration with `--config`"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line =
            error.as_bytes().iter().take(error.utf8_error().valid_up_to()).filter(|&&byte| byte == b'\n').count();
        format!("is not UTF-8 in line {}: save the file as UTF-8", line + 1)
    })
}

fn whole(
    path: &Path,
    text: &str,
    place: &Place<'_>,
    mut root: Section<'_>,
    findings: &mut Findings<'_>,
) -> Option<Config> {
    let trust_domain = trust_domain(&mut root, findings);
    let state_dir = folder(&mut root, "state_dir", "/var/lib/portreeve", findings);
    let run_dir = folder(&mut root, "run_dir", "/run/portreeve", findings);
    check_socket_length(&root, run_dir.as_deref(), findings);
    let stop_drain = drain_seconds(&mut root, "stop_drain_seconds", STOP_DRAIN_SECONDS, findings);
    let upgrade_drain = drain_seconds(&mut root, "upgrade_drain_seconds", UPGRADE_DRAIN_SECONDS, findings);
    let interception = interception::read(&mut root, findings);
    let workloads = workloads(&mut root, trust_domain.as_ref(), findings);
    let guarded = interception.as_ref().map(|interception| interception.ports.as_slice());
    let servers = servers::read(&mut root, place, guarded, &workloads, findings);
    let policy = policy(&mut root, place, findings);
    let recording = recording(&mut root, &workloads, findings);
    root.finish(findings);
    Some(Config {
        path: path.to_owned(),
        sha256: hex(&Sha256::digest(text)),
        trust_domain: trust_domain?,
        state_dir: state_dir?,
        run_dir: run_dir?,
        interception: interception?,
        workloads,
        servers,
        observe: policy.as_ref().is_some_and(|policy| policy.observe),
        policy_paths: policy?.paths,
        recording: recording?,
        stop_drain_seconds: stop_drain?,
        upgrade_drain_seconds: upgrade_drain?,
        warnings: Vec::new(),
    })
}

fn trust_domain(root: &mut Section<'_>, findings: &mut Findings<'_>) -> Option<TrustDomain> {
    let found =
        root.required("trust_domain", "the SPIFFE trust domain of your workloads, such as `example.org`", findings)?;
    valid(TrustDomain::new(found.value), &found.spot, findings)
}

/// 0 ends sessions at once.
fn drain_seconds(root: &mut Section<'_>, key: &'static str, default: u32, findings: &mut Findings<'_>) -> Option<u32> {
    if !root.has(key) {
        return Some(default);
    }
    let found = root.number(key, findings)?;
    if found.value > DRAIN_SECONDS_MAX {
        findings.error(&found.spot, format!("`{}` is too long: write 0 to {DRAIN_SECONDS_MAX}", found.value));
    }
    Some(found.value)
}

/// A folder of the daemon's own: absolute, for the daemon and the commands may start in different folders.
fn folder(root: &mut Section<'_>, key: &'static str, default: &str, findings: &mut Findings<'_>) -> Option<PathBuf> {
    if !root.has(key) {
        return Some(PathBuf::from(default));
    }
    let found = root.string(key, findings)?;
    let path = Path::new(found.value);
    let climbs = path.components().any(|part| part == Component::ParentDir);
    if !path.is_absolute() || climbs || path.parent().is_none() || found.value.contains('\0') {
        let message = format!("`{}` is not an absolute path of a folder: write one such as `{default}`", found.value);
        findings.error(&found.spot, message);
        return None;
    }
    Some(path.components().collect())
}

fn check_socket_length(root: &Section<'_>, run_dir: Option<&Path>, findings: &mut Findings<'_>) {
    let length = run_dir.map_or(0, |run_dir| run_dir.join(CONTROL_SOCKET).as_os_str().as_bytes().len());
    if length > SOCKET_PATH_BYTES_MAX {
        let room = SOCKET_PATH_BYTES_MAX - CONTROL_SOCKET.len() - 1;
        findings.error(
            &root.spot_of("run_dir"),
            format!("is too long for a Unix socket in it: write at most {room} bytes"),
        );
    }
}

fn workloads(root: &mut Section<'_>, trust_domain: Option<&TrustDomain>, findings: &mut Findings<'_>) -> Vec<Workload> {
    let (mut names, mut cgroups, mut ids) = (Seen::default(), Seen::default(), Seen::default());
    let mut workloads = Vec::new();
    for mut section in root.sections("workload", findings) {
        let name = section.required("name", "the workload's name, such as `reporting`", findings);
        let selects = select::read(&mut section, findings);
        let cgroup = cgroup(&mut section, findings);
        let name = name.and_then(|name| checked(&name, names::check_workload, findings).map(|()| name));
        let cgroup_path = cgroup.as_ref().and_then(|cgroup| checked(cgroup, names::check_cgroup, findings));
        let groups = groups(&mut section, findings);
        let id = spiffe_id(&mut section, name.as_ref(), trust_domain, findings);
        let (egress, uids) = (reach::egress(&mut section, findings), reach::uids(&mut section, findings));
        if let Some(name) = &name {
            names.once(name.value, &name.spot, findings);
        }
        if let (Some(cgroup), Some(path)) = (&cgroup, &cgroup_path) {
            cgroups.once(&path.display().to_string(), &cgroup.spot, findings);
        }
        if let Some(id) = &id {
            ids.once(&id.value, &id.spot, findings);
        }
        section.finish(findings);
        if let (Some(name), Some(id)) = (name, id) {
            let name = name.value.to_owned();
            workloads.push(Workload { name, cgroup: cgroup_path, selects, groups, spiffe_id: id.value, egress, uids });
        }
    }
    workloads
}

/// Missing only where `[[workload.select]]` chooses instead.
fn cgroup<'d>(section: &mut Section<'d>, findings: &mut Findings<'_>) -> Option<Located<&'d str>> {
    const WHAT: &str =
        "the path below the cgroup v2 mount, such as `agents/reporting`, or choose cgroups with `[[workload.select]]`";
    if !section.has("cgroup") && section.has("select") {
        return None;
    }
    section.required("cgroup", WHAT, findings)
}

fn groups(section: &mut Section<'_>, findings: &mut Findings<'_>) -> Vec<String> {
    let Some(found) = section.strings("groups", findings) else { return Vec::new() };
    let mut seen = Seen::default();
    for group in &found.value {
        checked(group, names::check_group, findings);
        seen.once(group.value, &group.spot, findings);
    }
    if found.value.len() > GROUPS_MAX {
        findings.error(&found.spot, format!("has {} groups: write at most {GROUPS_MAX}", found.value.len()));
    }
    found.value.iter().map(|group| group.value.to_owned()).collect()
}

fn spiffe_id(
    section: &mut Section<'_>,
    name: Option<&Located<&str>>,
    trust_domain: Option<&TrustDomain>,
    findings: &mut Findings<'_>,
) -> Option<Located<String>> {
    if section.has("spiffe_id") {
        let found = section.string("spiffe_id", findings)?;
        checked(&found, names::check_spiffe_id, findings)?;
        return Some(Located { value: found.value.to_owned(), spot: found.spot });
    }
    let name = name?;
    Some(Located { value: trust_domain?.spiffe_id(name.value), spot: name.spot.clone() })
}

/// `[recording]`, which may be left out: then everything is kept.
fn recording(root: &mut Section<'_>, workloads: &[Workload], findings: &mut Findings<'_>) -> Option<Recording> {
    if !root.has("recording") {
        return Some(Recording::default());
    }
    let mut section = root.section("recording", findings)?;
    let durability = match section.string("durability", findings) {
        None => Durability::default(),
        Some(Located { value: "kernel", .. }) => Durability::Kernel,
        Some(Located { value: "fsync", .. }) => Durability::Fsync,
        Some(Located { value, spot }) => {
            findings.error(&spot, format!("`{value}` is no durability: write `kernel` or `fsync`"));
            Durability::default()
        }
    };
    let keep_days = section.number("keep_days", findings);
    if let Some(days) = keep_days.as_ref().filter(|days| days.value > KEEP_DAYS_MAX) {
        findings.error(&days.spot, format!("`{}` is too long: write 0 to {KEEP_DAYS_MAX}", days.value));
    }
    let keep_bytes = section.long_number("keep_bytes", findings);
    let rows_of = section.strings("rows_of", findings).map(|found| servers::whom(&found.value, workloads, findings));
    section.finish(findings);
    let retention =
        Retention { keep_days: keep_days.map(|days| days.value), keep_bytes: keep_bytes.map(|bytes| bytes.value) };
    Some(Recording { durability, retention, rows_of: rows_of.unwrap_or_default() })
}

/// `[policy]`
struct Policy {
    paths: Vec<PathBuf>,
    observe: bool,
}

fn policy(root: &mut Section<'_>, place: &Place<'_>, findings: &mut Findings<'_>) -> Option<Policy> {
    const WHAT: &str = "`paths` under `[policy]`, such as `paths = [\"/etc/portreeve/policies\"]`";
    if !root.has("policy") {
        findings.error(&root.spot_of("policy.paths"), format!("is missing: write {WHAT}"));
    }
    let mut section = root.section("policy", findings)?;
    if !section.has("paths") {
        findings.error(&section.spot_of("paths"), format!("is missing: write {WHAT}"));
    }
    let found = section.strings("paths", findings);
    let observe = section.boolean("observe", findings);
    if let Some(Located { value: true, spot }) = &observe {
        findings.warning(spot, "is on: nothing is denied, verdicts are only recorded");
    }
    section.finish(findings);
    let found = found?;
    if found.value.is_empty() {
        findings.warning(&found.spot, "is empty: every statement will be denied");
    }
    let mut seen = Seen::default();
    for path in &found.value {
        seen.once(path.value, &path.spot, findings);
        if place.depth == Depth::NamedFiles
            && let Err(error) = std::fs::metadata(place.absolute(path.value))
        {
            let message =
                format!("cannot read the policies at `{}`: {error}; create it or correct the path", path.value);
            findings.error(&path.spot, message);
        }
    }
    let paths = found.value.iter().map(|path| place.absolute(path.value)).collect();
    Some(Policy { paths, observe: observe.is_some_and(|observe| observe.value) })
}

/// Reports what a check of a name says.
pub(super) fn checked<T>(
    found: &Located<&str>,
    check: impl FnOnce(&str) -> Result<T, String>,
    findings: &mut Findings<'_>,
) -> Option<T> {
    valid(check(found.value), &found.spot, findings)
}

/// Reports an error at its place.
pub(super) fn valid<T>(result: Result<T, String>, spot: &Spot, findings: &mut Findings<'_>) -> Option<T> {
    result.map_err(|message| findings.error(spot, message)).ok()
}
