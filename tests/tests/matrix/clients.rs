//! The clients: how each is run, and what it has no means for.

use crate::steps;
use anyhow::Result;
use portreeve_tests::{
    client::{installed, program},
    host,
    servers::{Flavour, mysql_program},
};
use std::process::Command;

/// One client's program.
pub(crate) struct Client {
    /// In a schema's name too.
    pub(crate) name: &'static str,
    /// Without its arguments.
    pub(crate) program: fn() -> Result<Command>,
    /// What follows FILE.
    pub(crate) arguments: fn(Flavour) -> Result<Vec<String>>,
    /// Its steps.
    kind: Kind,
    /// Parts of steps' lines that are others than [`steps::check`]'s.
    pub(crate) known: &'static [(&'static str, &'static [&'static str])],
    /// A part of a statement that its recording must hold.
    pub(crate) recorded: &'static str,
    /// Why it cannot read MySQL's VECTOR, where it cannot.
    pub(crate) no_vector: Option<&'static str>,
    /// A server that it cannot log in to without Portreeve, and why.
    no_direct: Option<(Flavour, &'static str)>,
}

enum Kind {
    /// The steps of tests/clients/README.md but for those that it has no means for, with the reason.
    Matrix { without: &'static [(&'static str, &'static str)] },
    /// Steps of its own.
    Other(&'static [&'static str]),
}

impl Client {
    fn new(name: &'static str, program: fn() -> Result<Command>, without: &'static [(&str, &str)]) -> Self {
        let (arguments, kind) = (no_arguments as fn(Flavour) -> Result<Vec<String>>, Kind::Matrix { without });
        Self { name, program, arguments, kind, known: &[], recorded: "several", no_vector: None, no_direct: None }
    }

    fn arguments(self, arguments: fn(Flavour) -> Result<Vec<String>>) -> Self {
        Self { arguments, ..self }
    }

    fn known(self, known: &'static [(&str, &[&str])]) -> Self {
        Self { known, ..self }
    }

    fn no_vector(self, why: &'static str) -> Self {
        Self { no_vector: Some(why), ..self }
    }

    pub(crate) fn steps(&self) -> Vec<&'static str> {
        match self.kind {
            Kind::Matrix { without } => {
                steps::ALL.into_iter().filter(|step| without.iter().all(|(lacks, _)| lacks != step)).collect()
            }
            Kind::Other(steps) => steps.to_vec(),
        }
    }

    pub(crate) fn direct_to(&self, flavour: Flavour) -> bool {
        self.no_direct.is_none_or(|(server, _)| server != flavour)
    }
}

fn no_arguments(_: Flavour) -> Result<Vec<String>> {
    Ok(vec![])
}

const NO_PREPARE: &str = "it prepares nothing at the server";
const NO_LONG_DATA: &str = "its parameters go with the execution";
const NO_COMPRESSION: &str = "it has no compression";
const NO_STATEMENTS: &str = "a statement that it prepares is text: `PREPARE`";

const UNKNOWN_TYPE: &str = "it ends at a type of column that it does not know";
const VECTOR_AS_TEXT: &str = "it takes the bytes for text";

/// The duplicate is of `kept` where nothing changed it.
const KEPT: &[(&str, &[&str])] =
    &[("error", &["1146", "not_there' doesn't exist", "1062", "Duplicate entry 'kept' for key"])];

pub(crate) fn mariadb_cli() -> Client {
    Client::new(
        "mariadb_cli",
        || program("python/command_line.py"),
        &[("binary", NO_STATEMENTS), ("long-data", NO_STATEMENTS)],
    )
    .arguments(|_| Ok([vec!["mariadb".to_owned()], words(Flavour::MariaDb.client()?)].concat()))
}

pub(crate) fn mysql_cli() -> Client {
    Client::new(
        "mysql_cli",
        || program("python/command_line.py"),
        &[("binary", NO_STATEMENTS), ("long-data", NO_STATEMENTS)],
    )
    .arguments(|_| Ok([vec!["mysql".to_owned()], words(Flavour::MySql.client()?)].concat()))
}

pub(crate) fn mariadb_dump() -> Client {
    let client =
        Client::new("mariadb_dump", || program("python/dump.py"), &[]).no_vector("it dumps one as text, unescaped");
    let arguments = |_| {
        let dump = vec!["mariadb-dump".to_owned(), "--no-defaults".to_owned()];
        Ok(vec![json(&dump), json(&words(Flavour::MariaDb.client()?))])
    };
    Client { kind: DUMP, recorded: "CHECKSUM TABLE", arguments, ..client }
}

pub(crate) fn mysqldump() -> Client {
    let client = Client::new("mysqldump", || program("python/dump.py"), &[]);
    let arguments = |flavour| {
        let mut dump = mysql_program("usr/bin/mysqldump")?;
        // 9.x has `mysql_native_password`, which MariaDB's accounts have, only as a plugin.
        let plugins = host::provisioned().join("mysql/usr/lib/mysql/plugin");
        dump.arg("--no-defaults").arg(format!("--plugin-dir={}", plugins.display()));
        // MariaDB has neither column statistics nor GTIDs of MySQL's kind; the defaults would ask for them.
        if flavour == Flavour::MariaDb {
            dump.args(["--column-statistics=0", "--set-gtid-purged=OFF"]);
        }
        Ok(vec![json(&words(dump)), json(&words(Flavour::MySql.client()?))])
    };
    Client { kind: DUMP, recorded: "CHECKSUM TABLE", arguments, ..client }
}

const DUMP: Kind = Kind::Other(&["dump", "load", "checksums", "routines"]);

pub(crate) fn pymysql() -> Client {
    let without = &[("binary", NO_PREPARE), ("long-data", NO_PREPARE), ("compression", NO_COMPRESSION)];
    Client::new("pymysql", || program("python/with_pymysql.py"), without).no_vector(VECTOR_AS_TEXT)
}

/// Debian's, for Debian's Python.
pub(crate) fn mysqlclient() -> Client {
    fn debian() -> Result<Command> {
        let mut python = Command::new("/usr/bin/python3");
        python.args(program("python/with_mysqlclient.py")?.get_args());
        Ok(python)
    }
    Client::new("mysqlclient", debian, &[("binary", NO_PREPARE), ("long-data", NO_PREPARE)])
}

pub(crate) fn connector_python_pure() -> Client {
    Client::new(
        "connector_python_pure",
        || program("python/with_connector.py"),
        &[("cursor", "it reads all rows or one at a time")],
    )
    .arguments(|_| Ok(vec!["pure".into()]))
}

pub(crate) fn connector_python_c() -> Client {
    let without = &[("long-data", NO_LONG_DATA), ("cursor", "it reads all rows or one at a time")];
    Client::new("connector_python_c", || program("python/with_connector.py"), without)
        .arguments(|_| Ok(vec!["c".into()]))
}

pub(crate) fn sqlalchemy() -> Client {
    const NOT_ITS: &str = "the driver below has it, PyMySQL, or has it not";
    let without =
        &[("binary", NO_PREPARE), ("long-data", NO_PREPARE), ("multi", NOT_ITS), ("compression", NO_COMPRESSION)];
    Client::new("sqlalchemy", || program("python/with_sqlalchemy.py"), without).no_vector(UNKNOWN_TYPE).known(KEPT)
}

pub(crate) fn node_mysql2() -> Client {
    let without = &[("long-data", NO_LONG_DATA), ("cursor", "rows are events, not fetched")];
    Client::new("node_mysql2", || program("node/with_mysql2.js"), without)
}

pub(crate) fn node_mysql() -> Client {
    let without = &[
        ("binary", NO_PREPARE),
        ("long-data", NO_PREPARE),
        ("cursor", "rows are events, not fetched"),
        ("compression", NO_COMPRESSION),
    ];
    let client = Client::new("node_mysql", || program("node/with_mysql.js"), without);
    Client {
        no_direct: Some((Flavour::MySql, "MySQL 9 has no `mysql_native_password`, it has nothing else")),
        ..client
    }
}

pub(crate) fn perl_dbd_mysql() -> Client {
    Client::new("perl_dbd_mysql", || program("perl/dbi.pl"), &[("long-data", NO_LONG_DATA)])
        .no_vector(UNKNOWN_TYPE)
        .arguments(|_| Ok(vec!["mysql".into()]))
}

pub(crate) fn perl_dbd_mariadb() -> Client {
    let without = &[("long-data", NO_LONG_DATA), ("cursor", "1.22 gets no rows that way, from a server itself")];
    Client::new("perl_dbd_mariadb", || program("perl/dbi.pl"), without)
        .no_vector(UNKNOWN_TYPE)
        .arguments(|_| Ok(vec!["MariaDB".into()]))
}

pub(crate) fn php_mysqli() -> Client {
    Client::new("php_mysqli", || program("php/with_mysqli.php"), &[]).no_vector(UNKNOWN_TYPE)
}

pub(crate) fn php_pdo() -> Client {
    Client::new("php_pdo", || program("php/with_pdo.php"), &[("long-data", NO_LONG_DATA)]).no_vector(UNKNOWN_TYPE)
}

pub(crate) fn ruby_mysql2() -> Client {
    Client::new("ruby_mysql2", || program("ruby/with_mysql2.rb"), &[("long-data", NO_LONG_DATA)])
        .no_vector(UNKNOWN_TYPE)
}

pub(crate) fn java_connector() -> Client {
    Client::new("java_connector", || program("java/Connector.java"), &[])
}

pub(crate) fn rust_sqlx() -> Client {
    let without = &[
        ("long-data", NO_LONG_DATA),
        ("local-infile", "it says that it can, and cannot"),
        ("compression", NO_COMPRESSION),
    ];
    Client::new("rust_sqlx", || program("rust/sqlx"), without).no_vector(UNKNOWN_TYPE)
}

pub(crate) fn rust_mysql_async() -> Client {
    let without = &[("long-data", "what is longer than a packet only: its big row goes that way")];
    Client::new("rust_mysql_async", || program("rust/mysql_async"), without)
}

const MCP: Kind =
    Kind::Other(&["initialize", "tools", "text", "insert", "inserted", "tables", "describe", "error", "after"]);
/// Of its errors, an MCP server hands the text on; rows pass through the numbers and dates of its language.
const AGENTS: &[(&str, &[&str])] =
    &[("text", &["-123456789012345678901234567890.0123456789", "naïve ☕"]), ("error", &["not_there' doesn't exist"])];

pub(crate) fn python_mcp_server() -> Client {
    let client = Client::new("python_mcp_server", || program("python/mcp.py"), &[]).known(AGENTS);
    let arguments = |_| Ok(vec![installed("clients/python/bin/mysql_mcp_server")?.display().to_string()]);
    Client { kind: MCP, recorded: "by an agent", arguments, ..client }
}

pub(crate) fn node_mcp_server() -> Client {
    let client = Client::new("node_mcp_server", || program("python/mcp.py"), &[]).known(AGENTS);
    let arguments = |_| {
        let server = installed("clients/node/node_modules/@benborla29/mcp-server-mysql/dist/index.js")?;
        Ok(vec!["node".into(), server.display().to_string()])
    };
    Client { kind: MCP, recorded: "by an agent", arguments, ..client }
}

fn words(command: Command) -> Vec<String> {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

fn json(words: &[String]) -> String {
    serde_json::json!(words).to_string()
}
