//! `portreeve policy replay`: recorded statements judged anew, by other policies.

use super::{NO, catalogue, list, print_json, shown};
use crate::{
    cli::{
        recorded::{Analyses, Event, Filter, FilterArgs, FolderArgs, Question, Recording, Unread},
        render,
    },
    policies,
};
use clap::Args;
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

mod changes;
mod judging;
#[cfg(test)]
mod tests;

use changes::Changes;
use judging::Judging;

#[derive(Debug, Default, Args)]
pub(in crate::cli) struct ReplayArgs {
    /// The policies to judge by: files, or folders of `*.cedar` files; may be given several times
    #[arg(long, value_name = "PATH", required = true)]
    policies: Vec<PathBuf>,
    #[command(flatten)]
    folder: FolderArgs,
    /// A file that says which columns tables have, as `policy explain --tables` takes it
    #[arg(long, value_name = "FILE")]
    columns: Option<PathBuf>,
    /// The servers' lower_case_table_names, which is not recorded
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    lower_case_table_names: u8,
    /// Exit code 1 also when a statement cannot be judged from what is recorded, or a recording not be read
    #[arg(long)]
    strict: bool,
    /// Print counts and changes as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

pub(super) fn run(args: &ReplayArgs, config: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let policies = policies::load(&args.policies)?;
    let filter = Filter::new(&args.filter)?;
    let analyses = Analyses::new(catalogue(args.columns.as_deref())?, args.lower_case_table_names);
    let mut judging = Judging { policies: &policies, analyses };
    let mut changes = Changes::default();
    let unread = Unread::default();
    for file in args.folder.files(None, config)? {
        changes.sessions += 1;
        // Damage ends a file, not the command: what came before it is sound.
        if let Err(error) = replay(&file, &filter, &mut judging, &mut changes) {
            changes.unread += 1;
            unread.tell(&file, format_args!("{error:#}"));
        }
    }
    let found = changes.finish();
    if args.json {
        print_json(out, &found)?;
    } else {
        tell(&found, out)?;
    }
    let is_uncertain = !found.not_judged.is_empty() || found.sessions_unread > 0;
    let is_no = found.would_be_denied > 0 || (args.strict && is_uncertain);
    Ok(if is_no { ExitCode::from(NO) } else { ExitCode::SUCCESS })
}

fn replay(file: &Path, filter: &Filter, judging: &mut Judging<'_>, changes: &mut Changes) -> anyhow::Result<()> {
    let mut recording = Recording::open(file)?;
    while let Some(event) = recording.next()? {
        let about = recording.about();
        if !filter.is_session(about) {
            return Ok(());
        }
        match event {
            Event::Exchange(exchange) => {
                let wanted = filter.is_time(exchange.at_unix_ns)
                    && filter.is_statement(about, Question::from(&*exchange), &mut judging.analyses);
                if wanted && let Some(judged) = judging.exchange(about, &exchange) {
                    changes.add(about, judged);
                }
            }
            Event::Record(entry) if filter.is_time(entry.at_unix_ns) && !filter.is_about_statements() => {
                if let Some(judged) = judging.record(about, &entry) {
                    changes.add(about, judged);
                }
            }
            Event::Record(_) => {}
        }
    }
    Ok(())
}

fn tell(found: &changes::Found, out: &mut impl Write) -> anyhow::Result<()> {
    for group in &found.changes {
        let by = match (group.policies.is_empty(), group.was_policies.is_empty()) {
            (false, _) => format!("by {}", list(&group.policies)),
            (true, false) => format!("as no policy permits it (was permitted by {})", list(&group.was_policies)),
            (true, true) => "as no policy permits it".to_owned(),
        };
        writeln!(out, "{} -> {} {by}: {}", group.was, group.now, statements(group.times))?;
        for change in &group.statements {
            let times = if change.times == 1 { String::new() } else { format!("  {} times", change.times) };
            let workload = shown(render::workload_name(&change.workload));
            let (sql, reason) = (shown(&change.sql), shown(&change.reason));
            writeln!(out, "  {workload}  {sql}  ({reason}){times}  first {} in {}", change.at, change.session)?;
        }
    }
    if found.changes_left_out > 0 {
        writeln!(out, "and {} more that are not shown", statements(found.changes_left_out))?;
    }
    for why in &found.not_judged {
        writeln!(out, "not judged: {}, {} of them permitted: {}", statements(why.times), why.permitted, why.reason)?;
    }
    writeln!(
        out,
        "{} of {}: {} unchanged, {} would be denied, {} would be permitted, {} not judged",
        statements(found.statements),
        counted(found.sessions, "session"),
        found.unchanged,
        found.would_be_denied,
        found.would_be_permitted,
        found.not_judged.iter().map(|why| why.times).sum::<u64>(),
    )?;
    Ok(())
}

fn statements(count: u64) -> String {
    counted(count, "statement")
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
