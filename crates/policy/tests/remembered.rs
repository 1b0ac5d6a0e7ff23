//! A remembered verdict is the verdict: whatever was asked before, and whatever the values are.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

use portreeve_policy::limits::{REMEMBERED_BYTES_MAX, REMEMBERED_MAX};
use portreeve_policy::{
    Catalogue, Context, Facts, Flavour, Judgement, Policies, Question, Relation, Remembered, Security, Source, Subject,
    Verdict, View, analyse,
};
use proptest::prelude::*;
use std::{rc::Rc, sync::LazyLock};

/// Policies that look at all there is to look at.
const LOOKING: &str = r#"
@id("reads") permit (principal, action in [Action::"read", Action::"session"], resource in Server::"orders");
@id("changes") permit (principal, action in Action::"write", resource in Schema::"orders/shop")
  when { context.has_where && !context.where_is_constant };
@id("inserts") permit (principal, action in [Action::"insert", Action::"replace"], resource in Schema::"orders/shop");
@id("limited") forbid (principal, action == Action::"delete", resource) unless { context.has_limit };
@id("one-table") forbid (principal, action == Action::"update", resource) when { context.table_count > 1 };
@id("no-sleep") forbid (principal, action, resource) when { context.functions.contains("sleep") };
@id("no-several") forbid (principal, action == Action::"delete", resource) when { context.multi_statement };
@id("no-users") forbid (principal, action, resource == Table::"orders/shop.Users");
"#;
const TEXTS_OF_POLICIES: [&str; 4] = [
    LOOKING,
    include_str!("../../../policies/examples/reporting.cedar"),
    "",
    r#"@id("all") permit (principal, action, resource);"#,
];

static POLICIES: LazyLock<Vec<Policies>> = LazyLock::new(|| {
    let load = |text: &&str| Policies::load(&[Source { name: "p.cedar", text }]).unwrap();
    TEXTS_OF_POLICIES.iter().map(load).collect()
});

/// `u` is a view over a table that some may not read.
static VIEWS: LazyLock<Catalogue> = LazyLock::new(|| {
    let mut catalogue = Catalogue::new(0);
    let definition = Some("select `b`.`c` AS `c` from `shop`.`Users` `b` where `b`.`a` = 5".to_owned());
    catalogue.add_relation("shop", "t", Relation::Table);
    catalogue.add_relation("shop", "Users", Relation::Table);
    catalogue.add_relation("shop", "u", Relation::View(View { definition, security: Security::Definer }));
    catalogue
});

/// `$` stands for a literal.
const TEXTS: [&str; 44] = [
    "SELECT a FROM t WHERE id = $",
    "SELECT a FROM t WHERE id=$ AND b<>$ OR c IN ($,$,$)",
    "SELECT a FROM t WHERE $ = $",
    "SELECT a FROM t WHERE $",
    "SELECT a FROM t WHERE NOT $",
    "SELECT a FROM t WHERE id = $ LIMIT $",
    "SELECT a FROM t WHERE id = $ LIMIT $ OFFSET $",
    "SELECT a FROM (SELECT b FROM u WHERE c = $ LIMIT $) x WHERE d = $",
    "SELECT $, a $ FROM t",
    "SELECT $ FROM t AS $ WHERE a = $",
    "SELECT a FROM $ WHERE a = $",
    "SELECT a FROM t, $ WHERE a = $",
    "SELECT a FROM t JOIN u ON t.id = $, $ WHERE a = $",
    "SELECT a FROM t WHERE a BETWEEN $ AND $ AND b LIKE $ ESCAPE $",
    "SELECT a FROM t WHERE b = DATE $ AND c > NOW() - INTERVAL $ DAY",
    "SELECT a FROM t WHERE b = _utf8mb4 $ COLLATE utf8mb4_bin",
    "SELECT a FROM t WHERE b = $ $ AND c = N$",
    "SELECT a FROM t WHERE b->$ = $ AND c->>$ = -$",
    "SELECT a FROM t WHERE SLEEP($) AND b = LOAD_FILE($)",
    "SELECT GET_LOCK($, $) FROM t WHERE x = $",
    "SELECT a FROM t WHERE a = $ INTO OUTFILE $ FIELDS TERMINATED BY $",
    "SELECT a FROM t WHERE a = $ INTO @x, @y",
    "SELECT a FROM t WHERE a = $ UNION SELECT b FROM Users WHERE c = $ ORDER BY $",
    "SELECT a FROM t WHERE a = (SELECT MAX(b) FROM vault.u WHERE c = $) AND d = $ GROUP BY $ HAVING COUNT(*) > $",
    "SELECT CASE a WHEN $ THEN $ ELSE $ END FROM t WHERE CASE WHEN b = $ THEN $ ELSE $ END = $",
    "SELECT a FROM t WHERE id = $ FOR UPDATE",
    "SELECT a FROM t WHERE id = $ PROCEDURE ANALYSE($, $)",
    "SELECT /*+ MAX_EXECUTION_TIME($) */ a FROM t WHERE id = $ -- $",
    "SELECT a FROM t WHERE /*! id = $ AND */ b = $",
    "SELECT a FROM t WHERE id = $;",
    "SELECT a FROM t WHERE id = $; SELECT b FROM u WHERE c = $",
    "INSERT INTO t VALUES ($, $)",
    "INSERT INTO t (a, b) VALUES ($, $), ($, DEFAULT), (NULL, -$)",
    "INSERT INTO t SET a = $, b = $ ON DUPLICATE KEY UPDATE a = $, b = VALUES(b) + $",
    "INSERT INTO t (a) SELECT b FROM u WHERE c = $ LIMIT $",
    "REPLACE INTO t VALUES ($, CONCAT($, $))",
    "UPDATE t SET a = $ WHERE id = $",
    "UPDATE t SET a = $, b = b + $ WHERE $ ORDER BY c LIMIT $",
    "UPDATE t, u SET t.a = $ WHERE t.id = u.id AND u.b = $",
    "UPDATE t SET a = (SELECT b FROM Users WHERE c = $)",
    "DELETE FROM t WHERE id = $",
    "DELETE FROM t WHERE id = $ LIMIT $",
    "DELETE t FROM t JOIN u ON t.id = u.id WHERE u.a = $",
    "EXPLAIN SELECT a FROM t WHERE id = $",
];

/// What texts are spoilt with.
const SCRAPS: [&str; 40] = [
    "SELECT", "FROM", "WHERE", "SET", "VALUES", "VALUE", "HAVING", "LIMIT", "OFFSET", "ON", "KEY", "UPDATE", "INTO",
    "OUTFILE", "AS", "AND", "OR", "NOT", "IN", "LIKE", "(", ")", ",", ".", "=", "-", "*", ";", "?", "@v", "t", "Users",
    "`vault`", "x'41'", "/* c */", "# c\n", "\"d\"", "NULL", "USE", "TABLE",
];

fn literal() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0_u32..3).prop_map(|number| number.to_string()),
        2 => any::<u64>().prop_map(|number| number.to_string()),
        1 => any::<f32>().prop_filter("finite", |number| number.is_finite()).prop_map(|number| format!("{number:e}")),
        4 => "[a-zA-Z0-9 ,;()=.%_-]{0,12}".prop_map(|text| format!("'{text}'")),
        1 => "[a-z]{0,5}".prop_map(|text| format!("\"{text}\"")),
        1 => prop_oneof![
            Just("'it''s'"), Just("'a\\'b'"), Just("'\\\\'"), Just("'é'"), Just("'/*'"), Just("'--'"), Just("''"),
            Just("'Users'"), Just("'socket'"), Just("NULL"), Just("0x41"), Just("'unclosed"), Just("'\u{1}'"), Just("Users"),
            Just("(SELECT card FROM vault.u)"), Just("SLEEP(1)"), Just("1.5"), Just(".5"), Just("TRUE"), Just("'\u{2}'"),
        ].prop_map(str::to_owned),
    ]
}

/// A text with a scrap or two thrown in, and several fillings of it.
fn family() -> impl Strategy<Value = Vec<String>> {
    let scraps = prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&SCRAPS[..])), 0..3);
    let filled = prop::collection::vec(prop::collection::vec(literal(), 12), 2..5);
    (prop::sample::select(&TEXTS[..]), scraps, filled).prop_map(|(text, scraps, fillings)| {
        let mut words: Vec<&str> = text.split(' ').collect();
        for (at, scrap) in scraps {
            words.insert(at.index(words.len() + 1), scrap);
        }
        let text = words.join(" ");
        fillings.iter().map(|literals| fill(&text, literals)).collect()
    })
}

fn fill(text: &str, literals: &[String]) -> String {
    let mut literals = literals.iter();
    let fill = |part: &str| format!("{part}{}", literals.next().map_or("7", String::as_str));
    let mut parts: Vec<&str> = text.split('$').collect();
    let last = parts.pop().unwrap_or_default();
    parts.into_iter().map(fill).collect::<String>() + last
}

fn uncached(policies: &Policies, subject: &Subject, context: &Context<'_>, sql: &str) -> (Facts, Verdict) {
    let facts = analyse(sql.as_bytes(), context);
    let verdict = policies.judge(subject, &facts, context);
    (facts, verdict)
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn cached_and_uncached_verdicts_are_equal(
        families in prop::collection::vec(family(), 1..4),
        modes in prop::array::uniform6(prop::bool::weighted(0.2)),
        has_views in any::<bool>(),
        prepared in any::<bool>(),
        default_schema in prop::option::weighted(0.9, Just("shop")),
        maria_db in any::<bool>(),
    ) {
        let subject = Subject { spiffe_id: "spiffe://example.org/r".to_owned(), groups: vec!["reporting".to_owned()] };
        let flavour = if maria_db { Flavour::MariaDb } else { Flavour::MySql };
        let server = "orders";
        let [ansi_quotes, no_backslash_escapes, pipes_as_concat, ignore_space, high_not_precedence, is_unknown] = modes;
        let version = match (is_unknown, flavour) {
            (true, _) => 0,
            (false, Flavour::MariaDb) => 101_114,
            (false, Flavour::MySql) => 90_704,
        };
        let context = Context {
            default_schema,
            prepared,
            version,
            no_backslash_escapes,
            ansi_quotes,
            pipes_as_concat,
            ignore_space,
            high_not_precedence,
            utf8: !is_unknown,
            catalogue: if has_views { &VIEWS } else { Catalogue::EMPTY },
            ..Context::new(server, flavour)
        };
        let mut remembered = Remembered::default();
        // One memory through all policies, as it is when they are exchanged under it.
        for (generation, policies) in POLICIES.iter().enumerate() {
            for sql in families.iter().flatten() {
                let question = Question {
                    policies,
                    generation: generation as u64,
                    subject: &subject,
                    context,
                    sql: sql.as_bytes(),
                    facts: None,
                    is_marked: |sql| sql.windows(6).any(|part| part == b"socket"),
                };
                let judgement = remembered.judge(question);
                let (facts, verdict) = uncached(policies, &subject, &context, sql);
                prop_assert_eq!(&*judgement.facts, &facts, "{}", sql);
                prop_assert_eq!(&judgement.verdict, &verdict, "{}", sql);
                prop_assert_eq!(judgement.marked, sql.contains("socket"), "{}", sql);
            }
        }
    }
}

/// Asks for a query's judgement under the policies of that index.
fn ask(remembered: &mut Remembered, policies: usize, sql: &str) -> Rc<Judgement> {
    let subject = Subject { spiffe_id: "spiffe://example.org/r".to_owned(), groups: vec!["reporting".to_owned()] };
    remembered.judge(Question {
        policies: POLICIES.get(policies).unwrap(),
        generation: policies as u64,
        subject: &subject,
        context: Context { default_schema: Some("shop"), ..Context::new("orders", Flavour::MySql) },
        sql: sql.as_bytes(),
        facts: None,
        is_marked: |_| false,
    })
}

#[test]
fn texts_that_differ_in_values_share_one_judgement() {
    let mut remembered = Remembered::default();
    let mut is_shared = |one: &str, other: &str| {
        let one = ask(&mut remembered, 0, one);
        Rc::ptr_eq(&one, &ask(&mut remembered, 0, other))
    };
    assert!(is_shared("SELECT a FROM t WHERE id = 1", "SELECT a FROM t WHERE id = 2"));
    assert!(is_shared("INSERT INTO t VALUES (1, 'a')", "INSERT INTO t VALUES (2, 'b')"));
    assert!(!is_shared("DELETE FROM t WHERE id = 1 LIMIT 1", "DELETE FROM t WHERE id = 1 LIMIT 100"));
    assert!(!is_shared("SELECT a FROM t WHERE id = 1", "SELECT a FROM t  WHERE id = 1"));
    assert!(!is_shared(
        "SELECT nonsense nonsense nonsense WHERE id = 1",
        "SELECT nonsense nonsense nonsense WHERE id = 2"
    ));
}

#[test]
fn under_other_policies_the_facts_stay_and_the_verdict_is_found_anew() {
    let mut remembered = Remembered::default();
    let sql = "SELECT a FROM t WHERE id = 1";
    let before = ask(&mut remembered, 0, sql);
    let after = ask(&mut remembered, 2, sql);
    assert_eq!((before.verdict.is_allowed(), after.verdict.is_allowed()), (true, false));
    assert!(Rc::ptr_eq(&before.facts, &after.facts));
    assert!(Rc::ptr_eq(&after, &ask(&mut remembered, 2, sql)));
    let alike = ask(&mut remembered, 2, "SELECT a FROM t WHERE id = 2");
    assert!(!alike.verdict.is_allowed() && Rc::ptr_eq(&before.facts, &alike.facts));
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut remembered = Remembered::default();
    let of_length = |length: usize| format!("SELECT '{}'", "x".repeat(length - 9));
    for (length, is_kept) in [(REMEMBERED_BYTES_MAX, true), (REMEMBERED_BYTES_MAX + 1, false)] {
        let first = ask(&mut remembered, 0, &of_length(length));
        assert_eq!(Rc::ptr_eq(&first, &ask(&mut remembered, 0, &of_length(length))), is_kept, "{length}");
    }
    let mut remembered = Remembered::default();
    let first = ask(&mut remembered, 0, "SELECT 0");
    for number in 1..REMEMBERED_MAX {
        ask(&mut remembered, 0, &format!("SELECT {number}"));
    }
    assert!(Rc::ptr_eq(&first, &ask(&mut remembered, 0, "SELECT 0")), "at the limit");
    ask(&mut remembered, 0, "SELECT -1");
    assert!(!Rc::ptr_eq(&first, &ask(&mut remembered, 0, "SELECT 0")), "one past it all begins anew");
}
