//! A schema with tables, a view, a trigger, a routine and an event, dumped and restored by both dump programs.

use crate::run::{Work, shown};
use portreeve_tests::{
    cgroup::Cgroup,
    client::{self, Answer, Login},
    host,
    servers::{Flavour, mysql_program},
};
use std::{fs, path::Path, process::Command, time::Duration};

/// A dump reads everything of its schema and its definitions; a restore makes all of it anew.
const POLICY: &str = r#"
@id("dump-session") permit (principal, action in Action::"session", resource in Server::"shop-db");
@id("dump-owns-the-schema")
permit (
  principal,
  action in [Action::"read", Action::"write", Action::"ddl", Action::"lock_tables"],
  resource in Schema::"shop-db/SCHEMA"
);
@id("dump-makes-routines")
permit (
  principal,
  action in [Action::"create_routine", Action::"trigger", Action::"event", Action::"lock_tables", Action::"show"],
  resource == Server::"shop-db"
);
@id("dump-makes-its-routines")
permit (principal, action == Action::"create_routine", resource in Schema::"shop-db/SCHEMA");
@id("dump-asks-for-masks")
permit (principal, action == Action::"select", resource == Table::"shop-db/performance_schema.column_masking_policy");
@id("dump-reads-definitions")
permit (principal, action in Action::"read", resource in Schema::"shop-db/information_schema");
@id("dump-looks-for-statistics")
permit (principal, action in Action::"read", resource in Schema::"shop-db/mysql");
@id("dump-locks-what-it-reads-of-the-system")
permit (principal, action == Action::"lock_tables", resource in Schema::"shop-db/mysql");
@id("dump-flushes")
permit (principal, action == Action::"flush", resource == Server::"shop-db");
"#;

const SCHEMA: &str = r#"
CREATE TABLE people (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40) NOT NULL DEFAULT 'it''s', photo BLOB, added TIMESTAMP DEFAULT CURRENT_TIMESTAMP, UNIQUE KEY (name)) COMMENT 'all of them; /* really */';
INSERT INTO people (name, photo) VALUES ('Ada \\ "L" -- ; /*! x */', 0xFF005C27220A0D1A), ('Grace ☕', NULL);
CREATE TABLE posts (id INT PRIMARY KEY, person INT, body TEXT, at DATETIME(3), price DECIMAL(8,2), made INT GENERATED ALWAYS AS (id * 2) STORED, doc JSON, FULLTEXT KEY (body), CONSTRAINT of_person FOREIGN KEY (person) REFERENCES people (id) ON DELETE CASCADE);
INSERT INTO posts (id, person, body, at, price, doc) VALUES (1, 1, 'line\nline\0\Z', '2026-01-02 03:04:05.678', 1.50, '{"k": "v"}'), (2, 2, REPEAT('long ', 2000), NULL, NULL, NULL);
CREATE TABLE parts (id INT) ENGINE = InnoDB PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE);
INSERT INTO parts VALUES (1), (100);
CREATE TABLE counted (n INT);
CREATE VIEW shown AS SELECT p.name, q.body FROM people p JOIN posts q ON q.person = p.id;
CREATE VIEW counted_twice AS SELECT COUNT(*) AS n FROM shown;
DELIMITER //
CREATE TRIGGER counts AFTER INSERT ON parts FOR EACH ROW BEGIN INSERT INTO counted VALUES (NEW.id); IF NEW.id > 5 THEN DELETE FROM counted WHERE n < 0; END IF; END//
CREATE PROCEDURE several(IN x INT) BEGIN DECLARE y INT DEFAULT 1; WHILE y < x DO SET y = y + 1; END WHILE; SELECT y; END//
CREATE FUNCTION twice(x INT) RETURNS INT DETERMINISTIC RETURN x * 2//
CREATE EVENT tidies ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM counted WHERE n < 0//
DELIMITER ;
"#;

const OBJECTS: &str = "
    SELECT 'rows', (SELECT COUNT(*) FROM people), (SELECT COUNT(*) FROM posts), (SELECT GROUP_CONCAT(id ORDER BY id) FROM parts),
      (SELECT MD5(GROUP_CONCAT(HEX(name), HEX(photo))) IS NULL FROM people), (SELECT n FROM counted_twice), twice(4);
    SELECT routine_name FROM information_schema.routines WHERE routine_schema = DATABASE() ORDER BY 1;
    SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE() ORDER BY 1;
    SELECT event_name FROM information_schema.events WHERE event_schema = DATABASE() ORDER BY 1;
    SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY 1";

pub(crate) fn mariadb_dump(flavour: Flavour) {
    let mut dump = vec!["mariadb-dump".to_owned(), "--no-defaults".to_owned()];
    dump.extend(["--routines", "--triggers", "--events"].map(str::to_owned));
    check(
        flavour,
        "mariadb_dump",
        &dump,
        &[vec![], vec!["--single-transaction", "--skip-extended-insert", "--hex-blob"]],
    );
}

pub(crate) fn mysqldump(flavour: Flavour) {
    let program = mysql_program("usr/bin/mysqldump").unwrap();
    let mut dump: Vec<_> = std::iter::once(program.get_program())
        .chain(program.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let plugins = host::provisioned().join("mysql/usr/lib/mysql/plugin").display().to_string();
    dump.extend(["--no-defaults".to_owned(), format!("--plugin-dir={plugins}")]);
    dump.extend(["--routines", "--triggers", "--events"].map(str::to_owned));
    // Positions of replication are for administrators.
    dump.push("--set-gtid-purged=OFF".to_owned());
    if flavour == Flavour::MariaDb {
        dump.extend(["--column-statistics=0"].map(str::to_owned));
    }
    check(
        flavour,
        "mysqldump",
        &dump,
        &[vec!["--no-tablespaces"], vec!["--single-transaction", "--complete-insert", "--hex-blob"]],
    );
}

fn check(flavour: Flavour, name: &str, dump: &[String], ways: &[Vec<&str>]) {
    let work = Work::new(flavour, &format!("everyday_{name}"), POLICY);
    let folder = host::run_dir("dumps").unwrap();
    let mut answers = Vec::new();
    let mut differ = Vec::new();
    for way in ways {
        work.fresh(SCHEMA);
        let before = objects(&work);
        let (direct, through) = (folder.join("direct.sql"), folder.join("through.sql"));
        let said = dumped(None, &work.direct_login(), dump, way, &direct);
        assert!(said.ok(), "directly: {}", shown(&said));
        answers.push(dumped(Some(&work.scene.reporting), &work.login(), dump, way, &through));
        work.fresh("");
        let said = restored(None, &work.direct_login(), flavour, &direct);
        let restored_directly = objects(&work);
        assert!(
            said.ok() && restored_directly == before,
            "directly: {restored_directly}, not {before}: {}",
            shown(&said)
        );
        work.fresh("");
        answers.push(restored(Some(&work.scene.reporting), &work.login(), flavour, &direct));
        let after = objects(&work);
        if after != before {
            differ.push(format!("{way:?}: {after}, not {before}"));
        }
        if told(&through) != told(&direct) {
            differ.push(format!("{way:?}: the dumps differ"));
        }
    }
    host::remove_run_dir(&folder).unwrap();
    work.check(&answers.iter().collect::<Vec<_>>());
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// A dump but for what names the account and the time.
fn told(file: &Path) -> Vec<String> {
    let text = String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
    text.lines().filter(|line| !line.starts_with("-- ")).map(str::to_owned).collect()
}

fn objects(work: &Work) -> String {
    let schema = work.login().schema.unwrap();
    work.scene.server.sql(&format!("USE {schema}; {OBJECTS}")).unwrap_or_else(|error| format!("{error:#}"))
}

fn dumped(cgroup: Option<&Cgroup>, login: &Login, dump: &[String], way: &[&str], file: &Path) -> Answer {
    let mut command = Command::new(&dump[0]);
    command.args(&dump[1..]).args(way).args(account(login)).arg(format!("--result-file={}", file.display()));
    command.arg(login.schema.as_deref().unwrap());
    client::run_for(cgroup, command, Duration::from_secs(60)).unwrap()
}

fn restored(cgroup: Option<&Cgroup>, login: &Login, flavour: Flavour, file: &Path) -> Answer {
    let client = flavour.client().unwrap();
    let mut command = Command::new("sh");
    // `--force`: goes on, so that everything that is denied is told.
    command.args(["-c", "exec \"$@\" --force < \"$0\""]).arg(file).arg(client.get_program()).args(client.get_args());
    command.args(account(login)).arg(login.schema.as_deref().unwrap());
    client::run_for(cgroup, command, Duration::from_secs(60)).unwrap()
}

fn account(login: &Login) -> [String; 3] {
    [format!("-h{}", login.host), format!("-u{}", login.user), format!("-p{}", login.password)]
}
