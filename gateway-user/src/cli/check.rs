//! `portreeve check`

use super::{USAGE, print_json};
use crate::{
    config::{Config, ConfigProblems, Problem},
    policies,
};
use clap::Args;
use serde::Serialize;
use std::{io::Write, path::Path, process::ExitCode};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Found {
    ok: bool,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    summary: Option<Summary>,
}

#[derive(Debug, Serialize)]
struct Summary {
    trust_domain: String,
    workloads: usize,
    servers: usize,
    credentials: usize,
    policies: usize,
}

pub(super) fn run(args: &CheckArgs, path: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    if args.json {
        let found = found(Config::load(path));
        print_json(out, &found)?;
        return Ok(if found.ok { ExitCode::SUCCESS } else { ExitCode::from(USAGE) });
    }
    let config = Config::load(path)?;
    let policies = policies::load(&config.policy_paths)?;
    for warning in &config.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    let summary = summary(&config, policies.ids().count());
    writeln!(out, "{}: the configuration is right", config.path.display())?;
    writeln!(out, "  trust domain {}", summary.trust_domain)?;
    writeln!(
        out,
        "  {} workloads, {} servers with {} credentials, {} policies",
        summary.workloads, summary.servers, summary.credentials, summary.policies
    )?;
    if summary.policies == 0 {
        writeln!(out, "warning: there is no policy, so every statement will be denied")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn found(loaded: Result<Config, ConfigProblems>) -> Found {
    let config = match loaded {
        Ok(config) => config,
        Err(ConfigProblems(problems)) => return Found { ok: false, problems, warnings: Vec::new(), summary: None },
    };
    match policies::load(&config.policy_paths) {
        Ok(policies) => {
            let summary = Some(summary(&config, policies.ids().count()));
            Found { ok: true, problems: Vec::new(), warnings: config.warnings, summary }
        }
        Err(error) => Found { ok: false, problems: error.problems(), warnings: config.warnings, summary: None },
    }
}

fn summary(config: &Config, policies: usize) -> Summary {
    Summary {
        trust_domain: config.trust_domain.to_string(),
        workloads: config.workloads.len(),
        servers: config.servers.len(),
        credentials: config.servers.iter().map(|server| server.credentials.len()).sum(),
        policies,
    }
}
