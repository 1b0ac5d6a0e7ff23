//! The leaf actions of `policies/portreeve.cedarschema`. A test holds the two lists equal.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal in $group:literal,)*) => {
        /// What a workload may be permitted to do. Policies name these, or the group that they are in.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action { $($(#[$doc])* $variant,)* }

        impl Action {
            /// Every action, in the order of the schema.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in the schema, such as `set_session`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The group of the schema that it is in; empty for the actions that stand alone.
            pub fn group(self) -> &'static str {
                match self { $(Self::$variant => $group,)* }
            }
        }
    };
}

actions! {
    /// Rows of a table are read.
    Select = "select" in "read",
    /// Names, definitions or state are read.
    Show = "show" in "read",
    /// A plan is read.
    Explain = "explain" in "read",
    Insert = "insert" in "write",
    Update = "update" in "write",
    Delete = "delete" in "write",
    Replace = "replace" in "write",
    /// `LOAD DATA … INTO TABLE`.
    Load = "load" in "write",
    Create = "create" in "ddl",
    Alter = "alter" in "ddl",
    Drop = "drop" in "ddl",
    Truncate = "truncate" in "ddl",
    Rename = "rename" in "ddl",
    /// `CREATE INDEX`, `DROP INDEX`.
    Index = "index" in "ddl",
    /// Accounts, roles, grants and passwords.
    Users = "users" in "admin",
    SetGlobal = "set_global" in "admin",
    /// A session of another workload is ended, or its statement.
    Kill = "kill" in "admin",
    Flush = "flush" in "admin",
    Plugins = "plugins" in "admin",
    Replication = "replication" in "admin",
    /// Other sessions' statements.
    Processlist = "processlist" in "admin",
    /// `COM_SHUTDOWN`.
    Shutdown = "shutdown" in "admin",
    /// `COM_DEBUG`: the server writes its state to its log.
    Debug = "debug" in "admin",
    Outfile = "outfile" in "file",
    Dumpfile = "dumpfile" in "file",
    LoadFile = "load_file" in "file",
    /// `LOAD DATA INFILE`: a file of the server.
    Infile = "infile" in "file",
    /// `LOAD DATA LOCAL INFILE`: a file of the client.
    LocalInfile = "local_infile" in "file",
    Call = "call" in "routine",
    /// A stored or loadable function, or any that is not known to be built in.
    Execute = "execute" in "routine",
    CreateRoutine = "create_routine" in "routine",
    Trigger = "trigger" in "routine",
    Event = "event" in "routine",
    /// `CREATE FUNCTION … SONAME`.
    Udf = "udf" in "routine",
    Sleep = "sleep" in "wait",
    Benchmark = "benchmark" in "wait",
    GetLock = "get_lock" in "wait",
    LockTables = "lock_tables" in "wait",
    SetSession = "set_session" in "session",
    Use = "use" in "session",
    Transaction = "transaction" in "session",
    Prepare = "prepare" in "session",
    /// What drivers ask at connect: FROM-less SELECT of harmless functions and variables, SHOW WARNINGS and the like.
    Inspect = "inspect" in "session",
    /// A session of the same workload is ended, or its statement: how drivers cancel.
    KillOwn = "kill_own" in "session",
    /// A tagged column is seen unmasked (asked by masking, not by this version).
    Reveal = "reveal" in "",
    /// A tagged column is compared (asked by masking, not by this version).
    Compare = "compare" in "",
    /// What analysis could not read.
    Unparsed = "unparsed" in "",
}

/// The class of a statement is the action that names it best.
pub type StatementClass = Action;

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
