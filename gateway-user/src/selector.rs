//! How a workload's cgroups are chosen by their place in the tree. Pure: paths in, matches out.
//!
//! A name alone proves nothing, since whoever owns a cgroup names those below it. So units, pods and containers are known
//! only where systemd or the runtime puts them: below an unbroken chain of slices, or in the runtime's own folder.

use std::{fmt, path::Path};

/// `*` is any part of a name, `?` any one character. Neither matches `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(String);

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        name_matches(self.0.as_bytes(), name.as_bytes())
    }

    /// Name by name from the root; `**` is any number of names, none included.
    fn matches_path(&self, path: &str) -> bool {
        let pattern: Vec<&str> = self.0.split('/').collect();
        let names: Vec<&str> = path.split('/').collect();
        names_match(&pattern, &names)
    }
}

fn names_match(pattern: &[&str], names: &[&str]) -> bool {
    match (pattern.split_first(), names.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((&"**", rest)), _) => {
            names_match(rest, names) || names.split_first().is_some_and(|(_, names)| names_match(pattern, names))
        }
        (Some(_), None) => false,
        (Some((first, rest)), Some((name, names))) => {
            name_matches(first.as_bytes(), name.as_bytes()) && names_match(rest, names)
        }
    }
}

/// Goes back to the last `*` alone, so that no pattern takes more than its length times the name's.
fn name_matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut seen, mut star) = (0, 0, None);
    while let Some(byte) = name.get(seen) {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || wanted == byte => (at, seen) = (at + 1, seen + 1),
            Some(_) | None => {
                let Some((star_at, from)) = star else { return false };
                star = Some((star_at, from + 1));
                (at, seen) = (star_at + 1, from + 1);
            }
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

/// What systemd, a container runtime or the kubelet says with a cgroup's place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// A unit of the system's manager.
    pub(crate) unit: Option<String>,
    /// The user and a unit of his manager.
    pub(crate) user_unit: Option<(u32, String)>,
    pub(crate) pod: Option<String>,
    pub(crate) container: Option<String>,
}

/// Scopes of containers: `<runtime>-<id>.scope`.
const RUNTIMES: [&str; 5] = ["docker-", "cri-containerd-", "crio-", "libpod-", "nerdctl-"];
/// A container's id: 32 random bytes in hexadecimal, in every runtime named here.
const CONTAINER_ID_CHARS: usize = 64;

impl Place {
    /// Of a path below the cgroup v2 mount.
    pub(crate) fn of(path: &Path) -> Self {
        let Some(text) = path.to_str() else { return Self::default() };
        let names: Vec<&str> = text.split('/').collect();
        let (slices, rest) = slices(&names);
        match (slices, rest) {
            (["user.slice", user], [manager, inner @ ..]) if !inner.is_empty() => user_place(user, manager, inner),
            ([.., slice], []) => {
                Self { unit: Some((*slice).to_owned()), pod: pod_of_slices(slices), ..Self::default() }
            }
            ([_, ..], [unit]) if is_unit(unit) => Self {
                unit: Some((*unit).to_owned()),
                pod: pod_of_slices(slices),
                container: scope_container(unit),
                ..Self::default()
            },
            ([], names) => cgroupfs_place(names),
            ([_, ..], _) => Self::default(),
        }
    }
}

/// The slices that a path begins with: each lies in the one that its name says (systemd.slice(5)).
fn slices<'n, 'a>(names: &'n [&'a str]) -> (&'n [&'a str], &'n [&'a str]) {
    let mut parent = "";
    let mut count = 0;
    for name in names {
        let Some(stem) = name.strip_suffix(".slice") else { break };
        let own = if parent.is_empty() {
            Some(stem)
        } else {
            stem.strip_prefix(parent).and_then(|own| own.strip_prefix('-'))
        };
        if own.is_none_or(|own| own.is_empty() || own.contains('-')) {
            // A pod's uid has dashes only where the kubelet did not write them as `_`, which is no slice of systemd's.
            break;
        }
        parent = stem;
        count += 1;
    }
    names.split_at_checked(count).unwrap_or((&[], names))
}

fn is_unit(name: &str) -> bool {
    name.ends_with(".service") || name.ends_with(".scope")
}

/// `user.slice/user-<uid>.slice/user@<uid>.service`, then the manager's own slices and the unit.
fn user_place(user: &str, manager: &str, inner: &[&str]) -> Place {
    let uid = manager.strip_prefix("user@").and_then(|name| name.strip_suffix(".service"));
    let Some(uid) =
        uid.filter(|uid| user.strip_prefix("user-").and_then(|name| name.strip_suffix(".slice")) == Some(*uid))
    else {
        return Place::default();
    };
    let (Ok(uid), (_, [unit])) = (uid.parse(), slices(inner)) else { return Place::default() };
    if !is_unit(unit) {
        return Place::default();
    }
    Place { user_unit: Some((uid, (*unit).to_owned())), ..Place::default() }
}

fn pod_of_slices(slices: &[&str]) -> Option<String> {
    let (prefix, slice) = match slices {
        ["kubepods.slice", slice] => ("kubepods-pod", slice),
        ["kubepods.slice", "kubepods-burstable.slice", slice] => ("kubepods-burstable-pod", slice),
        ["kubepods.slice", "kubepods-besteffort.slice", slice] => ("kubepods-besteffort-pod", slice),
        _ => return None,
    };
    pod_uid(&slice.strip_prefix(prefix)?.strip_suffix(".slice")?.replace('_', "-"))
}

fn pod_uid(text: &str) -> Option<String> {
    // A static pod's is the hash of its manifest, without dashes.
    let legal = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte) || byte == b'-');
    (legal && matches!(text.len(), 32 | 36)).then(|| text.to_owned())
}

fn scope_container(unit: &str) -> Option<String> {
    let name = unit.strip_suffix(".scope")?;
    RUNTIMES.iter().find_map(|runtime| name.strip_prefix(runtime)).and_then(container_id)
}

fn container_id(text: &str) -> Option<String> {
    let legal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == CONTAINER_ID_CHARS && text.bytes().all(legal)).then(|| text.to_owned())
}

/// The cgroupfs driver: `docker/<id>`, `kubepods[/<class>]/pod<uid>[/<id>]`.
fn cgroupfs_place(names: &[&str]) -> Place {
    let below_class = match names {
        ["docker", id] => return Place { container: container_id(id), ..Place::default() },
        ["kubepods", "burstable" | "besteffort", rest @ ..] | ["kubepods", rest @ ..] => rest,
        _ => return Place::default(),
    };
    let (pod, id) = match below_class {
        [pod] => (pod, None),
        [pod, id] => (pod, Some(id)),
        _ => return Place::default(),
    };
    let Some(pod) = pod.strip_prefix("pod").and_then(pod_uid) else { return Place::default() };
    let container = id.and_then(|id| container_id(id.strip_prefix("crio-").unwrap_or(id)));
    if id.is_some() && container.is_none() {
        return Place::default();
    }
    Place { pod: Some(pod), container, ..Place::default() }
}

/// One `[[workload.select]]`: all that is there must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Select {
    pub(crate) cgroup: Option<Pattern>,
    pub(crate) unit: Option<Pattern>,
    /// A unit of the manager of the user `uid`.
    pub(crate) user_unit: Option<Pattern>,
    /// An id or how it begins.
    pub(crate) container: Option<String>,
    pub(crate) pod: Option<String>,
    /// These three narrow: who is in the cgroup and is not this is refused.
    pub(crate) uid: Option<u32>,
    /// Without the leading `/`.
    pub(crate) exe: Option<Pattern>,
    /// In hexadecimal.
    pub(crate) sha256: Option<String>,
}

/// As the configuration writes it.
impl fmt::Display for Select {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pattern = |pattern: &Option<Pattern>| pattern.as_ref().map(|pattern| pattern.0.clone());
        let keys = [
            ("cgroup", pattern(&self.cgroup)),
            ("unit", pattern(&self.unit)),
            ("user_unit", pattern(&self.user_unit)),
            ("container", self.container.clone()),
            ("pod", self.pod.clone()),
            ("exe", pattern(&self.exe).map(|path| format!("/{path}"))),
            ("sha256", self.sha256.clone()),
        ];
        let texts = keys.into_iter().filter_map(|(key, value)| Some(format!("{key} = \"{}\"", value?)));
        let keys: Vec<String> = texts.chain(self.uid.map(|uid| format!("uid = {uid}"))).collect();
        formatter.write_str(&keys.join(", "))
    }
}

/// An executable as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Executable {
    /// As the process's own mount namespace names it.
    pub(crate) path: String,
    pub(crate) sha256: String,
}

impl Select {
    /// Whether a cgroup is chosen. Where a cgroup above it belongs to somebody else than root (`is_delegated`), names are
    /// that owner's choice: only units of his own manager are looked for.
    pub(crate) fn chooses(&self, path: &Path, place: &Place, is_delegated: bool) -> bool {
        let Some(text) = path.to_str() else { return false };
        let user_unit = |pattern: &Pattern| {
            place.user_unit.as_ref().is_some_and(|(uid, unit)| Some(*uid) == self.uid && pattern.matches(unit))
        };
        let named = [&self.container, &self.pod].iter().any(|key| key.is_some());
        (self.cgroup.is_some() || self.unit.is_some() || self.user_unit.is_some() || named)
            && (!is_delegated || self.user_unit.is_some())
            && self.cgroup.as_ref().is_none_or(|pattern| pattern.matches_path(text))
            && self.unit.as_ref().is_none_or(|pattern| place.unit.as_ref().is_some_and(|unit| pattern.matches(unit)))
            && self.user_unit.as_ref().is_none_or(user_unit)
            && self
                .container
                .as_ref()
                .is_none_or(|id| place.container.as_ref().is_some_and(|own| own.starts_with(id.as_str())))
            && self.pod.as_ref().is_none_or(|uid| place.pod.as_ref() == Some(uid))
    }

    pub(crate) fn asks_for_executable(&self) -> bool {
        self.exe.is_some() || self.sha256.is_some()
    }

    /// # Errors
    /// What does not fit.
    pub(crate) fn admits(&self, uid: u32, executable: Option<&Executable>) -> Result<(), String> {
        if self.uid.is_some_and(|own| own != uid) {
            return Err(format!("uid {uid} is not the selector's"));
        }
        if !self.asks_for_executable() {
            return Ok(());
        }
        let Some(found) = executable else { return Err("its executable is not known".to_owned()) };
        if self.exe.as_ref().is_some_and(|pattern| !pattern.matches_path(found.path.trim_start_matches('/'))) {
            return Err(format!("executable `{}` is not the selector's", found.path));
        }
        if self.sha256.as_ref().is_some_and(|wanted| *wanted != found.sha256) {
            return Err(format!("executable `{}` has SHA-256 {}, not the selector's", found.path, found.sha256));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
