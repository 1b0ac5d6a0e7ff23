//! Columns: which a statement touches, and what policies that speak of them make of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

use std::collections::BTreeSet;

use portreeve_policy::{
    Catalogue, Columns, Context, Facts, Flavour, Policies, Relation, Security, Source, Subject, View, analyse,
};

fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::new(0).with_columns();
    for (table, columns) in [
        ("customers", vec!["id", "name", "card", "city"]),
        ("orders", vec!["id", "customer", "total", "note"]),
        ("cards", vec!["card", "bank"]),
        ("names", vec!["name", "city"]),
        ("cheap", vec!["id", "word"]),
    ] {
        catalogue.add_relation("shop", table, Relation::Table);
        columns.iter().for_each(|column| catalogue.add_column("shop", table, column));
    }
    let definition =
        "select `shop`.`customers`.`id` AS `id`,`shop`.`customers`.`card` AS `word` from `shop`.`customers`";
    let view = View { definition: Some(definition.to_owned()), security: Security::Definer };
    catalogue.add_relation("shop", "cheap", Relation::View(view));
    catalogue
}

fn context(catalogue: &Catalogue) -> Context<'_> {
    Context { default_schema: Some("shop"), version: 101_114, catalogue, ..Context::new("orders", Flavour::MariaDb) }
}

fn facts(sql: &str) -> Facts {
    let catalogue = catalogue();
    analyse(sql.as_bytes(), &context(&catalogue))
}

/// `select customers: id name; update orders: *`
fn found(sql: &str) -> String {
    let facts = facts(sql);
    let mut found = BTreeSet::new();
    for statement in &facts.statements {
        assert_eq!(statement.unparsed, None, "{sql}");
        for of in &statement.columns {
            let columns = match &of.columns {
                Columns::Named(names) => names.iter().map(String::as_str).collect::<Vec<_>>().join(" "),
                Columns::Every(_) => "*".to_owned(),
            };
            found.insert(format!("{} {}: {columns}", of.action, of.table));
        }
    }
    found.into_iter().collect::<Vec<_>>().join("; ")
}

fn check(cases: &[(&str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(sql, expected)| {
            let found = found(sql);
            (found != *expected).then(|| format!("{sql}\n  found    {found}\n  expected {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn names_are_of_the_tables_that_have_them() {
    check(&[
        ("SELECT id, name FROM customers", "select customers: id name"),
        ("SELECT CUSTOMERS.NAME FROM customers", "select customers: name"),
        ("SELECT c.card FROM customers c", "select customers: card"),
        ("SELECT shop.customers.card FROM shop.customers", "select customers: card"),
        ("SELECT `Card` FROM customers", "select customers: card"),
        ("SELECT name, total FROM customers, orders", "select customers: name; select orders: total"),
        ("SELECT 1 FROM customers WHERE card LIKE '4%'", "select customers: card"),
        (
            "SELECT id FROM customers GROUP BY city HAVING MAX(card) > 1 ORDER BY name",
            "select customers: card city id name",
        ),
        ("SELECT COUNT(*) FROM customers", "select customers: "),
        ("SELECT unknown FROM customers, orders", "select customers: unknown; select orders: unknown"),
        ("SELECT 1 FROM customers JOIN orders USING (id)", "select customers: id; select orders: id"),
        (
            "SELECT 1 FROM customers JOIN orders ON customer = customers.id",
            "select customers: id; select orders: customer",
        ),
        ("SELECT 1 FROM customers NATURAL JOIN cards", "select cards: card; select customers: card"),
        ("SELECT SUM(id) OVER (PARTITION BY city ORDER BY name) FROM customers", "select customers: city id name"),
        ("SELECT MATCH (name, city) AGAINST ('x') FROM customers", "select customers: city name"),
        (
            "SELECT TIMESTAMPDIFF(DAY, name, city), EXTRACT(YEAR FROM city) FROM customers",
            "select customers: city name",
        ),
        ("SELECT (id, name) = (1, city) FROM customers", "select customers: city id name"),
        ("SELECT DEFAULT(card) FROM customers", "select customers: card"),
    ]);
}

#[test]
fn what_stands_for_every_column_says_so() {
    check(&[
        ("SELECT * FROM customers", "select customers: *"),
        ("SELECT c.*, o.id FROM customers c, orders o", "select customers: *; select orders: id"),
        ("TABLE customers", "select customers: *"),
        ("SELECT _rowid FROM customers", "select customers: *"),
        ("SELECT cärd FROM customers", "select customers: *"),
        ("SELECT nobody.card FROM customers", "select customers: *"),
        ("SELECT 1 FROM customers NATURAL JOIN elsewhere", "select customers: *; select elsewhere: *"),
        ("SELECT * FROM (SELECT id FROM customers) x", "select customers: id"),
        (
            "SELECT x.* FROM (SELECT id FROM customers) x JOIN orders o ON o.id = x.id",
            "select customers: id; select orders: id",
        ),
        ("SELECT 1 FROM (TABLE customers) x", "select customers: *"),
        ("HANDLER customers OPEN", ""),
    ]);
}

#[test]
fn names_are_looked_for_from_the_inside_out() {
    check(&[
        (
            "SELECT name FROM customers c WHERE EXISTS (SELECT 1 FROM orders WHERE customer = c.id AND total > 5)",
            "select customers: id name; select orders: customer total",
        ),
        (
            "SELECT (SELECT MAX(total) FROM orders WHERE customer = name) FROM customers",
            "select customers: name; select orders: customer total",
        ),
        (
            "SELECT id FROM customers WHERE id IN (SELECT card FROM orders)",
            "select customers: card id; select orders: ",
        ),
        ("SELECT (SELECT card) FROM customers", "select customers: card"),
        ("SELECT (SELECT c.card FROM orders o LIMIT 1) FROM customers c", "select customers: card; select orders: "),
        ("SELECT (SELECT C.card FROM orders C LIMIT 1) FROM customers c", "select customers: ; select orders: card"),
        (
            "SELECT (SELECT c.card FROM orders C LIMIT 1) FROM customers c",
            "select customers: card; select orders: card",
        ),
        ("SELECT (SELECT *  FROM orders LIMIT 1) FROM customers", "select customers: ; select orders: *"),
    ]);
}

#[test]
fn derived_tables_and_common_tables_have_columns_of_their_own() {
    check(&[
        ("SELECT x.total FROM (SELECT id AS total FROM customers) x", "select customers: id"),
        (
            "SELECT total, name FROM customers JOIN (SELECT total FROM orders) x",
            "select customers: name; select orders: total",
        ),
        ("SELECT a FROM (SELECT card FROM customers) AS x(a)", "select customers: card"),
        ("WITH x(a) AS (SELECT card FROM customers) SELECT a FROM x", "select customers: card"),
        ("WITH x AS (SELECT card FROM customers) SELECT card FROM x", "select customers: card"),
        ("WITH customers AS (SELECT id FROM orders) SELECT card FROM customers", "select orders: id"),
        (
            "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x) SELECT name FROM x, customers",
            "select customers: name",
        ),
        (
            "SELECT j.a, b, name FROM customers, JSON_TABLE(city, '$[*]' COLUMNS (a INT PATH '$', b INT PATH '$')) j",
            "select customers: city name",
        ),
        ("SELECT word FROM cheap", "select cheap: word; select customers: card id"),
    ]);
}

#[test]
fn clauses_behind_queries_are_about_their_tables() {
    check(&[
        ("SELECT id AS x FROM customers ORDER BY x", "select customers: id"),
        ("SELECT id AS x FROM customers ORDER BY card", "select customers: card id"),
        ("(SELECT id FROM customers) ORDER BY card LIMIT 1", "select customers: card id"),
        ("((SELECT id FROM customers) ORDER BY card) LIMIT 1", "select customers: card id"),
        (
            "SELECT 1 FROM orders WHERE id IN ((SELECT id FROM customers) ORDER BY card)",
            "select customers: card id; select orders: id",
        ),
        (
            "SELECT id AS x FROM customers UNION SELECT id FROM orders ORDER BY x",
            "select customers: id; select orders: id",
        ),
        (
            "SELECT id FROM customers UNION (SELECT id FROM orders ORDER BY note)",
            "select customers: id; select orders: id note",
        ),
        ("SELECT x.id FROM ((SELECT id FROM customers) ORDER BY card LIMIT 1) x", "select customers: card id"),
    ]);
}

#[test]
fn changes_say_what_they_write_and_what_they_read() {
    check(&[
        ("INSERT INTO orders (id, total) VALUES (1, 2)", "insert orders: id total"),
        ("INSERT INTO orders VALUES (1, 2, 3, 4)", "insert orders: *"),
        ("INSERT INTO orders SET id = 1, note = total", "insert orders: id note; select orders: total"),
        ("REPLACE INTO orders (id) VALUES (1)", "replace orders: id"),
        (
            "INSERT INTO orders (id) SELECT id FROM customers WHERE card = 1",
            "insert orders: id; select customers: card id",
        ),
        (
            "INSERT INTO orders (id) VALUES (1) ON DUPLICATE KEY UPDATE total = VALUES(total), note = customer",
            "insert orders: id; select orders: customer total; update orders: note total",
        ),
        (
            "INSERT INTO orders (id) SELECT id FROM customers ON DUPLICATE KEY UPDATE note = customers.card",
            "insert orders: id; select customers: card id; update orders: note",
        ),
        (
            "INSERT INTO orders (id) SELECT id FROM customers ON DUPLICATE KEY UPDATE note = card",
            "insert orders: id; select customers: card id; update orders: note",
        ),
        ("INSERT INTO orders (id) VALUES (1) RETURNING total", "insert orders: id; select orders: total"),
        ("UPDATE orders SET total = 1 WHERE id = 2", "select orders: id; update orders: total"),
        ("UPDATE customers SET city = card", "select customers: card; update customers: city"),
        (
            "UPDATE customers c JOIN orders o ON o.customer = c.id SET o.note = c.card, city = 1",
            "select customers: card id; select orders: customer; update customers: city; update orders: note",
        ),
        ("DELETE FROM customers WHERE card = 4", "select customers: card"),
        ("DELETE o FROM orders o, customers WHERE customer = card", "select customers: card; select orders: customer"),
        (
            "LOAD DATA INFILE 'x' INTO TABLE orders (id, @a) SET note = total",
            "load orders: id note; select orders: total",
        ),
        ("LOAD DATA INFILE 'x' INTO TABLE orders", "load orders: *"),
        ("CREATE TABLE copy AS SELECT card FROM customers", "select customers: card"),
        ("SET @x = (SELECT card FROM customers)", "select customers: card"),
        ("PREPARE s FROM 'SELECT card FROM customers'", "select customers: card"),
        ("DO (SELECT MAX(card) FROM customers)", "select customers: card"),
        ("EXPLAIN SELECT card FROM customers", "select customers: card"),
    ]);
}

#[test]
fn what_a_text_changes_before_is_not_relied_on() {
    check(&[
        (
            "ALTER TABLE orders DROP note; SELECT (SELECT MAX(note) FROM orders) FROM customers",
            "select customers: note; select orders: note",
        ),
        (
            "CREATE TEMPORARY TABLE mine (card INT); SELECT (SELECT MAX(card) FROM mine) FROM customers",
            "select customers: card; select mine: card",
        ),
    ]);
    let shadow = facts("CREATE TEMPORARY TABLE orders (id INT)");
    assert!(shadow.has_unparsed(), "{shadow:?}");
}

#[test]
fn without_a_catalogue_a_name_may_be_of_any_table() {
    let context = Context {
        default_schema: Some("shop"),
        catalogue: Catalogue::EMPTY_WITH_COLUMNS,
        ..Context::new("orders", Flavour::MySql)
    };
    let facts = analyse(b"SELECT name FROM a JOIN b WHERE a.id = 1", &context);
    let columns = |table| facts.statements[0].columns.iter().find(|of| of.table == table).unwrap().columns.clone();
    let named = |names: &[&str]| Columns::Named(names.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!((columns("a"), columns("b")), (named(&["id", "name"]), named(&["name"])));
}

#[test]
fn long_inserts_name_their_columns() {
    let rows = vec!["(1, 2)"; 2_000].join(", ");
    check(&[(&format!("INSERT INTO orders (id, total) VALUES {rows}"), "insert orders: id total")]);
}

#[test]
fn more_names_than_are_resolved_stand_for_every_column() {
    let many: Vec<String> = (0..5_000).map(|number| format!("c{number}")).collect();
    check(&[(&format!("SELECT {} FROM customers", many.join(", ")), "select customers: *")]);
    let tables: Vec<String> = (0..300).map(|number| format!("orders t{number}")).collect();
    check(&[(&format!("SELECT t1.id FROM {}", tables.join(", ")), "select orders: *")]);
}

#[test]
fn columns_are_not_looked_for_unless_the_catalogue_has_them() {
    let context = Context { default_schema: Some("shop"), ..Context::new("orders", Flavour::MySql) };
    assert!(analyse(b"SELECT card FROM customers", &context).statements[0].columns.is_empty());
}

const LIMITED: &str = r#"
    @id("some") permit (principal, action in [Action::"select", Action::"update"], resource in Table::"orders/shop.customers")
      when { resource in [Column::"orders/shop.customers.id", Column::"orders/shop.customers.NAME"] };
    @id("orders") permit (principal, action in Action::"write", resource in Schema::"orders/shop");
    @id("read-orders") permit (principal, action == Action::"select", resource == Table::"orders/shop.orders");
    @id("session") permit (principal, action in Action::"session", resource);
"#;

const FORBIDDEN: &str = r#"
    @id("all") permit (principal, action in [Action::"select", Action::"insert", Action::"update", Action::"delete"], resource);
    @id("no-card") forbid (principal, action == Action::"select", resource == Column::"orders/shop.Customers.card");
    @id("no-total") forbid (principal, action == Action::"update", resource == Column::"orders/shop.orders.total");
    @id("session") permit (principal, action in Action::"session", resource);
"#;

/// The reason of a denial; none where it is allowed.
fn verdict(policies: &str, sql: &str) -> Option<String> {
    let policies = Policies::load(&[Source { name: "test", text: policies }]).unwrap();
    assert!(policies.look_at_columns());
    let catalogue = catalogue();
    let context = context(&catalogue);
    let subject = Subject { spiffe_id: "spiffe://example.org/a".to_owned(), groups: Vec::new() };
    let verdict = policies.judge(&subject, &analyse(sql.as_bytes(), &context), &context);
    (!verdict.is_allowed()).then_some(verdict.reason)
}

#[test]
fn who_may_read_some_columns_reads_these_and_no_others() {
    for sql in [
        "SELECT id, name FROM customers WHERE Name LIKE 'a%'",
        "SELECT COUNT(*) FROM customers",
        "SELECT 1 FROM customers",
        "SELECT name, total FROM customers c JOIN orders o ON o.customer = c.id",
        "SELECT * FROM orders",
        "UPDATE customers SET name = 'x' WHERE id = 1",
    ] {
        assert_eq!(verdict(LIMITED, sql), None, "{sql}");
    }
    for (sql, reason) in [
        ("SELECT card FROM customers", "no policy permits `select` on `orders/shop.customers.card`"),
        ("SELECT id FROM customers WHERE card = 1", "no policy permits `select` on `orders/shop.customers.card`"),
        ("SELECT id FROM customers ORDER BY `CARD`", "no policy permits `select` on `orders/shop.customers.card`"),
        (
            "SELECT * FROM customers",
            "no policy permits `select` on `orders/shop.customers` in every column (of `*`: name columns that are permitted)",
        ),
        ("SELECT name FROM names", "no policy permits `select` on `orders/shop.names`"),
        ("UPDATE customers SET name = card", "no policy permits `select` on `orders/shop.customers.card`"),
        ("DELETE FROM customers WHERE card = 1", "no policy permits `select` on `orders/shop.customers.card`"),
        (
            "SELECT (SELECT c.card FROM orders C LIMIT 1) FROM customers c",
            "no policy permits `select` on `orders/shop.customers.card`",
        ),
    ] {
        assert_eq!(verdict(LIMITED, sql).as_deref(), Some(reason), "{sql}");
    }
}

#[test]
fn a_forbidden_column_is_forbidden_where_the_table_is_permitted() {
    for sql in [
        "SELECT id, name FROM customers",
        "SELECT COUNT(*) FROM customers",
        "SELECT * FROM orders",
        "UPDATE customers SET card = 1 WHERE id = 2",
        "UPDATE orders SET note = total",
        "INSERT INTO orders VALUES (1, 2, 3, 4)",
        "SELECT card FROM cards",
    ] {
        assert_eq!(verdict(FORBIDDEN, sql), None, "{sql}");
    }
    let forbidden = "`select` on `orders/shop.customers.card` is forbidden";
    for (sql, reason) in [
        ("SELECT card FROM customers", forbidden),
        ("SELECT id FROM customers WHERE card = 1", forbidden),
        ("DELETE FROM customers WHERE card = 1", forbidden),
        ("UPDATE customers SET name = card", forbidden),
        (
            "SELECT * FROM customers",
            "`select` on `orders/shop.customers.card` is forbidden, and every column counts (of `*`)",
        ),
        ("SELECT word FROM cheap", forbidden),
        ("SELECT name FROM names NATURAL JOIN customers NATURAL JOIN cards", forbidden),
        ("UPDATE orders SET total = 1", "`update` on `orders/shop.orders.total` is forbidden"),
    ] {
        assert_eq!(verdict(FORBIDDEN, sql).as_deref(), Some(reason), "{sql}");
    }
}

#[test]
fn what_was_not_looked_for_counts_as_every_column() {
    let policies = Policies::load(&[Source { name: "test", text: FORBIDDEN }]).unwrap();
    let context = Context { default_schema: Some("shop"), ..Context::new("orders", Flavour::MySql) };
    let subject = Subject { spiffe_id: "spiffe://example.org/a".to_owned(), groups: Vec::new() };
    let verdict = policies.judge(&subject, &analyse(b"SELECT id FROM customers", &context), &context);
    assert!(!verdict.is_allowed(), "{}", verdict.reason);
}

#[test]
fn policies_without_columns_are_not_asked_about_them() {
    let policies = r#"
        @id("one") permit (principal, action, resource);
        @id("only") forbid (principal, action == Action::"select", resource) unless { resource == Table::"orders/shop.customers" };
        @id("column") permit (principal, action == Action::"select", resource == Column::"orders/shop.names.city");
    "#;
    assert_eq!(verdict(policies, "SELECT card FROM customers"), None);
    assert!(verdict(policies, "SELECT id FROM orders").is_some());
}
