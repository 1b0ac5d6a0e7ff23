//! Statements and answers as the `mariadb` and `mysql` clients lay them out.

use std::io::{self, Write};

use portreeve_policy::Flavour;
use portreeve_recording::{Closed, Command, Decision, Login, Response};

use super::table;
use crate::cli::recorded::{About, Exchange};
use crate::cli::render::{self, escape, text, time};

/// The session's first lines.
pub(super) fn login(about: &About, login: &Login<'_>, at_unix_ns: u64, out: &mut impl Write) -> io::Result<()> {
    let shown = |name: Option<&str>| name.map_or("-".to_owned(), |name| escape(name.as_bytes()));
    writeln!(
        out,
        "-- {}  session {} of {}, at {} as {}",
        time(at_unix_ns, 3),
        about.id,
        shown(about.workload.as_deref().map(render::workload_name)),
        shown(about.server.as_deref()),
        shown(about.credential.as_deref()),
    )?;
    match &login.error {
        Some(error) => {
            writeln!(out, "ERROR {} ({}): {}", error.code, shown(Some(&error.sqlstate)), shown(Some(&error.message)))
        }
        None => writeln!(
            out,
            "Your connection id is {}\nServer version: {}\n",
            login.server_connection_id,
            shown(Some(&login.server_version))
        ),
    }
}

pub(super) fn closed(closed: &Closed<'_>, at_unix_ns: u64, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "-- {}  closed: {}", time(at_unix_ns, 3), escape(closed.reason.as_bytes()))
}

/// The prompt and what was typed, as it were.
pub(super) fn asked(about: &About, exchange: &Exchange, out: &mut impl Write) -> io::Result<()> {
    let schema = exchange.statement.schema.as_deref().map(|schema| escape(schema.as_bytes()));
    let prompt = match about.flavour {
        Some(Flavour::MariaDb) => format!("MariaDB [{}]> ", schema.as_deref().unwrap_or("(none)")),
        Some(Flavour::MySql) | None => "mysql> ".to_owned(),
    };
    let mut typed = typed(exchange);
    let parameters = &exchange.statement.parameters;
    if !parameters.is_empty() {
        let shown: Vec<_> = parameters.iter().map(render::sql).collect();
        typed.push_str(&format!("  -- with [{}]", shown.join(", ")));
    }
    // Each further line as the clients ask for it.
    let indent = format!("{:>1$}", "-> ", prompt.chars().count());
    writeln!(out, "{prompt}{}", typed.replace('\n', &format!("\n{indent}")))
}

/// The statement, its lines as they are.
fn typed(exchange: &Exchange) -> String {
    let kept = exchange.text();
    let lines: Vec<_> = kept.kept().split(|byte| *byte == b'\n').map(|line| escape(line.trim_ascii_end())).collect();
    let cut = if kept.truncated { format!("… ({} bytes)", kept.length) } else { String::new() };
    let sql = lines.join("\n");
    match exchange.statement.command {
        Command::Query => format!("{sql}{cut};"),
        Command::Prepare => format!("PREPARE #{} FROM {sql}{cut};", exchange.statement.number),
        Command::Execute | Command::BulkExecute => {
            let number = exchange.statement.prepared.map_or("?".to_owned(), |number| number.to_string());
            format!("EXECUTE #{number};  -- {}{cut}", sql.replace('\n', " "))
        }
        Command::InitDb => format!("USE {sql}"),
        Command::Fetch
        | Command::SendLongData
        | Command::Reset
        | Command::Close
        | Command::FieldList
        | Command::Ping
        | Command::Statistics
        | Command::SetOption
        | Command::ResetConnection
        | Command::ChangeUser
        | Command::Quit
        | Command::LocalInfile
        | Command::Refused { .. }
        | Command::Admin { .. } => {
            format!("-- {} {}", text::command(exchange.statement.command), sql.replace('\n', " ")).trim_end().to_owned()
        }
    }
}

/// The verdict, and what the server said.
pub(super) fn answered(about: &About, exchange: &Exchange, out: &mut impl Write) -> io::Result<()> {
    if let Some(verdict) = &exchange.verdict {
        let by =
            if verdict.policies.is_empty() { String::new() } else { format!("  [{}]", verdict.policies.join(", ")) };
        let by = escape(by.as_bytes());
        match verdict.decision {
            Decision::Allow => writeln!(out, "-- allowed{by}")?,
            Decision::WouldDeny => {
                writeln!(out, "-- forwarded, but would be denied: {}{by}", escape(verdict.reason.as_bytes()))?;
            }
            Decision::Deny => writeln!(out, "-- denied: {}{by}", escape(verdict.reason.as_bytes()))?,
        }
    }
    if let Some(forwarded) = &exchange.forwarded {
        writeln!(out, "-- forwarded as: {}", render::sql(forwarded))?;
    }
    table::write(&exchange.rows, out)?;
    if let Some(response) = &exchange.response {
        writeln!(out, "{}", summary(about, exchange.statement.command, response))?;
    }
    if let Some(abandoned) = &exchange.abandoned {
        writeln!(out, "-- the client left: {}", escape(abandoned.detail.as_bytes()))?;
    }
    writeln!(out)
}

/// The line that the client ends an answer with. It is about all rows, whether they are recorded or not.
fn summary(about: &About, command: Command, response: &Response<'_>) -> String {
    if let Some(error) = &response.error {
        let (sqlstate, message) = (escape(error.sqlstate.as_bytes()), escape(error.message.as_bytes()));
        return format!("ERROR {} ({sqlstate}): {message}", error.code);
    }
    let seconds = response.duration_ns as f64 / 1e9;
    let time = match about.flavour {
        Some(Flavour::MariaDb) => format!("({seconds:.3} sec)"),
        Some(Flavour::MySql) | None => format!("({seconds:.2} sec)"),
    };
    let warnings = match response.warnings {
        0 => String::new(),
        count => format!(", {}", counted(count.into(), "warning")),
    };
    match (command, response.result_sets, response.rows) {
        (Command::InitDb, ..) => "Database changed".to_owned(),
        (_, 0, _) => format!("Query OK, {} affected{warnings} {time}", counted(response.affected_rows, "row")),
        (_, _, 0) => format!("Empty set{warnings} {time}"),
        (_, 1, rows) => format!("{} in set{warnings} {time}", counted(rows, "row")),
        (_, sets, rows) => format!("{} in {sets} sets{warnings} {time}", counted(rows, "row")),
    }
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
