//! `portreeve policy check`

use super::{NO, list, print_json, shown};
use crate::{
    cli::{USAGE, render},
    config::{Config, Problem},
    policies::{self, PolicyError},
};
use clap::Args;
use portreeve_policy::{Case, Decision, Failure, Outcome, Policies};
use serde::Serialize;
use std::{
    collections::HashMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    /// Policy files, or folders of `*.cedar` files; by default those of the configuration
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// A file of cases, or a folder of them, instead of the `cases` folders beside the policies; may be given several times
    #[arg(long = "cases", value_name = "PATH")]
    cases: Vec<PathBuf>,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Default, Serialize)]
struct Checked {
    ok: bool,
    problems: Vec<Problem>,
    policies: Vec<String>,
    /// How many were run.
    cases: usize,
    failed: Vec<Failed>,
}

#[derive(Debug, Serialize)]
struct Failed {
    file: PathBuf,
    #[serde(flatten)]
    failure: Failure,
}

pub(super) fn run(args: &CheckArgs, config: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let paths = if args.paths.is_empty() { Config::read(config)?.policy_paths } else { args.paths.clone() };
    let checked = checked(args, &paths);
    if !args.json {
        return tell(checked?, out);
    }
    let (checked, code) = match checked {
        Ok(checked) if checked.ok => (checked, ExitCode::SUCCESS),
        Ok(checked) => (checked, ExitCode::from(NO)),
        Err(error) => (Checked { problems: error.problems(), ..Checked::default() }, ExitCode::from(USAGE)),
    };
    print_json(out, &checked)?;
    Ok(code)
}

fn checked(args: &CheckArgs, paths: &[PathBuf]) -> Result<Checked, PolicyError> {
    let policies = policies::load(paths)?;
    let ids = policies.ids().map(str::to_owned).collect();
    let files = if args.cases.is_empty() { beside(paths)? } else { given(&args.cases)? };
    let mut running = Running { policies, sets: HashMap::new(), count: 0, failed: Vec::new() };
    for file in &files {
        running.file(file)?;
    }
    let Running { count: cases, failed, .. } = running;
    Ok(Checked { ok: failed.is_empty(), problems: Vec::new(), policies: ids, cases, failed })
}

fn tell(checked: Checked, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let Checked { policies, cases, failed, .. } = checked;
    let colon = if policies.is_empty() { "" } else { ": " };
    writeln!(out, "{} policies are valid{colon}{}", policies.len(), policies.join(", "))?;
    for Failed { file, failure } in &failed {
        writeln!(out, "{}:{}: {}", render::path(file), failure.line, shown(&failure.sql))?;
        writeln!(out, "  expected  {}", outcome(&failure.expected))?;
        writeln!(out, "  found     {}", outcome(&failure.found))?;
    }
    if failed.is_empty() {
        if cases > 0 {
            writeln!(out, "{cases} cases hold")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    out.flush()?;
    eprintln!(
        "portreeve: {} of {cases} cases do not hold: correct the policies, or what the cases expect",
        failed.len()
    );
    Ok(ExitCode::from(NO))
}

fn outcome(outcome: &Outcome) -> String {
    let word = match outcome.decision {
        Decision::Allow => "allow",
        Decision::Deny => "deny",
    };
    let ids = outcome.ids.as_ref().map(|ids| format!(" by {}", list(ids))).unwrap_or_default();
    let lifted = outcome.lifted.as_ref().filter(|lifted| !lifted.is_empty());
    let lifted = lifted.map(|lifted| format!(", lifted {}", list(lifted))).unwrap_or_default();
    let reason = outcome.reason.as_ref().map(|reason| format!(": {}", shown(reason))).unwrap_or_default();
    format!("{word}{ids}{lifted}{reason}")
}

/// The sets of policies that cases are run against, each loaded once.
struct Running {
    /// Those that are being checked, for cases that name none.
    policies: Policies,
    sets: HashMap<Vec<PathBuf>, Policies>,
    count: usize,
    failed: Vec<Failed>,
}

impl Running {
    fn file(&mut self, file: &Path) -> Result<(), PolicyError> {
        let text = fs::read_to_string(file).map_err(|error| PolicyError::Unreadable(file.to_owned(), error))?;
        let cases = Case::read_all(&file.display().to_string(), &text);
        for case in cases.map_err(|problem| PolicyError::Invalid(vec![problem]))? {
            self.count += 1;
            let policies = match named(file, &case) {
                named if named.is_empty() => &self.policies,
                named => match self.sets.entry(named) {
                    std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                    std::collections::hash_map::Entry::Vacant(place) => {
                        let loaded = policies::load(place.key())?;
                        place.insert(loaded)
                    }
                },
            };
            if let Err(failure) = case.check(policies) {
                self.failed.push(Failed { file: file.to_owned(), failure: *failure });
            }
        }
        Ok(())
    }
}

/// The policy files that a case names: below the folder that holds its folder `cases`, else below its own.
fn named(file: &Path, case: &Case) -> Vec<PathBuf> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let root = match folder.file_name() {
        Some(name) if name == "cases" => folder.parent().unwrap_or(folder),
        Some(_) | None => folder,
    };
    case.policies.iter().map(|path| root.join(path)).collect()
}

/// The files of the folders `cases` in the policies' folders and beside them.
fn beside(paths: &[PathBuf]) -> Result<Vec<PathBuf>, PolicyError> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for path in paths {
        let whole = path.canonicalize().map_err(|error| PolicyError::Unreadable(path.clone(), error))?;
        let folder = if whole.is_dir() { Some(whole.as_path()) } else { whole.parent() };
        for near in folder.into_iter().flat_map(|folder| [Some(folder), folder.parent()]).flatten() {
            let cases = near.join("cases");
            if cases.is_dir() && !folders.contains(&cases) {
                folders.push(cases);
            }
        }
    }
    given(&folders)
}

/// Files, and the `*.toml` files of folders in the order of their names.
fn given(paths: &[PathBuf]) -> Result<Vec<PathBuf>, PolicyError> {
    let mut files = Vec::new();
    for path in paths {
        policies::collect(path, "toml", &mut files).map_err(|error| PolicyError::Unreadable(path.clone(), error))?;
    }
    Ok(files)
}
