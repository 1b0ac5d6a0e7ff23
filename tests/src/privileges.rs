//! The server's privileges that stand for what analysis found in a statement: an account that has just these can run it, if
//! analysis has read it as the server does.

use crate::servers::Flavour;
use anyhow::{Result, bail};

/// The account that gets them.
pub const PROBE: &str = "probe@'127.%'";

/// Access denied to a schema, a table, a column, a routine; a right of the server's that is missing.
pub const DENIED: [u16; 9] = [1044, 1045, 1142, 1143, 1227, 1345, 1370, 1410, 1419];

/// Stands in a request for the fact of that name: MySQL wants a right to change what is locked.
pub const LOCKS_ROWS: &str = "locks_rows";

/// Of a table that is not there, servers give no privileges but with `CREATE`.
pub const NO_SUCH_TABLE: u16 = 1146;

/// The `GRANT` for a table that is not there: see [`NO_SUCH_TABLE`].
pub fn of_missing_table(grant: &str) -> String {
    grant.replacen("GRANT ", "GRANT CREATE, ", 1)
}

/// What a statement asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// As policies name it.
    pub action: String,
    /// The resource.
    pub on: On,
}

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum On {
    /// The server as a whole.
    Server,
    /// A schema.
    Schema(String),
    /// A table or view: schema and name.
    Table(String, String),
    /// A stored procedure or function: schema and name.
    Routine(String, String),
}

/// `GRANT` statements for a request; none for what servers let everybody do.
pub fn grants(request: &Request, flavour: Flavour, statement: &str) -> Result<Vec<String>> {
    let action = request.action.as_str();
    Ok(match &request.on {
        On::Table(schema, table) if is_open(schema) => {
            // Everybody may look at these, as far as they show anything.
            let _ = table;
            vec![]
        }
        On::Table(schema, table) => {
            let mut grants = on_table(action, schema, table, statement)?;
            if statement.starts_with("ALTER VIEW") {
                // The view is somebody else's.
                let right = if flavour == Flavour::MariaDb { "SET USER" } else { "SET_ANY_DEFINER" };
                grants.push(format!("GRANT {right} ON *.* TO {PROBE}"));
            }
            grants
        }
        On::Schema(schema) if is_open(schema) => vec![],
        On::Schema(schema) => on_schema(action, schema)?,
        On::Routine(..) if action == "create_routine" => {
            vec![format!("GRANT CREATE ROUTINE, ALTER ROUTINE ON *.* TO {PROBE}")]
        }
        On::Routine(..) => vec![format!("GRANT EXECUTE, ALTER ROUTINE ON *.* TO {PROBE}")],
        On::Server => {
            on_server(action, flavour)?.map(|right| format!("GRANT {right} ON *.* TO {PROBE}")).into_iter().collect()
        }
    })
}

fn is_open(schema: &str) -> bool {
    schema == "information_schema" || schema == "performance_schema"
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// MariaDB's `DELETE HISTORY`, which has a privilege of its own.
fn is_history(statement: &str) -> bool {
    statement.to_uppercase().contains("DELETE HISTORY")
}

fn on_table(action: &str, schema: &str, table: &str, statement: &str) -> Result<Vec<String>> {
    let (schema, table) = (quoted(schema), quoted(table));
    let rights = match action {
        // A foreign key asks to `select`; servers want REFERENCES.
        "select" => "SELECT, REFERENCES",
        "show" => "SELECT, SHOW VIEW",
        "explain" => "SHOW VIEW",
        "insert" | "load" => "INSERT",
        // docs/policy.md: a change of one table's rows asks for that only, although it reads them.
        "update" => "UPDATE, SELECT",
        LOCKS_ROWS => "UPDATE",
        "delete" if is_history(statement) => "DELETE, SELECT, DELETE HISTORY",
        "delete" => "DELETE, SELECT",
        "replace" => "INSERT, DELETE",
        "create" => "CREATE, CREATE VIEW, INSERT",
        // Of views too, and what looks after tables: ANALYZE, OPTIMIZE, REPAIR.
        "alter" => "ALTER, INSERT, SELECT, CREATE, CREATE VIEW, DROP",
        "drop" | "truncate" => "DROP",
        "rename" => "ALTER, DROP, CREATE, INSERT",
        "index" => "INDEX",
        "lock_tables" => {
            let tables = format!("GRANT SELECT ON {schema}.{table} TO {PROBE}");
            return Ok(vec![format!("GRANT LOCK TABLES ON {schema}.* TO {PROBE}"), tables]);
        }
        _ => bail!("`{action}` on a table"),
    };
    let mut grants = vec![format!("GRANT {rights} ON {schema}.{table} TO {PROBE}")];
    if statement.to_uppercase().contains("TEMPORARY") {
        grants.push(format!("GRANT CREATE TEMPORARY TABLES ON {schema}.* TO {PROBE}"));
    }
    Ok(grants)
}

fn on_schema(action: &str, schema: &str) -> Result<Vec<String>> {
    let schema = quoted(schema);
    let rights = match action {
        // Any right on a schema lets it be used and looked at.
        "use" | "show" => "CREATE TEMPORARY TABLES, EVENT",
        "create" => "CREATE",
        "drop" => "DROP",
        "alter" => "ALTER",
        _ => bail!("`{action}` on a schema"),
    };
    Ok(vec![format!("GRANT {rights} ON {schema}.* TO {PROBE}")])
}

fn on_server(action: &str, flavour: Flavour) -> Result<Option<&'static str>> {
    Ok(match action {
        "set_session" | "inspect" | "transaction" | "prepare" | "explain" | "kill_own" | "sleep" | "benchmark"
        | "get_lock" => None,
        "show" => Some("SHOW DATABASES, REPLICATION CLIENT, PROCESS"),
        "processlist" => Some("PROCESS"),
        "flush" => Some("RELOAD"),
        "lock_tables" => Some("LOCK TABLES, RELOAD"),
        "call" | "execute" => Some("EXECUTE"),
        "create_routine" => Some("CREATE ROUTINE, ALTER ROUTINE"),
        "trigger" => Some("TRIGGER"),
        "event" => Some("EVENT"),
        "outfile" | "dumpfile" | "load_file" | "infile" => Some("FILE"),
        "set_global" | "kill" if flavour == Flavour::MariaDb => Some("SUPER, CONNECTION ADMIN"),
        "set_global" => Some("SYSTEM_VARIABLES_ADMIN"),
        "kill" => Some("CONNECTION_ADMIN"),
        _ => bail!("`{action}` on the server"),
    })
}
