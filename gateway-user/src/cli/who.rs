//! `portreeve who`

use super::{NO, print_json, render::escape};
use crate::{
    admin::{
        WorkloadView, client,
        message::{Request, Response},
    },
    config::Config,
    host,
};
use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;
use std::{
    fs, io,
    io::Write,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

#[derive(Debug, Args)]
pub(super) struct WhoArgs {
    /// The process
    pid: u32,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// What the gateway would take a process for.
#[derive(Debug, Serialize)]
struct Answer {
    pid: u32,
    uid: u32,
    /// The command name, which the process gives itself.
    comm: String,
    /// Below the cgroup v2 mount.
    cgroup: PathBuf,
    /// Of the nearest tagged cgroup; none where connects are not intercepted, or are refused.
    workload: Option<WorkloadView>,
    /// The nearest folder of `refuse_unmatched` that holds it, where it is nobody's.
    refused_below: Option<PathBuf>,
}

pub(super) fn run(args: &WhoArgs, config: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let config = Config::read(config)?;
    let Response::Workloads { workloads } = client::ask(&config.control_socket(), &Request::Workloads {})? else {
        bail!("portreeve answered something else than was asked: are command and daemon of one version?");
    };
    let answer = answer(args.pid, workloads, &config.interception.refuse_unmatched)?;
    if args.json {
        print_json(out, &answer)?;
    } else {
        print(&answer, out)?;
    }
    Ok(if answer.workload.is_some() { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

fn answer(pid: u32, workloads: Vec<WorkloadView>, refuse_unmatched: &[PathBuf]) -> anyhow::Result<Answer> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let gone = || format!("process {pid} cannot be looked at: is it there, and are you root?");
    let cgroups = fs::read_to_string(proc.join("cgroup")).with_context(gone)?;
    let cgroup = host::cgroup2_path(&cgroups).with_context(|| format!("process {pid} is in no cgroup v2"))?;
    let cgroup = PathBuf::from(cgroup);
    let uid = fs::metadata(&proc).with_context(gone)?.uid();
    let comm = fs::read(proc.join("comm")).with_context(gone)?;
    let comm = escape(comm.trim_ascii_end());
    let workload = nearest(&cgroup, workloads, |workload| &workload.cgroup);
    let refused_below = match &workload {
        Some(_) => None,
        None => nearest(&cgroup, refuse_unmatched.to_vec(), |path| path),
    };
    Ok(Answer { pid, uid, comm, cgroup, workload, refused_below })
}

/// The one with the longest path that the cgroup is, or lies below.
fn nearest<T>(cgroup: &Path, all: Vec<T>, path: impl Fn(&T) -> &PathBuf) -> Option<T> {
    let above = all.into_iter().filter(|one| cgroup.starts_with(path(one)));
    above.max_by_key(|one| path(one).components().count())
}

fn print(answer: &Answer, out: &mut impl Write) -> io::Result<()> {
    let Answer { pid, uid, comm, cgroup, workload, refused_below } = answer;
    let cgroup = escape(cgroup.as_os_str().as_encoded_bytes());
    writeln!(out, "process   {pid} ({comm}), uid {uid}, cgroup {cgroup}")?;
    match (workload, refused_below) {
        (Some(workload), _) => {
            writeln!(out, "workload  {}", super::workloads::line(workload))?;
            if !workload.selectors.is_empty() {
                writeln!(out, "          what narrows a selector (uid, exe, sha256) is compared at each connect")?;
            }
            Ok(())
        }
        (None, Some(below)) => {
            let below = below.display();
            writeln!(
                out,
                "workload  none: its connects to guarded ports are refused, as all below `{below}` that are no workload's"
            )
        }
        (None, None) => writeln!(out, "workload  none: its connects are not intercepted"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_folder_above_counts_and_a_longer_name_is_not_below() {
        let all = || ["agents", "agents/a", "agents/ab", "other"].map(PathBuf::from).to_vec();
        let found = |cgroup: &str| nearest(Path::new(cgroup), all(), |path| path);
        assert_eq!(found("agents/a/b/c"), Some("agents/a".into()));
        assert_eq!(found("agents/abc"), Some("agents".into()));
        assert_eq!(found("agents"), Some("agents".into()));
        assert_eq!(found(""), None);
    }

    #[test]
    fn a_process_that_is_not_there_is_said_to_be_gone() {
        let error = answer(u32::MAX, vec![], &[]).unwrap_err();
        assert!(format!("{error:#}").contains("cannot be looked at"), "{error:#}");
    }
}
