//! `[interception]`.

use super::{
    Interception,
    document::{Located, Section},
    names,
    problem::Findings,
    settings::{Seen, checked},
};
use portreeve_abi::limits;
use std::path::PathBuf;

use crate::limits::{GUARDED_PORTS_MAX, REFUSE_UNMATCHED_MAX, REFUSED_PORTS_MAX};

/// MySQL's X protocol, group replication and administration: ways to a server beside the guarded port.
const REFUSED_PORTS: [u16; 3] = [33060, 33061, 33062];

pub(super) fn read(root: &mut Section<'_>, findings: &mut Findings<'_>) -> Option<Interception> {
    if !root.has("interception") {
        return Some(Interception {
            ports: vec![3306],
            listen_port: 0,
            refused_ports: REFUSED_PORTS.to_vec(),
            connections_per_workload: limits::ORIGINS_PER_WORKLOAD,
            refuse_unmatched: Vec::new(),
        });
    }
    let mut section = root.section("interception", findings)?;
    let ports = if section.has("ports") { guarded_ports(&mut section, findings) } else { Some(vec![3306]) };
    let refused_ports = refused_ports(&mut section, ports.as_deref(), findings);
    let listen_port = section.port("listen_port", findings);
    if let Some(found) = &listen_port {
        check_listen_port(found, ports.as_deref(), refused_ports.as_deref(), findings);
    }
    let connections = connections_per_workload(&mut section, findings);
    let refuse_unmatched = refuse_unmatched(&mut section, findings);
    section.finish(findings);
    Some(Interception {
        ports: ports?,
        listen_port: listen_port.map_or(0, |found| found.value),
        refused_ports: refused_ports?,
        connections_per_workload: connections?,
        refuse_unmatched,
    })
}

fn refuse_unmatched(section: &mut Section<'_>, findings: &mut Findings<'_>) -> Vec<PathBuf> {
    let Some(found) = section.strings("refuse_unmatched", findings) else { return Vec::new() };
    if found.value.len() > REFUSE_UNMATCHED_MAX {
        let message = format!("has {} cgroups: write at most {REFUSE_UNMATCHED_MAX}", found.value.len());
        findings.error(&found.spot, message);
    }
    let mut seen = Seen::default();
    let mut cgroups = Vec::new();
    for text in &found.value {
        if let Some(cgroup) = checked(text, names::check_cgroup, findings) {
            seen.once(&cgroup.display().to_string(), &text.spot, findings);
            cgroups.push(cgroup);
        }
    }
    cgroups
}

fn connections_per_workload(section: &mut Section<'_>, findings: &mut Findings<'_>) -> Option<u32> {
    if !section.has("connections_per_workload") {
        return Some(limits::ORIGINS_PER_WORKLOAD);
    }
    let found = section.number("connections_per_workload", findings)?;
    if !(1..=limits::ORIGINS_MAX).contains(&found.value) {
        let message = format!("`{}` is out of range: write 1 to {}", found.value, limits::ORIGINS_MAX);
        findings.error(&found.spot, message);
    }
    Some(found.value)
}

fn check_listen_port(
    found: &Located<u16>,
    guarded: Option<&[u16]>,
    refused: Option<&[u16]>,
    findings: &mut Findings<'_>,
) {
    let port = found.value;
    let holds = |ports: Option<&[u16]>| ports.is_some_and(|ports| ports.contains(&port));
    let what = match (holds(guarded), holds(refused)) {
        (true, _) => "an intercepted",
        (false, true) => "a refused",
        (false, false) => return,
    };
    findings.error(&found.spot, format!("`{port}` is {what} port: write another, or 0 for any free port"));
}

fn guarded_ports(section: &mut Section<'_>, findings: &mut Findings<'_>) -> Option<Vec<u16>> {
    let found = ports(section, "ports", findings)?;
    if !(1..=GUARDED_PORTS_MAX).contains(&found.value.len()) {
        let message = format!("has {} ports: write 1 to {GUARDED_PORTS_MAX}, such as `[3306]`", found.value.len());
        findings.error(&found.spot, message);
    }
    Some(found.value.iter().map(|port| port.value).collect())
}

/// None of the guarded ones; by default, those of the well-known ones that are not guarded.
fn refused_ports(section: &mut Section<'_>, guarded: Option<&[u16]>, findings: &mut Findings<'_>) -> Option<Vec<u16>> {
    let is_guarded = |port: u16| guarded.is_some_and(|ports| ports.contains(&port));
    if !section.has("refused_ports") {
        return Some(REFUSED_PORTS.into_iter().filter(|port| !is_guarded(*port)).collect());
    }
    let found = ports(section, "refused_ports", findings)?;
    for port in found.value.iter().filter(|port| is_guarded(port.value)) {
        let message = format!("`{}` is intercepted: write it in one of `ports` and `refused_ports`", port.value);
        findings.error(&port.spot, message);
    }
    if found.value.len() > REFUSED_PORTS_MAX {
        findings.error(&found.spot, format!("has {} ports: write at most {REFUSED_PORTS_MAX}", found.value.len()));
    }
    Some(found.value.iter().map(|port| port.value).collect())
}

/// A list of ports, none 0 and none twice.
fn ports(
    section: &mut Section<'_>,
    key: &'static str,
    findings: &mut Findings<'_>,
) -> Option<Located<Vec<Located<u16>>>> {
    let found = section.ports(key, findings)?;
    let mut seen = Seen::default();
    for port in &found.value {
        if port.value == 0 {
            findings.error(&port.spot, "`0` is not a port: write a number from 1 to 65535");
        }
        seen.once(&port.value.to_string(), &port.spot, findings);
    }
    Some(found)
}
