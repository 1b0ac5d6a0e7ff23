//! A forbidden column of a table that may be read otherwise: `shop.customers`, where policy forbids `card`, and
//! `desk.customers`, where it permits `id` and `name`.

use crate::case::Case;

/// What is shown where a condition on the column holds.
const HELD: &str = "yes-it-holds";

pub(crate) fn cases() -> Vec<Case> {
    let of_each =
        ["shop.customers", "desk.customers"].into_iter().flat_map(|table| [leaks(table), tells(table)].concat());
    let mut cases: Vec<Case> = of_each.collect();
    cases.extend(changes());
    cases.extend(indirect());
    cases
}

/// `{t}` is the table, which is called `customers`.
fn written(texts: &[(&'static str, &str)], table: &str, case: impl Fn(&'static str, &str) -> Case) -> Vec<Case> {
    let named = |name: &str| -> &'static str { Box::leak(format!("{name}, {table}").into_boxed_str()) };
    texts.iter().map(|(name, text)| case(named(name), &text.replace("{t}", table)).why("customers")).collect()
}

fn leaks(table: &str) -> Vec<Case> {
    let texts = [
        ("the column", "SELECT card FROM {t}"),
        ("every column", "SELECT * FROM {t}"),
        ("every column of an alias", "SELECT c.* FROM {t} c"),
        ("the column of an alias", "SELECT c.card AS name FROM {t} AS c"),
        ("the column as another", "SELECT card AS id, id AS card FROM {t}"),
        ("in another case", "SELECT cArD FROM {t}"),
        ("in backticks", "SELECT `card` FROM {t}"),
        ("in another case in backticks", "SELECT `C`.`CARD` FROM {t} `C`"),
        ("spaces round the periods", "SELECT {t} . card FROM {t}"),
        ("a comment in the name", "SELECT customers/**/./**/card FROM {t}"),
        ("an executable comment", "SELECT id /*! , card */ FROM {t}"),
        ("a subquery", "SELECT (SELECT card FROM {t} WHERE id = 1)"),
        ("a correlated subquery", "SELECT (SELECT c.card) FROM {t} c"),
        ("a correlated name without its table", "SELECT (SELECT card FROM shop.orders o LIMIT 1) FROM {t}"),
        ("a subquery in a subquery", "SELECT (SELECT (SELECT card)) FROM {t}"),
        ("a derived table", "SELECT x.name FROM (SELECT card AS name FROM {t}) x"),
        ("a derived table's star", "SELECT x.* FROM (SELECT * FROM {t}) x"),
        ("a CTE", "WITH x AS (SELECT card FROM {t}) SELECT card FROM x"),
        ("a CTE with a list", "WITH x (id, name) AS (SELECT id, card FROM {t}) SELECT name FROM x"),
        ("a CTE of the table's name", "WITH customers AS (SELECT card AS id FROM {t}) SELECT id FROM customers"),
        ("a CTE that recurs", "WITH RECURSIVE x AS (SELECT card AS n FROM {t} UNION SELECT n FROM x) SELECT n FROM x"),
        ("a union", "SELECT name FROM {t} UNION SELECT card FROM {t}"),
        ("a union with values", "SELECT '' AS id UNION ALL (SELECT card FROM {t})"),
        ("a join", "SELECT o.item, card FROM shop.orders o JOIN {t} c ON c.id = o.customer"),
        ("a join with itself", "SELECT b.card FROM {t} a JOIN {t} b USING (id)"),
        (
            "a join by a made column",
            "SELECT card FROM (SELECT CONCAT('hunter2', '-zq81') AS card) x JOIN {t} USING (card)",
        ),
        ("tables in a row", "SELECT card FROM shop.orders, {t}"),
        ("a maximum", "SELECT MAX(card) FROM {t}"),
        ("words in a row", "SELECT GROUP_CONCAT(card) FROM {t}"),
        ("words in the column's order", "SELECT GROUP_CONCAT(CONCAT(name, '=', card) ORDER BY card) FROM {t}"),
        ("JSON", "SELECT JSON_OBJECT('k', card) FROM {t}"),
        ("JSON of rows", "SELECT JSON_ARRAYAGG(card) FROM {t}"),
        ("a cast", "SELECT CAST(card AS CHAR) FROM {t}"),
        ("a window", "SELECT FIRST_VALUE(card) OVER (ORDER BY id) FROM {t}"),
        ("a case", "SELECT CASE WHEN id THEN card END FROM {t}"),
        ("backwards", "SELECT REVERSE(card) FROM {t}"),
        ("hexadecimal", "SELECT HEX(card) FROM {t}"),
        ("an error's text", "SELECT EXTRACTVALUE(1, CONCAT('~', (SELECT MAX(card) FROM {t} WHERE id = 1)))"),
        ("a lock", "SELECT card FROM {t} FOR UPDATE"),
        (
            "JSON_TABLE",
            "SELECT j.v FROM {t} c, JSON_TABLE(JSON_ARRAY(c.card), '$[*]' COLUMNS (v VARCHAR(40) PATH '$')) j",
        ),
    ];
    let mut cases = written(&texts, table, |name, text| Case::leaks(name, "-", &[text]));
    let several: [(&str, &[&str]); 5] = [
        ("a variable", &["SET @x = (SELECT MAX(card) FROM {t})", "SELECT @x"]),
        ("a variable by INTO", &["SELECT card INTO @y FROM {t} WHERE id = 1", "SELECT @y"]),
        ("a variable in passing", &["SELECT @z := MAX(card) FROM {t}", "SELECT @z"]),
        ("a text prepared", &["PREPARE s FROM 'SELECT card FROM {t}'", "EXECUTE s"]),
        ("HANDLER", &["HANDLER {t} OPEN AS h", "HANDLER h READ FIRST"]),
    ];
    for (name, texts) in several {
        let texts: Vec<String> = texts.iter().map(|text| text.replace("{t}", table)).collect();
        let name: &'static str = Box::leak(format!("{name}, {table}").into_boxed_str());
        // By DO no value comes back.
        cases.push(Case::leaks(name, "-", &texts).why("customers"));
    }
    let mysql = [
        ("TABLE", "TABLE {t}"),
        ("TABLE in a derived table", "SELECT c FROM (TABLE {t}) AS x (a, b, c)"),
        ("a list of a derived table", "SELECT a FROM (SELECT card FROM {t}) AS x (a)"),
        ("LATERAL", "SELECT x.v FROM {t} c, LATERAL (SELECT c.card AS v) x"),
    ];
    cases.extend(written(&mysql, table, |name, text| Case::leaks(name, "-", &[text]).mysql()));
    cases
}

/// What is in the column shows in which rows there are, or in which order.
fn tells(table: &str) -> Vec<Case> {
    let texts = [
        ("WHERE", "SELECT CONCAT('yes', '-it-holds') FROM {t} WHERE card LIKE 'hunter2%'"),
        ("ON", "SELECT CONCAT('yes', '-it-holds') FROM shop.orders o JOIN {t} c ON c.card LIKE 'hunter2%'"),
        ("HAVING", "SELECT CONCAT('yes', '-it-holds') FROM {t} GROUP BY id HAVING MAX(card) LIKE 'hunter2%'"),
        ("GROUP BY", "SELECT IF(COUNT(*) > 1, CONCAT('yes', '-it-holds'), 0) FROM (SELECT 1 FROM {t} GROUP BY card) x"),
        ("ORDER BY", "SELECT CONCAT('yes', '-it-holds', id) FROM {t} ORDER BY card LIMIT 1"),
        (
            "a subquery's condition",
            "SELECT CONCAT('yes', '-it-holds') FROM shop.orders WHERE customer IN (SELECT id FROM {t} WHERE card > 'h')",
        ),
        (
            "EXISTS",
            "SELECT CONCAT('yes', '-it-holds') FROM shop.orders WHERE EXISTS (SELECT 1 FROM {t} WHERE card LIKE 'hun%')",
        ),
        (
            "IN",
            "SELECT CONCAT('yes', '-it-holds') FROM shop.orders WHERE CONCAT('hunter2', '-zq81') IN (SELECT card FROM {t})",
        ),
        ("a row", "SELECT CONCAT('yes', '-it-holds') FROM {t} WHERE (id, card) = (1, CONCAT('hunter2', '-zq81'))"),
        (
            "NATURAL JOIN",
            "SELECT CONCAT('yes', '-it-holds') FROM {t} NATURAL JOIN (SELECT CONCAT('hunter2', '-zq81') AS card) x",
        ),
        (
            "USING",
            "SELECT CONCAT('yes', '-it-holds') FROM {t} JOIN (SELECT CONCAT('hunter2', '-zq81') AS card) x USING (card)",
        ),
        (
            "ORDER BY behind parentheses",
            "(SELECT CONCAT('yes', '-it-holds', id) FROM {t}) UNION (SELECT id FROM {t} ORDER BY card LIMIT 1)",
        ),
        (
            "MEMBER OF",
            "SELECT CONCAT('yes', '-it-holds') FROM {t} WHERE JSON_CONTAINS(JSON_ARRAY(card), JSON_QUOTE(CONCAT('hunter2', '-zq81')))",
        ),
    ];
    written(&texts, table, |name, text| Case::shows(name, "-", HELD, &[text]))
}

/// `shop.notes` may be written and read.
fn changes() -> Vec<Case> {
    let texts: [(&'static str, &'static str); 6] = [
        ("INSERT … SELECT", "INSERT INTO shop.notes (id, text) SELECT id + 10, card FROM shop.customers"),
        (
            "INSERT with a subquery",
            "INSERT INTO shop.notes (id, text) VALUES (20, (SELECT MAX(card) FROM desk.customers))",
        ),
        (
            "REPLACE with a subquery",
            "REPLACE INTO shop.notes SET id = 1, text = (SELECT MAX(card) FROM shop.customers)",
        ),
        ("UPDATE with a join", "UPDATE shop.notes n JOIN desk.customers c ON c.id = n.id SET n.text = c.card"),
        ("UPDATE with a subquery", "UPDATE shop.notes SET text = (SELECT MAX(card) FROM shop.customers)"),
        (
            "ON DUPLICATE KEY UPDATE",
            "INSERT INTO shop.notes (id) SELECT id FROM shop.customers ON DUPLICATE KEY UPDATE text = customers.card",
        ),
    ];
    let each = texts
        .into_iter()
        .map(|(name, text)| Case::leaks(name, "-", &[text, "SELECT text FROM shop.notes"]).why("customers"));
    let mut cases: Vec<Case> = each.collect();
    cases.push(
        Case::changes(
            "DELETE by the column",
            "-",
            "SELECT COUNT(*) FROM shop.notes",
            &["DELETE n FROM shop.notes n JOIN shop.customers c ON c.id = n.id WHERE c.card LIKE 'hunter2%'"],
        )
        .why("customers"),
    );
    cases.push(
        Case::changes(
            "UPDATE by its own column",
            "-",
            "SELECT name FROM shop.customers",
            &["UPDATE shop.customers SET name = 'x' WHERE card LIKE 'hunter2%'"],
        )
        .why("customers"),
    );
    cases
}

fn indirect() -> Vec<Case> {
    let leaks = |name, texts: &[&str]| Case::leaks(name, "-", texts).why("customers");
    vec![
        leaks("a view", &["SELECT word FROM shop.by_card"]),
        leaks("a view's star", &["SELECT * FROM shop.by_card"]),
        leaks("the default schema", &["SELECT card FROM customers"]),
        leaks("the default schema changed", &["USE desk", "SELECT card FROM customers"]),
        leaks("an index is no limit", &["SELECT card FROM shop.customers USE INDEX (PRIMARY)"]),
    ]
}
