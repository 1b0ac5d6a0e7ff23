//! `portreeve status`

use super::print_json;
use crate::{
    admin::{
        NamespaceView, Status, client,
        message::{Request, Response},
    },
    config::{Config, Problem},
};
use anyhow::bail;
use clap::Args;
use std::{fmt::Display, io, io::Write, path::Path, process::ExitCode};

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Print the status as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &StatusArgs, config: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let socket = Config::read(config)?.control_socket();
    let Response::Status { status } = client::ask(&socket, &Request::Status {})? else {
        bail!("portreeve answered something else than was asked: are command and daemon of one version?");
    };
    if args.json {
        print_json(out, &status)?
    } else {
        print(&status, out)?
    }
    Ok(ExitCode::SUCCESS)
}

fn print(status: &Status, out: &mut impl Write) -> io::Result<()> {
    let none = || "none".to_owned();
    let refused = status.refused_connections.iter().map(|(reason, count)| format!("{reason} {count}"));
    if status.observe {
        writeln!(out, "OBSERVES: nothing is denied, {} statements would have been", status.would_deny_total)?;
    }
    writeln!(out, "portreeve {}, process {}, up {}", status.version, status.pid, duration(status.uptime_seconds))?;
    writeln!(out, "build       {}, since {}", status.build, status.started_at)?;
    if status.draining {
        writeln!(out, "draining    a successor has taken over; sessions go on here")?;
    }
    for before in &status.predecessors {
        let (version, pid, sessions) = (&before.version, before.pid, before.sessions_open);
        writeln!(
            out,
            "draining    portreeve {version}, process {pid}, build {}, {sessions} sessions open",
            before.build
        )?;
    }
    writeln!(out, "listening   {}", list(status.listen.iter()).unwrap_or_else(none))?;
    status.namespaces.iter().try_for_each(|namespace| writeln!(out, "            {}", namespace_line(namespace)))?;
    writeln!(out, "workloads   {} tagged cgroups", status.workloads)?;
    writeln!(out, "sessions    {} open, {} in total", status.sessions_open, status.sessions_total)?;
    writeln!(out, "statements  {}, {} of them denied", status.statements_total, status.denied_total)?;
    writeln!(out, "redirected  {}, {} of them held for a listener", status.redirected_total, status.held_total)?;
    if status.connect_events_lost > 0 {
        writeln!(out, "lost        {} events of connects: too many came at once", status.connect_events_lost)?;
    }
    writeln!(out, "refused     {}", list(refused).unwrap_or_else(none))?;
    writeln!(out, "policies    {}, in force since {}", status.policies, status.policy.loaded_at)?;
    if let Some(failure) = &status.policy.last_problem {
        writeln!(out, "            NOT in force: the files as they are since {}", failure.at)?;
        failure.problems.iter().try_for_each(|problem| writeln!(out, "            {}", shown(problem)))?;
    }
    writeln!(out, "pins        {}", status.pins_dir.display())
}

/// `problem` may hold a system's error, but nothing of an agent's.
fn namespace_line(namespace: &NamespaceView) -> String {
    match (&namespace.problem, list(namespace.listen.iter())) {
        (Some(problem), _) => format!("NOT in network namespace {}: {problem}", namespace.inode),
        (None, Some(listen)) => format!("{listen} in network namespace {}", namespace.inode),
        (None, None) => format!("nowhere in network namespace {}", namespace.inode),
    }
}

/// A policy file's own words may hold what a terminal would obey.
fn shown(problem: &Problem) -> String {
    super::render::escape(problem.to_string().as_bytes())
}

fn list(items: impl Iterator<Item = impl Display>) -> Option<String> {
    let texts: Vec<String> = items.map(|item| item.to_string()).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{PolicyFailure, PolicyView};
    use std::collections::BTreeMap;

    #[test]
    fn uptime_is_told_in_its_two_largest_units() {
        let check = |seconds, text: &str| assert_eq!(duration(seconds), text);
        check(0, "0 s");
        check(59, "59 s");
        check(61, "1 min 1 s");
        check(3_600, "1 h 0 min");
        check(86_399, "23 h 59 min");
        check(90_000, "1 d 1 h");
    }

    #[test]
    fn refusals_are_listed_by_reason() {
        let status = Status {
            version: "0.1.0".to_owned(),
            pid: 7,
            uptime_seconds: 1,
            started_at: "2026-01-02T03:04:05Z".to_owned(),
            build: "0123456789abcdef".to_owned(),
            draining: false,
            predecessors: Vec::new(),
            listen: vec!["127.0.0.1:4000".parse().unwrap(), "[::1]:4000".parse().unwrap()],
            namespaces: vec![
                NamespaceView {
                    inode: 77,
                    netns_cookie: Some(9),
                    listen: vec!["127.0.0.1:4001".parse().unwrap()],
                    problem: None,
                },
                NamespaceView {
                    inode: 78,
                    netns_cookie: None,
                    listen: Vec::new(),
                    problem: Some("lo is down".to_owned()),
                },
            ],
            namespaces_ended_total: 1,
            workloads: 2,
            sessions_open: 0,
            sessions_total: 3,
            statements_total: 9,
            denied_total: 1,
            would_deny_total: 5,
            observe: true,
            redirected_total: 5,
            held_total: 2,
            connect_events_lost: 0,
            refused_connections: BTreeMap::from([("no listener".to_owned(), 2), ("no record".to_owned(), 1)]),
            policies: 4,
            policy: PolicyView {
                policies: 4,
                generation: 2,
                loaded_at: "2026-11-24T19:00:00Z".to_owned(),
                failed_loads: 1,
                last_problem: Some(PolicyFailure {
                    at: "2026-11-24T19:05:00Z".to_owned(),
                    problems: vec![Problem {
                        file: "/p/a.cedar".into(),
                        line: Some(3),
                        column: Some(1),
                        key: String::new(),
                        message: "no `@id`".to_owned(),
                    }],
                }),
            },
            pins_dir: "/sys/fs/bpf/portreeve/x".into(),
        };
        let mut out = Vec::new();
        print(&status, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("refused     no listener 2, no record 1\n"), "{text}");
        assert!(text.starts_with("OBSERVES: nothing is denied, 5 statements would have been\n"), "{text}");
        assert!(text.contains("policies    4, in force since 2026-11-24T19:00:00Z\n"), "{text}");
        assert!(text.contains("            /p/a.cedar:3:1: no `@id`\n"), "{text}");
        let listening = "\
listening   127.0.0.1:4000, [::1]:4000
            127.0.0.1:4001 in network namespace 77
            NOT in network namespace 78: lo is down
";
        assert!(text.contains(listening), "{text}");
        assert!(text.contains("redirected  5, 2 of them held for a listener\n"), "{text}");
    }
}
