//! `portreeve tag` and `portreeve untag`

use super::{Usage, print_json, workloads};
use crate::{
    admin::{
        TagRequest, client,
        message::{Request, Response, legal_cgroup},
    },
    config::{Config, names},
    host,
};
use anyhow::bail;
use clap::Args;
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

#[derive(Debug, Args)]
pub(super) struct TagArgs {
    /// The cgroup: below the cgroup v2 mount, or an absolute path in it
    #[arg(long, value_name = "PATH")]
    cgroup: PathBuf,
    /// A workload of the configuration, or a new name
    #[arg(long, value_name = "NAME", value_parser = workload)]
    workload: String,
    /// A group of a new workload; may be given several times
    #[arg(long = "group", value_name = "GROUP", value_parser = group)]
    groups: Vec<String>,
    /// The SPIFFE ID of a new workload, if not spiffe://<trust domain>/<name>
    #[arg(long, value_name = "ID", value_parser = spiffe_id)]
    spiffe_id: Option<String>,
    /// Print the workload as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct UntagArgs {
    /// The cgroup: below the cgroup v2 mount, or an absolute path in it
    #[arg(long, value_name = "PATH")]
    cgroup: PathBuf,
    /// Print the workload that it was as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn tag(args: &TagArgs, config: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let config = Config::read(config)?;
    let request = TagRequest {
        cgroup: below_mount(&args.cgroup)?,
        workload: args.workload.clone(),
        groups: args.groups.clone(),
        spiffe_id: args.spiffe_id.clone(),
    };
    // Asked here first: the same question to the daemon would be answered with exit code 1 rather than 2.
    request.resolve(&config).map_err(|error| Usage(format!("{error:#}")))?;
    let Response::Tagged { workload } = client::ask(&config.control_socket(), &Request::Tag(request))? else {
        bail!("portreeve answered something else than was asked: are command and daemon of one version?");
    };
    if args.json {
        print_json(out, &workload)?;
    } else {
        writeln!(out, "tagged: {}", workloads::line(&workload))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn untag(args: &UntagArgs, config: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let config = Config::read(config)?;
    let request = Request::Untag { cgroup: below_mount(&args.cgroup)? };
    let Response::Untagged { workload } = client::ask(&config.control_socket(), &request)? else {
        bail!("portreeve answered something else than was asked: are command and daemon of one version?");
    };
    if args.json {
        print_json(out, &workload)?;
    } else {
        writeln!(out, "untagged: {}", workloads::line(&workload))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn below_mount(cgroup: &Path) -> anyhow::Result<PathBuf> {
    let below = if cgroup.is_absolute() {
        let mount = host::cgroup2_mount()?;
        let below = cgroup.strip_prefix(&mount).map_err(|_| {
            Usage(format!(
                "`{}` is not below the cgroup v2 mount `{}`: give a path in it",
                cgroup.display(),
                mount.display()
            ))
        })?;
        below.to_owned()
    } else {
        cgroup.to_owned()
    };
    legal_cgroup(&below).map_err(|error| Usage(format!("--cgroup {error:#}")).into())
}

fn workload(text: &str) -> Result<String, String> {
    names::check_workload(text).map(|()| text.to_owned())
}

fn group(text: &str) -> Result<String, String> {
    names::check_group(text).map(|()| text.to_owned())
}

fn spiffe_id(text: &str) -> Result<String, String> {
    names::check_spiffe_id(text).map(|()| text.to_owned())
}
