//! `portreeve policy suggest`

use super::print_json;
use crate::cli::{
    NO,
    recorded::{FolderArgs, Unread, files, since},
    render,
};
use clap::Args;
use portreeve_policy::Suggested;
use std::{collections::BTreeMap, io::Write, path::Path, process::ExitCode};

mod seen;

use seen::Seen;

#[derive(Debug, Args)]
pub(in crate::cli) struct SuggestArgs {
    #[command(flatten)]
    folder: FolderArgs,
    /// Only this workload: its name or SPIFFE ID; by default every workload that was seen
    #[arg(short, long, value_name = "WORKLOAD")]
    workload: Option<String>,
    /// Only what was recorded since: a time such as 2026-11-24T03:00:00Z, a day, or so long ago (90m, 24h, 7d)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only what was forwarded to a server
    #[arg(long)]
    forwarded: bool,
    /// Permit columns, where it is known which were read and written, instead of their tables
    #[arg(long)]
    columns: bool,
    /// Print policies, counts and what is not covered as JSON
    #[arg(long)]
    json: bool,
}

/// Which sessions and statements count.
#[derive(Debug)]
struct Wanted<'a> {
    workload: Option<&'a str>,
    since_unix_ns: u64,
    forwarded: bool,
}

impl Wanted<'_> {
    fn is_workload(&self, spiffe_id: &str) -> bool {
        self.workload.is_none_or(|wanted| render::is_workload(wanted, Some(spiffe_id)))
    }
}

pub(super) fn run(args: &SuggestArgs, config: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let folder = args.folder.folder(config)?;
    let wanted = Wanted {
        workload: args.workload.as_deref(),
        since_unix_ns: args.since.as_deref().map_or(Ok(0), since)?,
        forwarded: args.forwarded,
    };
    let mut seen = Seen::new(args.columns);
    let unread = Unread::default();
    for file in files(&folder)? {
        // Damage ends a file, not the command: what came before it is sound.
        if let Err(error) = seen.read(&file, &wanted) {
            unread.tell(&file, format_args!("{error:#}"));
        }
    }
    let suggested: BTreeMap<String, Suggested> = seen.finish();
    if args.json {
        print_json(out, &suggested.values().collect::<Vec<_>>())?;
    } else {
        for (index, one) in suggested.values().enumerate() {
            write!(out, "{}{}", if index > 0 { "\n" } else { "" }, one.cedar)?;
        }
    }
    if suggested.is_empty() {
        out.flush()?;
        let whose = args.workload.as_ref().map_or(String::new(), |workload| format!(" of `{workload}`"));
        eprintln!("portreeve: no statement{whose} is recorded in `{}`", render::path(&folder));
        return Ok(unread.exit_code(ExitCode::from(NO)));
    }
    Ok(unread.exit_code(ExitCode::SUCCESS))
}
