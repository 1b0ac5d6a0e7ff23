//! Catalogue 5.3: every way for a query to touch a table.

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    let both = [
        ("an alias", "B055", "SELECT password AS nick FROM vault.users"),
        ("an alias without AS", "B055", "SELECT u.password nick FROM vault.users u"),
        ("a maximum", "B057", "SELECT MAX(password) FROM vault.users"),
        ("words in a row", "B057", "SELECT GROUP_CONCAT(password) FROM vault.users"),
        ("JSON of words", "B057", "SELECT JSON_ARRAYAGG(password) FROM vault.users"),
        ("JSON of pairs", "B057", "SELECT JSON_OBJECTAGG(id, password) FROM vault.users"),
        ("a union", "B059", "SELECT NULL AS password UNION SELECT password FROM vault.users"),
        ("a union's first side", "B059", "SELECT password FROM vault.users UNION SELECT 1"),
        ("a union in parentheses", "B059", "(SELECT item FROM orders) UNION ALL (SELECT password FROM vault.users)"),
        ("a difference", "B059", "SELECT password FROM vault.users EXCEPT SELECT 'x'"),
        ("an intersection", "B059", "SELECT password FROM vault.users INTERSECT SELECT password FROM vault.users"),
        ("a derived table", "B061", "SELECT * FROM (SELECT password FROM vault.users) x"),
        ("derived tables within", "B061", "SELECT * FROM (SELECT * FROM (SELECT password FROM vault.users) x) y"),
        ("everything", "B063", "SELECT * FROM vault.users"),
        ("everything of an alias", "B063", "SELECT u.* FROM vault.users AS u"),
        ("a natural join", "B063", "SELECT * FROM orders NATURAL JOIN vault.users"),
        ("a join by USING", "B063", "SELECT vault.users.password FROM orders JOIN vault.users USING (id)"),
        ("a join that is straight", "B063", "SELECT password FROM orders STRAIGHT_JOIN vault.users"),
        ("a join to the left", "B063", "SELECT u.password FROM orders o LEFT OUTER JOIN vault.users u ON u.id = o.id"),
        ("a join in parentheses", "B063", "SELECT u.password FROM orders o JOIN (orders p, vault.users u)"),
        ("a table in parentheses", "B063", "SELECT password FROM (vault.users)"),
        ("tables in a row", "B063", "SELECT password FROM shop.orders, vault.users"),
        ("a subquery", "B061", "SELECT (SELECT password FROM vault.users LIMIT 1)"),
        (
            "a subquery of the columns",
            "B061",
            "SELECT item, (SELECT password FROM vault.users WHERE id = o.id) FROM orders o",
        ),
        (
            "a subquery's row",
            "B109",
            "SELECT 1 FROM orders WHERE EXTRACTVALUE(1, CONCAT('~', (SELECT MIN(password) FROM vault.users WHERE id = 1)))",
        ),
        ("a CTE", "B061", "WITH x AS (SELECT password FROM vault.users) SELECT * FROM x"),
        (
            "a CTE that recurs",
            "B061",
            "WITH RECURSIVE x AS (SELECT 1 AS n, CAST('' AS CHAR(40)) AS w UNION ALL SELECT n + 1, (SELECT password FROM vault.users LIMIT 1) FROM x WHERE n < 3) SELECT * FROM x",
        ),
        ("a CTE of the table's name", "B061", "WITH users AS (SELECT 1 AS password) SELECT password FROM vault.users"),
        ("a CTE that shadows itself", "B061", "WITH users AS (SELECT * FROM vault.users) SELECT password FROM users"),
        (
            "a CTE that is not in scope",
            "B061",
            "SELECT * FROM (WITH u AS (SELECT password FROM vault.users) SELECT * FROM u) x",
        ),
        ("a window", "B057", "SELECT FIRST_VALUE(password) OVER (ORDER BY id) FROM vault.users"),
        ("a default", "B075", "SELECT DEFAULT(hint) FROM vault.users LIMIT 1"),
        ("hexadecimal", "B055", "SELECT HEX(password) FROM vault.users"),
        ("base64", "B055", "SELECT TO_BASE64(password) FROM vault.users"),
        ("backwards", "B055", "SELECT REVERSE(password) FROM vault.users"),
        ("a lock", "B123", "SELECT password FROM vault.users FOR UPDATE"),
        ("a lock of old", "B123", "SELECT password FROM vault.users LOCK IN SHARE MODE"),
        ("an index named", "B063", "SELECT password FROM vault.users USE INDEX (PRIMARY)"),
        (
            "words before the columns",
            "B063",
            "SELECT SQL_NO_CACHE SQL_CALC_FOUND_ROWS HIGH_PRIORITY password FROM vault.users",
        ),
        ("blanks around a dot", "B026", "SELECT password FROM vault . users"),
        ("a dot that is left behind", "B026", "SELECT password FROM `vault`. users"),
        ("a number", "B055", "SELECT pin FROM vault.users"),
        ("a row compared", "B109", "SELECT password FROM vault.users WHERE (id, name) = (1, 'bob')"),
        ("SOUNDS LIKE", "B109", "SELECT password FROM vault.users WHERE name SOUNDS LIKE 'bob'"),
        (
            "a JSON table",
            "B061",
            "SELECT j.w FROM vault.users u, JSON_TABLE(JSON_ARRAY(u.password), '$[*]' COLUMNS (w VARCHAR(40) PATH '$')) j",
        ),
    ];
    let mut cases: Vec<_> = both.into_iter().map(|(name, id, text)| Case::leaks(name, id, &[text])).collect();
    cases.extend(mariadbs());
    cases.extend(mysqls());
    cases
}

fn mariadbs() -> Vec<Case> {
    let texts = [
        ("dynamic columns", "B069", "SELECT COLUMN_JSON(COLUMN_CREATE('a', password)) FROM vault.users"),
        ("a dynamic column", "B069", "SELECT COLUMN_GET(COLUMN_CREATE('a', password), 'a' AS CHAR) FROM vault.users"),
        ("PROCEDURE ANALYSE", "B071", "SELECT password FROM vault.users PROCEDURE ANALYSE()"),
        ("VALUES", "B065", "VALUES ((SELECT password FROM vault.users LIMIT 1))"),
        (
            "an offset by FETCH",
            "B063",
            "SELECT password FROM vault.users ORDER BY id OFFSET 0 ROWS FETCH FIRST 1 ROW ONLY",
        ),
        ("a limit on what is examined", "B063", "SELECT password FROM vault.users LIMIT ROWS EXAMINED 100"),
    ];
    texts.into_iter().map(|(name, id, text)| Case::leaks(name, id, &[text]).mariadb()).collect()
}

fn mysqls() -> Vec<Case> {
    let texts = [
        ("TABLE", "B061", "TABLE vault.users"),
        ("TABLE in a union", "B061", "TABLE vault.plain UNION TABLE shop.plain"),
        ("TABLE in a derived table", "B061", "SELECT * FROM (TABLE vault.users) x"),
        ("TABLE in a subquery", "B061", "SELECT 1, (SELECT word FROM (TABLE vault.plain) x LIMIT 1)"),
        ("TABLE in a CTE", "B061", "WITH x AS (TABLE vault.users) TABLE x"),
        ("VALUES", "B065", "VALUES ROW((SELECT password FROM vault.users LIMIT 1), 1)"),
        (
            "a lateral table",
            "B061",
            "SELECT x.w FROM orders o, LATERAL (SELECT password AS w FROM vault.users u WHERE u.id = o.id) x",
        ),
        ("a lock of new", "B123", "SELECT password FROM vault.users u FOR SHARE OF u SKIP LOCKED"),
        ("a query block named", "B001", "SELECT /*+ QB_NAME(one) */ password FROM vault.users"),
    ];
    texts.into_iter().map(|(name, id, text)| Case::leaks(name, id, &[text]).mysql()).collect()
}
