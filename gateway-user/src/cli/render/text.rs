//! Records as lines for people: time, session, workload, what happened.

use std::borrow::Cow;

use portreeve_recording::{
    Chosen, Closed, Command, Decision, Entry, ErrorText, Login, Opened, Record, Response, Rows, Statement, Transport,
    Verdict,
};
use uuid::Uuid;

use super::{duration, escape, short_id, sql, time, workload_name};

/// The lines of one session. A statement waits for its verdict, so that both are one line.
#[derive(Debug)]
pub(crate) struct SessionText {
    short_id: String,
    workload: String,
    pending: Option<Pending>,
}

/// A statement without a verdict yet.
#[derive(Debug)]
struct Pending {
    at_unix_ns: u64,
    number: u64,
    label: Cow<'static, str>,
    sql: String,
}

impl SessionText {
    pub(crate) fn new(id: Uuid) -> Self {
        Self { short_id: short_id(id), workload: "-".to_owned(), pending: None }
    }

    /// Of a session whose opening is not among the records.
    pub(crate) fn of(id: Uuid, workload: Option<&str>) -> Self {
        let workload = workload.map_or("-".to_owned(), |id| shown(workload_name(id)));
        Self { workload, ..Self::new(id) }
    }

    /// Hands the lines of the next record to `line`, each with its time.
    pub(crate) fn take(&mut self, entry: &Entry<'_>, line: &mut impl FnMut(u64, String)) {
        let at = entry.at_unix_ns;
        if let Record::Opened(opened) = &entry.record {
            self.workload = opened.workload.as_deref().map_or("-".to_owned(), |id| shown(workload_name(id)));
        }
        let what = match &entry.record {
            Record::Statement(statement) => {
                self.flush(line);
                self.pending = Some(Pending::new(at, statement));
                return;
            }
            Record::Verdict(verdict) => {
                let asked = self.pending.take_if(|pending| pending.number == verdict.number);
                self::verdict(verdict, asked.as_ref())
            }
            Record::Opened(opened) => self::opened(opened),
            Record::Login(login) => self::login(login),
            Record::Response(response) => self::response(response),
            Record::Closed(closed) => self::closed(closed),
            Record::Transport(transport) => self::transport(transport),
            Record::Abandoned(abandoned) => format!("left   {}", shown(&abandoned.detail)),
            Record::Forwarded(forwarded) => format!("as     {}", sql(&forwarded.sql)),
            Record::Chosen(chosen) => self::chosen(chosen),
            Record::Rows(rows) => self::rows(rows),
            Record::Host(host) => super::host::text(host),
            // For programs: `portreeve verify` says what signatures prove, the verdict what was asked.
            Record::Checkpoint(_) | Record::Sealed(_) | Record::Facts(_) => return,
        };
        self.flush(line);
        line(at, self.line(at, &what));
    }

    /// Hands over the line of a statement that still waits for its verdict.
    pub(crate) fn flush(&mut self, line: &mut impl FnMut(u64, String)) {
        if let Some(Pending { at_unix_ns, label, sql, .. }) = self.pending.take() {
            line(at_unix_ns, self.line(at_unix_ns, &format!("{:<6} {sql}", label)));
        }
    }

    fn line(&self, at_unix_ns: u64, what: &str) -> String {
        format!("{}  {}  {:<12}  {}", time(at_unix_ns, 3), self.short_id, self.workload, what.trim_end())
    }
}

impl Pending {
    fn new(at_unix_ns: u64, statement: &Statement<'_>) -> Self {
        let mut sql = sql(&statement.sql);
        if let Some(prepared) = statement.prepared {
            sql.push_str(&format!("  prepared by #{prepared}"));
        }
        if !statement.parameters.is_empty() {
            let parameters: Vec<_> = statement.parameters.iter().map(super::sql).collect();
            sql.push_str(&format!("  with [{}]", parameters.join(", ")));
        }
        Self { at_unix_ns, number: statement.number, label: command(statement.command), sql }
    }
}

/// The name of a command in lines and JSON.
pub(crate) fn command(command: Command) -> Cow<'static, str> {
    Cow::Borrowed(match command {
        Command::Query => "query",
        Command::Prepare => "prepare",
        Command::Execute => "execute",
        Command::Fetch => "fetch",
        Command::SendLongData => "send_long_data",
        Command::Reset => "reset",
        Command::Close => "close",
        Command::InitDb => "init_db",
        Command::FieldList => "field_list",
        Command::Ping => "ping",
        Command::Statistics => "statistics",
        Command::SetOption => "set_option",
        Command::ResetConnection => "reset_connection",
        Command::ChangeUser => "change_user",
        Command::Quit => "quit",
        Command::LocalInfile => "local_infile",
        Command::BulkExecute => "bulk_execute",
        Command::Refused { code } | Command::Admin { code } => return Cow::Owned(format!("command_{code:#04x}")),
    })
}

/// The name of a decision in JSON.
pub(crate) fn decision(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Deny => "deny",
        Decision::WouldDeny => "would_deny",
    }
}

fn shown(text: &str) -> String {
    escape(text.as_bytes())
}

fn opened(opened: &Opened<'_>) -> String {
    let known = |name: &Option<Cow<'_, str>>| name.as_deref().map_or("-".to_owned(), shown);
    let evidence = &opened.evidence;
    format!(
        "opened {} as {}, {} -> {}, {} (pid {}, uid {})",
        known(&opened.server),
        known(&opened.credential),
        shown(&opened.client_address),
        shown(&opened.original_destination),
        shown(&evidence.comm),
        evidence.pid,
        evidence.uid,
    )
}

fn login(login: &Login<'_>) -> String {
    let said = if login.accepted { "login " } else { "login refused" };
    let schema = login.schema.as_deref().map(|schema| format!(", schema {}", shown(schema))).unwrap_or_default();
    let error = login.error.as_ref().map(|error| format!(": {}", self::error(error))).unwrap_or_default();
    format!("{said} {}{schema}, server {}{error}", shown(&login.user), shown(&login.server_version))
}

fn verdict(verdict: &Verdict<'_>, asked: Option<&Pending>) -> String {
    let class = shown(&verdict.class);
    let asked = asked.map_or(format!("#{}", verdict.number), |asked| asked.sql.clone());
    let policies = match verdict.policies.is_empty() {
        true => String::new(),
        false => format!("  [{}]", shown(&verdict.policies.join(", "))),
    };
    match verdict.decision {
        Decision::Allow => format!("allow  {class:<8} {asked}{policies}"),
        Decision::WouldDeny => format!("would deny {class:<8} {asked}  ({}){policies}", shown(&verdict.reason)),
        Decision::Deny => format!("deny   {class:<8} {asked}  ({}){policies}", shown(&verdict.reason)),
    }
}

fn response(response: &Response<'_>) -> String {
    let Response { rows, affected_rows, warnings, .. } = response;
    let mut line = match &response.error {
        Some(error) => format!("error  {}", self::error(error)),
        None if response.result_sets > 0 => format!("       rows={rows}"),
        None => format!("       affected={affected_rows}"),
    };
    if *warnings > 0 {
        line.push_str(&format!(" warnings={warnings}"));
    }
    line.push_str(&format!(" {}", duration(response.duration_ns)));
    line
}

fn rows(rows: &Rows<'_>) -> String {
    // What they hold is for `replay` and `--json`: a line would not.
    let count = rows.values.len() / rows.columns.len().max(1);
    let more = if rows.truncated { ", those that follow are not" } else { "" };
    format!("       {count} recorded{more}")
}

fn closed(closed: &Closed<'_>) -> String {
    let Closed { statements, bytes_to_client, bytes_to_server, .. } = closed;
    let plural = if *statements == 1 { "" } else { "s" };
    format!(
        "closed {}; {statements} statement{plural}, {bytes_to_client} bytes to client, {bytes_to_server} to server",
        shown(&closed.reason)
    )
}

fn chosen(chosen: &Chosen<'_>) -> String {
    let facts = [
        ("unit", &chosen.unit),
        ("container", &chosen.container),
        ("pod", &chosen.pod),
        ("exe", &chosen.exe),
        ("sha256", &chosen.sha256),
    ];
    let facts = facts.into_iter().filter_map(|(what, fact)| Some(format!("; {what} {}", shown(fact.as_ref()?))));
    format!("chosen by {}{}", shown(&chosen.selector), facts.collect::<String>())
}

fn transport(transport: &Transport<'_>) -> String {
    let leg = |tls: &Option<Cow<'_, str>>, compression: &Option<Cow<'_, str>>| {
        let parts: Vec<_> = [tls, compression].into_iter().flatten().map(|part| shown(part)).collect();
        if parts.is_empty() { "plain".to_owned() } else { parts.join(", ") }
    };
    let client = leg(&transport.client_tls, &transport.client_compression);
    let server = leg(&transport.server_tls, &transport.server_compression);
    format!("carried by {client} to the client; {server} to the server")
}

fn error(error: &ErrorText<'_>) -> String {
    format!("{} ({}) {}", error.code, shown(&error.sqlstate), shown(&error.message))
}
