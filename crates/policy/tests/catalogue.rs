//! What is behind views and routines is asked for, whatever is in between; what cannot be known is `unparsed`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

use portreeve_policy::{
    Cascade, Catalogue, Context, Facts, Flavour, Relation, Resource, Routine, RoutineKind, RowChange, Security,
    Trigger, TriggerText, View, analyse, limits,
};

fn context(catalogue: &Catalogue) -> Context<'_> {
    Context {
        default_schema: Some("shop"),
        version: 90704,
        lower_case_table_names: catalogue.lower_case_table_names(),
        catalogue,
        ..Context::new("orders", Flavour::MySql)
    }
}

fn view(definition: &str) -> Relation {
    Relation::View(View { definition: Some(definition.to_owned()), security: Security::Definer })
}

fn routine(body: &str) -> Routine {
    Routine {
        body: Some(body.to_owned()),
        security: Security::Definer,
        sql_mode: "STRICT_TRANS_TABLES".to_owned(),
        character_set: "utf8mb4".to_owned(),
    }
}

fn shop() -> Catalogue {
    let mut catalogue = Catalogue::new(0);
    for (schema, table) in [("shop", "orders"), ("shop", "customers"), ("vault", "keys")] {
        catalogue.add_relation(schema, table, Relation::Table);
    }
    let views = [
        ("safe", "select `shop`.`orders`.`id` AS `id` from `shop`.`orders`"),
        ("cards", "select `shop`.`customers`.`card` AS `card` from `shop`.`customers`"),
        ("nested", "select `cards`.`card` AS `card` from `shop`.`cards`"),
        ("sub", "select 1 AS `1` from `shop`.`orders` where exists(select 1 from `vault`.`keys`)"),
        (
            "joined",
            "select 1 AS `1` from (`shop`.`orders` `o` join (select 1 AS `x` from `shop`.`cards`) `c` on(1 = 1))",
        ),
        ("none", "select 1 AS `one`,@@version AS `v`"),
        ("calls", "select `vault`.`secret`(1) AS `x`"),
        ("a", "select 1 AS `1` from `shop`.`b`"),
        ("b", "select 1 AS `1` from `shop`.`a`"),
        ("strange", "select 1 match_recognize 2"),
        ("over_hidden", "select 1 AS `1` from `shop`.`not_seen`"),
        ("over_strange", "select 1 AS `1` from `shop`.`strange`"),
    ];
    for (name, definition) in views {
        catalogue.add_relation("shop", name, view(definition));
    }
    let hidden = View { definition: None, security: Security::Definer };
    catalogue.add_relation("shop", "hidden", Relation::View(hidden));
    let invoker =
        View { definition: Some("select 1 AS `1` from `shop`.`gone`".to_owned()), security: Security::Invoker };
    catalogue.add_relation("shop", "invoker", Relation::View(invoker));
    let routines = [
        ("shop", "read_keys", RoutineKind::Procedure, "SELECT word FROM vault.keys"),
        ("shop", "several", RoutineKind::Procedure, "BEGIN SELECT * FROM cards; DELETE FROM orders; CALL Again(); END"),
        ("shop", "again", RoutineKind::Procedure, "CALL again()"),
        ("shop", "dynamic", RoutineKind::Procedure, "BEGIN SET @a = 'x'; PREPARE s FROM @a; EXECUTE s; END"),
        ("shop", "temporary", RoutineKind::Procedure, "BEGIN CREATE TEMPORARY TABLE t (a INT); SELECT * FROM t; END"),
        ("shop", "loops", RoutineKind::Procedure, "BEGIN DECLARE a INT; SELECT 1; END"),
        ("vault", "secret", RoutineKind::Function, "RETURN (SELECT word FROM `keys` LIMIT 1)"),
        ("shop", "plain", RoutineKind::Function, "RETURN a + 1"),
        ("shop", "nvl", RoutineKind::Function, "RETURN (SELECT MAX(id) FROM vault.keys)"),
        ("shop", "pkg", RoutineKind::Package, "CREATE PACKAGE BODY …"),
    ];
    for (schema, name, kind, body) in routines {
        catalogue.add_routine(schema, name, kind, routine(body));
    }
    let unseen = Routine { body: None, ..routine("") };
    catalogue.add_routine("shop", "unseen", RoutineKind::Procedure, unseen);
    let oracle = Routine { sql_mode: "PIPES_AS_CONCAT,ORACLE".to_owned(), ..routine("SELECT 1") };
    catalogue.add_routine("shop", "oracle", RoutineKind::Procedure, oracle);
    let gbk = Routine { character_set: "gbk".to_owned(), ..routine("SELECT 1") };
    catalogue.add_routine("shop", "gbk", RoutineKind::Procedure, gbk);
    catalogue
}

/// What the statements ask for; an unread one ends in `unparsed: why`.
fn line(facts: &Facts) -> String {
    let statements = facts.statements.iter().map(|statement| {
        let mut requests: Vec<_> = statement
            .requests
            .iter()
            .map(|request| match &request.resource {
                Resource::Server => request.action.to_string(),
                Resource::Schema(schema) => format!("{} {schema}", request.action),
                Resource::Table { schema, table } => format!("{} {schema}.{table}", request.action),
                Resource::Routine { schema, name } => format!("{} {schema}.{name}()", request.action),
                Resource::Column { schema, table, column } => format!("{} {schema}.{table}.{column}", request.action),
            })
            .collect();
        requests.sort();
        let why = statement.unparsed.iter().map(|why| format!(": {why}"));
        requests.join(", ") + &why.collect::<String>()
    });
    statements.collect::<Vec<_>>().join("; ")
}

fn check_in(catalogue: &Catalogue, cases: &[(&str, &str)]) {
    let context = context(catalogue);
    let found = cases.iter().map(|(sql, expected)| (sql, expected, line(&analyse(sql.as_bytes(), &context))));
    let wrong: Vec<_> = found.filter(|(_, expected, found)| found != **expected).collect();
    let wrong: Vec<_> = wrong
        .iter()
        .map(|(sql, expected, found)| format!("{sql}\n  expected {expected}\n  found    {found}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check(cases: &[(&str, &str)]) {
    check_in(&shop(), cases);
}

#[test]
fn what_is_behind_a_view_is_asked_for() {
    let nested = "select shop.cards, select shop.customers, select shop.nested";
    check(&[
        ("SELECT * FROM orders", "select shop.orders"),
        ("SELECT * FROM safe", "select shop.orders, select shop.safe"),
        ("SELECT * FROM cards", "select shop.cards, select shop.customers"),
        ("SELECT * FROM nested", nested),
        ("TABLE nested", nested),
        ("SELECT (SELECT card FROM nested LIMIT 1)", nested),
        ("SELECT * FROM sub", "select shop.orders, select shop.sub, select vault.keys"),
        ("SELECT * FROM joined", "select shop.cards, select shop.customers, select shop.joined, select shop.orders"),
        ("WITH cards AS (SELECT 1) SELECT * FROM cards", "inspect"),
        ("SELECT * FROM none", "select shop.none"),
        ("SELECT * FROM calls", "execute vault.secret(), select shop.calls, select vault.keys"),
        ("INSERT INTO orders SELECT card FROM cards", "insert shop.orders, select shop.cards, select shop.customers"),
        ("CREATE VIEW w AS SELECT * FROM cards", "create shop.w, select shop.cards, select shop.customers"),
        ("EXPLAIN SELECT * FROM safe", "explain shop.orders, explain shop.safe, select shop.orders, select shop.safe"),
        ("SELECT * FROM information_schema.views", "select information_schema.views"),
        ("SELECT * FROM sys.version", "select sys.version"),
    ]);
}

#[test]
fn a_change_through_a_view_is_a_change_of_what_it_shows() {
    check(&[
        ("DELETE FROM safe", "delete shop.orders, delete shop.safe, select shop.orders"),
        ("UPDATE safe SET id = 1", "select shop.orders, update shop.orders, update shop.safe"),
        ("INSERT INTO safe VALUES (1)", "insert shop.orders, insert shop.safe, select shop.orders"),
        ("REPLACE INTO safe VALUES (1)", "replace shop.orders, replace shop.safe, select shop.orders"),
        (
            "UPDATE nested SET card = 1",
            "select shop.cards, select shop.customers, update shop.customers, update shop.nested",
        ),
        // What a condition reads is not changed.
        ("DELETE FROM sub", "delete shop.orders, delete shop.sub, select shop.orders, select vault.keys"),
        ("LOCK TABLES safe READ", "lock_tables shop.orders, lock_tables shop.safe, select shop.orders"),
    ]);
    let long = format!("INSERT INTO safe VALUES {}(1)", "(1), ".repeat(limits::BULK_BYTES_MIN));
    check(&[(&long, "insert shop.orders, insert shop.safe, select shop.orders")]);
}

#[test]
fn a_views_own_name_is_all_that_its_definition_is_changed_by() {
    check(&[
        ("SHOW CREATE VIEW cards", "show shop.cards"),
        ("DROP VIEW cards", "drop shop.cards"),
        ("RENAME TABLE cards TO c", "rename shop.c, rename shop.cards"),
        ("DROP PROCEDURE Several", "create_routine shop.several()"),
        ("DROP FUNCTION IF EXISTS vault.secret", "create_routine vault.secret()"),
        ("ALTER PROCEDURE several SQL SECURITY INVOKER COMMENT 'x'", "create_routine shop.several()"),
        ("CREATE PROCEDURE IF NOT EXISTS vault.P() SELECT 1", "create_routine vault.p()"),
    ]);
}

#[test]
fn what_a_routine_does_is_asked_for() {
    check(&[
        ("CALL read_keys()", "call shop.read_keys(), select vault.keys"),
        ("CALL shop.READ_KEYS()", "call shop.read_keys(), select vault.keys"),
        (
            "CALL several()",
            "call shop.again(), call shop.several(), delete shop.orders, select shop.cards, select shop.customers",
        ),
        ("CALL again()", "call shop.again()"),
        ("SELECT vault.secret(1)", "execute vault.secret(), select vault.keys"),
        ("SELECT plain(1)", "execute shop.plain(), inspect"),
        ("SELECT id FROM orders WHERE id = VAULT.SECRET(2)", "execute VAULT.secret(), select shop.orders"),
        (
            "CALL several((SELECT vault.secret(1)))",
            "call shop.again(), call shop.several(), delete shop.orders, execute vault.secret(), select shop.cards, select shop.customers, select vault.keys",
        ),
        // MariaDB builds `nvl` in, MySQL does not.
        ("SELECT nvl(1, 2)", "execute shop.nvl(), select vault.keys"),
        ("SELECT vault.nvl(1, 2)", "execute vault.nvl(), inspect"),
        ("CALL gone()", "call shop.gone()"),
        ("SELECT gone()", "execute, execute shop.gone(), inspect"),
        ("CALL sys.diagnostics(1, 2, 3)", "call sys.diagnostics()"),
        ("CALL temporary()", "call shop.temporary(), create shop.t, select shop.t"),
    ]);
}

#[test]
fn what_cannot_be_known_is_unparsed() {
    check(&[
        (
            "SELECT * FROM hidden",
            "select shop.hidden, unparsed: the definition of the view `shop.hidden` is hidden from the account at the server (it needs SELECT and SHOW VIEW)",
        ),
        (
            "SELECT * FROM a",
            "select shop.a, select shop.b, unparsed: the view `shop.a` is not read: the view `shop.b` is not read: the view `shop.a` is not read: it is defined by itself",
        ),
        (
            "SELECT * FROM over_strange",
            "select shop.over_strange, select shop.strange, unparsed: the view `shop.over_strange` is not read: the view `shop.strange` is not read: a value where the end of the statement is read",
        ),
        (
            "SELECT * FROM over_hidden",
            "select shop.not_seen, select shop.over_hidden, unparsed: the view `shop.over_hidden` is not read: `shop.not_seen` is nothing that the account at the server may see (grant it SHOW VIEW there)",
        ),
        ("SELECT * FROM invoker", "select shop.gone, select shop.invoker"),
        (
            "CALL dynamic()",
            "call shop.dynamic(), prepare, set_session, unparsed: the procedure `shop.dynamic` is not read: a statement that is not spelt out as a string",
        ),
        ("CALL loops()", "call shop.loops()"),
        (
            "CALL oracle()",
            "call shop.oracle(), unparsed: the procedure `shop.oracle` is not read: it was made with the sql_mode `ORACLE`",
        ),
        ("CALL gbk()", "call shop.gbk(), unparsed: the procedure `shop.gbk` is not read: it was made in `gbk`"),
        ("CALL pkg.anything()", "unparsed: a routine of a package"),
    ]);
    let unseen = analyse(b"CALL unseen()", &context(&shop()));
    assert!(unseen.statements[0].unparsed.as_deref().unwrap().contains("is hidden from the account"));
}

#[test]
fn a_catalogue_that_cannot_be_read_leaves_every_name_unknown() {
    let catalogue = Catalogue::unreadable("the server gave no answer".to_owned());
    let table = "unparsed: what the table `shop.orders` is cannot be known: the server gave no answer";
    check_in(
        &catalogue,
        &[
            ("SELECT 1", "inspect"),
            ("SELECT CONCAT(1)", "inspect"),
            ("SELECT * FROM information_schema.tables", "select information_schema.tables"),
            ("SELECT * FROM orders", &format!("select shop.orders, {table}")),
            ("INSERT INTO orders VALUES (1)", &format!("insert shop.orders, {table}")),
            (
                "CALL p()",
                "call shop.p(), unparsed: what the routine `shop.p` is cannot be known: the server gave no answer",
            ),
        ],
    );
    let long = format!("INSERT INTO orders VALUES {}(1)", "(1), ".repeat(limits::BULK_BYTES_MIN));
    check_in(&catalogue, &[(&long, &format!("insert shop.orders, {table}"))]);
}

#[test]
fn the_case_of_a_views_name_counts_where_it_does_at_the_server() {
    let mut folding = Catalogue::new(1);
    folding.add_relation("shop", "orders", Relation::Table);
    folding.add_relation("shop", "v", view("select 1 AS `1` from `shop`.`orders`"));
    check_in(&folding, &[("SELECT * FROM SHOP.V", "select SHOP.V, select shop.orders")]);
    check(&[("SELECT * FROM Cards", "select shop.Cards")]);
}

#[test]
fn a_routines_name_with_accents_may_be_meant_by_one_without() {
    let mut catalogue = Catalogue::new(0);
    catalogue.add_routine("shop", "pé", RoutineKind::Procedure, routine("SELECT 1"));
    catalogue.add_routine("shop", "pa", RoutineKind::Procedure, routine("SELECT 1"));
    assert!(analyse(b"CALL pe()", &context(&catalogue)).has_unparsed());
    assert!(analyse("CALL pä()".as_bytes(), &context(&catalogue)).has_unparsed());
    assert!(!analyse(b"CALL other.pe()", &context(&catalogue)).has_unparsed());
}

#[test]
fn a_text_that_changes_what_names_mean_is_not_judged_by_what_they_meant() {
    let text = |sql: &str| analyse(sql.as_bytes(), &context(&shop())).statements.pop().unwrap();
    for first in ["RENAME TABLE orders TO o", "DROP PROCEDURE several", "CREATE PROCEDURE p() SELECT 1", "CALL gone()"]
    {
        let last = text(&format!("{first}; SELECT * FROM orders"));
        let why = last.unparsed.as_deref().unwrap();
        assert!(why.contains("an earlier statement") || why.contains("a statement before it"), "{first}: {last:?}");
    }
    let made = "CREATE VIEW w AS SELECT * FROM orders";
    assert_eq!(text(&format!("{made}; SELECT * FROM w")).unparsed, None);
    assert!(text(&format!("{made}; DELETE FROM w")).unparsed.is_some());
    assert_eq!(text("CREATE TABLE w (a INT); INSERT INTO w VALUES (1)").unparsed, None);
}

#[test]
fn statements_that_change_definitions_are_known_and_so_are_names_that_nobody_knows() {
    let facts = |sql: &str| analyse(sql.as_bytes(), &context(&shop()));
    for sql in [
        "CREATE VIEW w AS SELECT 1",
        "CREATE TABLE w (a INT)",
        "ALTER TABLE orders ADD COLUMN x INT",
        "DROP VIEW cards",
        "RENAME TABLE orders TO o",
        "DROP FUNCTION plain",
        "GRANT SELECT ON *.* TO x",
        "CALL gone()",
        "something strange",
    ] {
        assert!(facts(sql).changes_definitions(), "{sql}");
    }
    for sql in [
        "SELECT * FROM cards",
        "CALL read_keys()",
        "CREATE TEMPORARY TABLE w (a INT)",
        "DROP TEMPORARY TABLE w",
        "SELECT gone()",
    ] {
        assert!(!facts(sql).changes_definitions(), "{sql}");
    }
    for sql in ["SELECT * FROM orders", "SELECT CONCAT(1)", "CALL gone()", "DELETE FROM gone"] {
        assert!(facts(sql).asks_catalogue(), "{sql}");
    }
    for sql in ["SELECT 1", "COMMIT", "CREATE TABLE w (a INT)", "DROP VIEW cards", "SELECT * FROM sys.version"] {
        assert!(!facts(sql).asks_catalogue(), "{sql}");
    }
    for sql in ["SELECT * FROM gone", "SELECT gone()", "CALL gone()", "INSERT INTO gone VALUES (1)"] {
        assert!(facts(sql).has_unknown_names(), "{sql}");
    }
    assert!(!facts("SELECT plain(1), CONCAT(1) FROM cards").has_unknown_names());
}

#[test]
fn chains_of_views_are_followed_to_the_limit_and_no_further() {
    let chain = |length: usize| {
        let mut catalogue = Catalogue::new(0);
        catalogue.add_relation("shop", "v0", Relation::Table);
        for number in 1..=length {
            let below = number - 1;
            // Twice, so that reading each as often as it is named would never end.
            let text = format!("select 1 AS `1` from (`shop`.`v{below}` `a` join `shop`.`v{below}` `b`)");
            catalogue.add_relation("shop", &format!("v{number}"), view(&text));
        }
        let facts = analyse(format!("SELECT * FROM v{length}").as_bytes(), &context(&catalogue));
        (facts.has_unparsed(), facts.statements[0].requests.len())
    };
    assert_eq!(chain(limits::DEFINITIONS_DEPTH_MAX), (false, limits::DEFINITIONS_DEPTH_MAX + 1));
    assert!(chain(limits::DEFINITIONS_DEPTH_MAX + 1).0);
}

#[test]
fn views_beside_each_other_are_read_to_the_limit_and_no_further() {
    let many = |number: usize, comment: &str| {
        let mut catalogue = Catalogue::new(0);
        catalogue.add_relation("shop", "orders", Relation::Table);
        for number in 0..number {
            let text = format!("select '{comment}' AS `1` from `shop`.`orders`");
            catalogue.add_relation("shop", &format!("v{number}"), view(&text));
        }
        let selects: Vec<_> = (0..number).map(|number| format!("SELECT 1 FROM v{number}")).collect();
        analyse(selects.join(" UNION ALL ").as_bytes(), &context(&catalogue)).has_unparsed()
    };
    assert!(!many(limits::DEFINITIONS_MAX, ""));
    assert!(many(limits::DEFINITIONS_MAX + 1, ""));
    assert!(many(3, &"x".repeat(limits::DEFINITIONS_BYTES_MAX / 2)));
}

/// `shop` with triggers and foreign keys.
fn with_effects() -> Catalogue {
    let mut catalogue = shop();
    for table in ["a1", "log", "parent", "child", "grandchild"] {
        catalogue.add_relation("shop", table, Relation::Table);
    }
    catalogue.add_relation("shop", "front", view("select `shop`.`orders`.`id` AS `id` from `shop`.`orders`"));
    let trigger = |name: &str, event, text| Trigger {
        name: name.to_owned(),
        events: vec![event],
        text,
        sql_mode: String::new(),
        character_set: "utf8mb4".to_owned(),
    };
    let body = |text: &str| Some(TriggerText::Body(text.to_owned()));
    let made_as = "CREATE DEFINER=`r`@`%` TRIGGER `for each row` /* FOR EACH ROW */ BEFORE DELETE ON orders FOR EACH ROW \
                   PRECEDES x DELETE FROM log WHERE a = 'it''s' AND b = OLD.a";
    for (table, trigger) in [
        (
            "orders",
            trigger("logs", RowChange::Insert, body("BEGIN SET NEW.a = 1; INSERT INTO log VALUES (NEW.id); END")),
        ),
        ("orders", trigger("d", RowChange::Delete, Some(TriggerText::Statement(made_as.to_owned())))),
        ("orders", trigger("u", RowChange::Update, body("CALL again()"))),
        ("log", trigger("l", RowChange::Insert, body("INSERT INTO orders SELECT word FROM vault.keys"))),
        ("customers", trigger("hidden", RowChange::Insert, None)),
        ("child", trigger("c", RowChange::Delete, body("DELETE FROM log"))),
        ("a1", trigger("odd", RowChange::Update, body("FROBNICATE"))),
    ] {
        catalogue.add_trigger("shop", table, trigger);
    }
    for (parent, child, on_update, on_delete) in [
        ("parent", "child", Some(RowChange::Update), Some(RowChange::Delete)),
        ("child", "grandchild", None, Some(RowChange::Update)),
        ("grandchild", "parent", Some(RowChange::Update), None),
    ] {
        let (schema, table) = ("shop".to_owned(), child.to_owned());
        catalogue.add_cascade("shop", parent, Cascade { schema, table, on_update, on_delete });
    }
    catalogue
}

#[test]
fn what_triggers_do_is_asked_for() {
    let inserted = "insert shop.log, insert shop.orders, select vault.keys";
    check_in(
        &with_effects(),
        &[
            ("SELECT * FROM orders", "select shop.orders"),
            ("TRUNCATE orders", "truncate shop.orders"),
            ("INSERT INTO orders VALUES (1)", inserted),
            (
                "INSERT INTO front VALUES (1)",
                "insert shop.front, insert shop.log, insert shop.orders, select shop.orders, select vault.keys",
            ),
            ("DELETE FROM orders WHERE a = 1", "delete shop.log, delete shop.orders"),
            (
                "DELETE o FROM orders o JOIN log",
                "delete shop.log, delete shop.orders, select shop.log, select shop.orders",
            ),
            ("UPDATE orders SET a = 1", "call shop.again(), update shop.orders"),
            (
                "REPLACE INTO orders VALUES (1)",
                "delete shop.log, insert shop.log, insert shop.orders, replace shop.orders, select vault.keys",
            ),
            (
                "INSERT INTO orders VALUES (1) ON DUPLICATE KEY UPDATE a = 1",
                "call shop.again(), insert shop.log, insert shop.orders, select vault.keys, update shop.orders",
            ),
            (
                "INSERT INTO customers VALUES (1)",
                "insert shop.customers, unparsed: the body of the trigger `shop.hidden` is not shown to the account at the server",
            ),
            (
                "UPDATE a1 SET a = 1",
                "unparsed, update shop.a1: the trigger `shop.odd` is not read: `FROBNICATE` is not read",
            ),
        ],
    );
}

#[test]
fn a_long_insert_asks_for_what_triggers_do() {
    let catalogue = with_effects();
    let sql = format!("INSERT INTO orders VALUES (1){}", ",(1)".repeat(limits::PARSED_BYTES_MAX / 4));
    let found = line(&analyse(sql.as_bytes(), &context(&catalogue)));
    assert_eq!(found, "insert shop.log, insert shop.orders, select vault.keys");
}

#[test]
fn what_foreign_keys_change_is_asked_for() {
    let catalogue = with_effects();
    let deleted =
        "delete shop.child, delete shop.parent, update shop.child, update shop.grandchild, update shop.parent";
    check_in(
        &catalogue,
        &[
            ("INSERT INTO parent VALUES (1)", "insert shop.parent"),
            ("UPDATE parent SET id = 2", "update shop.child, update shop.parent"),
            // The child's trigger fires at MySQL.
            ("DELETE FROM parent", &deleted.replacen("delete shop.child, ", "delete shop.child, delete shop.log, ", 1)),
        ],
    );
    let mariadb = Context { flavour: Flavour::MariaDb, version: 101114, ..context(&catalogue) };
    assert_eq!(line(&analyse(b"DELETE FROM parent", &mariadb)), deleted);
}
