//! `cargo xtask corpus`: how much of what a server takes analysis reads.

mod accepted;
mod split;

pub(crate) use accepted::{tests_below, tests_of_mariadb};
pub(crate) use split::statements as statements_of;

use anyhow::{Result, bail};
use portreeve_policy::{Catalogue, Context, Facts, Flavour, Request, analyse, second_reading};
use serde::Serialize;
use std::collections::BTreeMap;

/// Analyse every statement of MariaDB's own suite that a MariaDB takes, and print which share gets facts, by verb.
///
/// What the server takes is asked of a MariaDB once and kept in target/corpus.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask corpus                      the table\n  cargo xtask corpus --show CREATE        what is not read of a verb\n  cargo xtask corpus --json               for a machine"
)]
pub(crate) struct Args {
    /// Print statements of this verb that are not read, with the reason.
    #[arg(long, value_name = "VERB")]
    show: Option<String>,
    /// How many to print.
    #[arg(long, default_value_t = 50)]
    most: usize,
    /// Print statements that sqlparser, as a second reader, reads otherwise.
    #[arg(long)]
    second: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// Ask the server again.
    #[arg(long)]
    fresh: bool,
    /// Fail when a smaller share is read, in percent.
    #[arg(long, default_value_t = 99.5)]
    least: f64,
}

/// What came of the statements of one verb.
#[derive(Debug, Default, Serialize)]
struct Verb {
    total: usize,
    unparsed: usize,
    /// How many were not read, by reason.
    reasons: BTreeMap<String, usize>,
}

/// Errors when less than the least share is read.
pub(crate) fn run(args: &Args) -> Result<()> {
    let statements = accepted::statements(args.fresh)?;
    let mut verbs: BTreeMap<String, Verb> = BTreeMap::new();
    let mut shown = 0;
    let mut second = 0;
    for statement in &statements {
        let facts = facts(statement);
        let name = verb(statement);
        let verb = verbs.entry(name.clone()).or_default();
        verb.total += 1;
        if args.second {
            second += usize::from(differs(statement, &facts));
        }
        let Some(reason) = unread(&facts) else { continue };
        if shown < args.most
            && args.show.as_ref().is_some_and(|wanted| wanted.eq_ignore_ascii_case(&name) || wanted == "all")
        {
            shown += 1;
            println!("-- {reason}\n{}\n", String::from_utf8_lossy(statement));
        }
        verb.unparsed += 1;
        *verb.reasons.entry(reason.to_owned()).or_default() += 1;
    }
    if args.second {
        println!("{second} statements are read otherwise by the second reader");
    }
    report(args, &verbs)
}

fn facts(statement: &[u8]) -> Facts {
    let catalogue = Catalogue::default();
    analyse(statement, &context(&catalogue))
}

fn context(catalogue: &Catalogue) -> Context<'_> {
    Context { default_schema: Some("test"), version: 101_114, catalogue, ..Context::new("corpus", Flavour::MariaDb) }
}

fn unread(facts: &Facts) -> Option<&str> {
    facts.statements.iter().find_map(|statement| statement.unparsed.as_deref())
}

/// The first word in upper case, behind comments and parentheses.
fn verb(statement: &[u8]) -> String {
    let text = String::from_utf8_lossy(statement);
    behind_comments(&text)
        .chars()
        .take_while(|character| character.is_alphanumeric())
        .collect::<String>()
        .to_uppercase()
}

/// A statement from its first word on: without the parentheses and comments before it, but for executable ones.
pub(crate) fn behind_comments(statement: &str) -> &str {
    let mut rest = statement;
    loop {
        rest = rest.trim_start_matches(|character: char| character.is_whitespace() || character == '(');
        match rest.strip_prefix("/*").filter(|comment| !comment.starts_with(['!', 'M'])) {
            Some(comment) => rest = comment.split_once("*/").map_or("", |(_, after)| after),
            None => return rest,
        }
    }
}

/// Whether the second reader finds other requests; both are printed then.
fn differs(statement: &[u8], facts: &Facts) -> bool {
    let catalogue = Catalogue::default();
    let Ok(text) = std::str::from_utf8(statement) else { return false };
    let ([ours], Some(theirs)) = (facts.statements.as_slice(), second_reading(text, &context(&catalogue))) else {
        return false;
    };
    let (ours, theirs) = (requests(&ours.requests), requests(&theirs.requests));
    if unread(facts).is_some() || ours == theirs {
        return false;
    }
    println!("-- {ours}\n-- second: {theirs}\n{text}\n");
    true
}

fn requests(requests: &[Request]) -> String {
    let mut requests: Vec<_> =
        requests.iter().map(|request| format!("{} {}", request.action, request.resource.id(""))).collect();
    requests.sort();
    requests.join(", ")
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
pub(crate) fn share(read: usize, total: usize) -> f64 {
    100.0 * read as f64 / total.max(1) as f64
}

fn report(args: &Args, verbs: &BTreeMap<String, Verb>) -> Result<()> {
    let total: usize = verbs.values().map(|verb| verb.total).sum();
    let unparsed: usize = verbs.values().map(|verb| verb.unparsed).sum();
    let read = share(total - unparsed, total);
    if args.json {
        println!("{}", serde_json::json!({ "total": total, "unparsed": unparsed, "verbs": verbs }));
    } else if args.show.is_none() {
        table(verbs);
        println!("{total} statements, {unparsed} of them unparsed: {read:.2} % read");
    }
    if read < args.least {
        bail!("{read:.2} % of the corpus is read, {:.2} % are wanted", args.least);
    }
    Ok(())
}

fn table(verbs: &BTreeMap<String, Verb>) {
    let mut rows: Vec<_> = verbs.iter().collect();
    rows.sort_by_key(|(_, verb)| std::cmp::Reverse((verb.unparsed, verb.total)));
    println!("{:<14}{:>8}{:>10}{:>9}", "verb", "total", "unparsed", "read %");
    for (name, verb) in rows {
        println!(
            "{name:<14}{:>8}{:>10}{:>9.2}",
            verb.total,
            verb.unparsed,
            share(verb.total - verb.unparsed, verb.total)
        );
        let mut reasons: Vec<_> = verb.reasons.iter().collect();
        reasons.sort_by_key(|(_, number)| std::cmp::Reverse(**number));
        for (reason, number) in reasons.iter().take(REASONS_SHOWN) {
            println!("{:>22}  {reason}", number);
        }
    }
}

/// Reasons that are printed per verb.
const REASONS_SHOWN: usize = 4;
