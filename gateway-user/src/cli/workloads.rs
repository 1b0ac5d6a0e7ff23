//! `portreeve workloads`

use super::{print_json, render::path};
use crate::{
    admin::{
        Source, WorkloadView, client,
        message::{Request, Response},
    },
    config::Config,
};
use anyhow::bail;
use clap::Args;
use std::{io::Write, path::Path, process::ExitCode};

#[derive(Debug, Args)]
pub(super) struct WorkloadsArgs {
    /// Print the workloads as a JSON array
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &WorkloadsArgs, config: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let socket = Config::read(config)?.control_socket();
    let Response::Workloads { workloads } = client::ask(&socket, &Request::Workloads {})? else {
        bail!("portreeve answered something else than was asked: are command and daemon of one version?");
    };
    if args.json {
        print_json(out, &workloads)?;
    } else if workloads.is_empty() {
        writeln!(out, "no cgroup is tagged: name one under `[[workload]]`, or with `portreeve tag`")?;
    } else {
        workloads.iter().try_for_each(|workload| writeln!(out, "{}", line(workload)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A workload in one line.
pub(super) fn line(workload: &WorkloadView) -> String {
    let by = match workload.source {
        Source::Config => "configured",
        Source::Tag => "by tag",
    };
    let groups = if workload.groups.is_empty() { "no groups".to_owned() } else { workload.groups.join(", ") };
    let there = if workload.cgroup_id.is_some() { "" } else { " (does not exist yet)" };
    let selectors: String = workload.selectors.iter().map(|selector| format!(" by `{selector}`")).collect();
    format!(
        "{}  {}  cgroup {}{there}  groups: {groups}  {by}{selectors}  {} open",
        workload.workload,
        workload.spiffe_id,
        path(&workload.cgroup),
        workload.sessions_open,
    )
}
