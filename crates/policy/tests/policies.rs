//! Loading of policy sets, and rules of judging that no example shows.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that panics has failed")]

use std::collections::BTreeSet;

use cedar_policy::{Context as CedarContext, EntityUid, Request as CedarRequest, RestrictedExpression, Schema};
use portreeve_policy::{
    Action, Context, Decision, Flavour, Policies, PolicyProblem, Resource, SCHEMA, Source, Subject, Verdict, analyse,
};

fn context() -> Context<'static> {
    Context { default_schema: Some("shop"), version: 101_114, ..Context::new("orders", Flavour::MariaDb) }
}

fn subject() -> Subject {
    Subject { spiffe_id: "spiffe://example.org/a".to_owned(), groups: vec!["g".to_owned()] }
}

fn load(text: &str) -> Policies {
    Policies::load(&[Source { name: "a.cedar", text }]).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn problems(text: &str) -> Vec<PolicyProblem> {
    Policies::load(&[Source { name: "a.cedar", text }]).err().unwrap_or_default()
}

fn judge(policies: &Policies, sql: &str) -> Verdict {
    policies.judge(&subject(), &analyse(sql.as_bytes(), &context()), &context())
}

#[test]
fn where_the_server_folds_names_a_permit_counts_in_any_case() {
    let policies = load(
        "@id(\"shop\") permit (principal, action == Action::\"select\", resource in Schema::\"orders/Shop\");\n\
         @id(\"one\") permit (principal, action == Action::\"select\", resource == Table::\"orders/vault.Open\");\n\
         @id(\"no\") forbid (principal, action, resource == Table::\"orders/shop.Secret\");",
    );
    let judged = |sql: &str, lower_case_table_names| {
        let context = Context { lower_case_table_names, ..context() };
        policies.judge(&subject(), &analyse(sql.as_bytes(), &context), &context).decision
    };
    use Decision::{Allow, Deny};
    for (sql, exact, folded) in [
        ("SELECT 1 FROM Shop.t", Allow, Allow),
        ("SELECT 1 FROM shop.t", Deny, Allow),
        ("SELECT 1 FROM VAULT.OPEN", Deny, Allow),
        ("SELECT 1 FROM vault.other", Deny, Deny),
        ("SELECT 1 FROM Shop.SECRET", Deny, Deny),
    ] {
        assert_eq!(judged(sql, 0), exact, "{sql}");
        assert_eq!(judged(sql, 1), folded, "{sql}");
        assert_eq!(judged(sql, 2), folded, "{sql}");
    }
}

#[test]
fn the_case_of_a_routines_name_never_counts_and_that_of_its_schema_does() {
    let policies = load(
        "@id(\"one\") permit (principal, action == Action::\"call\", resource == Routine::\"orders/shop.MonthEnd\");\n\
         @id(\"functions\") permit (principal, action == Action::\"execute\", resource in Schema::\"orders/shop\");\n\
         @id(\"no\") forbid (principal, action, resource == Routine::\"orders/shop.Secret\");",
    );
    for sql in ["CALL MonthEnd()", "CALL monthend()", "CALL shop.MONTHEND()"] {
        assert_eq!(judge(&policies, sql).policies, ["one"], "{sql}");
    }
    let reason = judge(&policies, "CALL Shop.monthend()").reason;
    assert_eq!(reason, "no policy permits `call` on `orders/Shop.monthend`");
    assert_eq!(judge(&policies, "CALL other()").reason, "no policy permits `call` on `orders/shop.other`");
    for sql in ["CALL SECRET()", "SELECT secret() FROM a", "SELECT Shop.SECRET() FROM a"] {
        assert_eq!(judge(&policies, sql).policies, ["no"], "{sql}");
    }
}

#[test]
fn a_permit_for_routines_on_the_server_takes_in_each_of_them() {
    let policies =
        load("@id(\"all\") permit (principal, action in Action::\"routine\", resource in Server::\"orders\");");
    for sql in ["CALL p()", "CALL other.p()", "DROP PROCEDURE p", "DROP FUNCTION IF EXISTS vault.f"] {
        assert!(judge(&policies, sql).is_allowed(), "{sql}");
    }
}

#[test]
fn an_empty_set_denies_everything() {
    let policies = Policies::load(&[]).unwrap();
    assert_eq!(policies.ids().count(), 0);
    assert_eq!(judge(&policies, "SELECT 1").decision, Decision::Deny);
    assert_eq!(judge(&load("// nothing\n"), "SELECT 1").decision, Decision::Deny);
}

#[test]
fn ending_a_session_of_ones_own_workload_is_a_permission_of_its_own() {
    let policies = load("@id(\"own\")\npermit (principal, action in Action::\"session\", resource);");
    let may = |own| policies.judge_kill(&subject(), own, &context());
    assert!(may(true).is_allowed());
    assert_eq!(may(false).reason, "no policy permits `kill` on `orders`");
    assert!(!judge(&policies, "KILL 5").is_allowed());
}

#[test]
fn a_workload_is_permitted_everything_by_one_policy_without_a_condition_and_no_forbid() {
    let everything = |text: &str| load(text).permits_everything(&subject(), "orders");
    for text in [
        "permit (principal, action, resource);",
        "permit (principal in Group::\"g\", action, resource in Server::\"orders\");",
        "permit (principal == Workload::\"spiffe://example.org/a\", action, resource);",
    ] {
        assert!(everything(&format!("@id(\"a\") {text}")), "{text}");
    }
    for text in [
        "permit (principal, action, resource) when { context.has_where };",
        "permit (principal, action, resource) unless { context.multi_statement };",
        "permit (principal in Group::\"h\", action, resource);",
        "permit (principal, action in Action::\"session\", resource);",
        "permit (principal, action, resource in Server::\"other\");",
        "permit (principal, action, resource in Schema::\"orders/shop\");",
        "permit (principal, action, resource is Table);",
        "permit (principal, action, resource);\n@id(\"b\") forbid (principal in Group::\"h\", action, resource);",
        "permit (principal, action, resource);\n@id(\"b\") @rows_changed_max(\"9\") forbid (principal, action, resource);",
        "permit (principal, action, resource) when { context.weekday > 0 };",
    ] {
        assert!(!everything(&format!("@id(\"a\") {text}")), "{text}");
    }
    assert!(!Policies::load(&[]).unwrap().permits_everything(&subject(), "orders"));
}

#[test]
fn commands_without_a_statement_are_judged_by_their_action() {
    let policies =
        load("@id(\"drop\")\npermit (principal, action == Action::\"drop\", resource == Schema::\"orders/old\");");
    let drops = |schema: &str| {
        let resource = Resource::Schema(schema.to_owned());
        policies.judge_command(&subject(), Action::Drop, resource, &context()).is_allowed()
    };
    assert!(drops("old"));
    assert!(!drops("shop"));
    assert!(!policies.judge_command(&subject(), Action::Shutdown, Resource::Server, &context()).is_allowed());
}

#[test]
fn problems_say_where_and_what_to_do() {
    let found =
        problems("@id(\"a\")\npermit (principal, action, resource);\n\npermit (principal, action, resource);\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].file.as_str(), found[0].line, found[0].column), ("a.cedar", Some(4), Some(1)));
    assert!(found[0].to_string().contains("add one"), "{}", found[0]);

    let found = problems(
        "@id(\"a\")\npermit (principal, action, resource);\n@id(\"a\")\npermit (principal, action, resource);",
    );
    assert_eq!(found[0].line, Some(3));
    assert!(found[0].message.contains("a.cedar:1"), "{}", found[0]);

    let found = problems("@id(\"a\")\npermit (principal, action, resource)\nwhen { ");
    assert_eq!(found[0].line, Some(3), "{found:?}");

    let found = problems("@id(\"a\")\npermit (principal, action == Action::\"slect\", resource);");
    assert_eq!(found[0].line, Some(2), "{found:?}");
    assert!(found[0].message.contains("slect"), "{}", found[0]);

    let found =
        problems("@id(\"a\")\npermit (principal, action == Action::\"select\", resource) when { context.nope };");
    assert!(found[0].message.contains("nope"), "{}", found[0]);

    let found = problems("@id(\"a\")\npermit (principal == ?principal, action, resource);");
    assert!(found[0].message.contains("template"), "{found:?}");
}

#[test]
fn every_problem_of_every_source_is_reported() {
    let sources = [
        Source { name: "a.cedar", text: "permit (principal, action, resource);" },
        Source { name: "b.cedar", text: "@id(\"x\") permit (principal, action == Action::\"no\", resource);" },
        Source { name: "c.cedar", text: "nonsense" },
    ];
    let files: BTreeSet<_> = Policies::load(&sources).unwrap_err().into_iter().map(|problem| problem.file).collect();
    assert_eq!(files, ["a.cedar", "b.cedar", "c.cedar"].map(str::to_owned).into());
}

#[test]
fn a_forbid_catches_names_in_any_case_and_a_permit_only_its_own() {
    let lower = load(
        "@id(\"all\") permit (principal, action, resource);
         @id(\"no\") forbid (principal, action, resource == Table::\"orders/shop.users\");",
    );
    let mixed = load(
        "@id(\"all\") permit (principal, action, resource);
         @id(\"no\") forbid (principal, action, resource in Schema::\"orders/Shop\");",
    );
    for sql in ["SELECT * FROM users", "SELECT * FROM Users", "SELECT * FROM SHOP.USERS", "DELETE FROM `sHop`.`uSers`"]
    {
        assert_eq!(judge(&lower, sql).policies, ["no"], "{sql}");
        assert_eq!(judge(&mixed, sql).policies, ["no"], "{sql}");
    }
    assert_eq!(judge(&mixed, "USE shop").policies, ["no"]);
    assert_eq!(judge(&lower, "SELECT * FROM Orders").decision, Decision::Allow);
    let permit = load("@id(\"p\") permit (principal, action, resource == Table::\"orders/shop.Users\");");
    assert_eq!(judge(&permit, "SELECT * FROM Users").decision, Decision::Allow);
    assert_eq!(judge(&permit, "SELECT * FROM users").decision, Decision::Deny);
}

#[test]
fn no_name_can_forge_another_resource() {
    let policies = load(
        "@id(\"p\") permit (principal, action, resource == Table::\"orders/a.b\");
         @id(\"q\") permit (principal, action, resource == Table::\"orders/x%2Ey.z%2F%25\");",
    );
    assert_eq!(judge(&policies, "SELECT * FROM a.b").decision, Decision::Allow);
    for sql in ["SELECT * FROM `a.b`.``", "SELECT * FROM `a.b`", "USE `a.b`", "SELECT * FROM `orders/a`.b"] {
        assert_eq!(judge(&policies, sql).decision, Decision::Deny, "{sql}");
    }
    assert_eq!(judge(&policies, "SELECT * FROM `x.y`.`z/%`").decision, Decision::Allow);
    assert_eq!(judge(&policies, "SELECT * FROM `x%2Ey`.`z/%`").decision, Decision::Deny);
}

#[test]
fn a_denial_names_every_action_and_table_that_policy_lacks_up_to_a_few() {
    let policies = load("@id(\"p\") permit (principal, action, resource == Table::\"orders/shop.a\");");
    let check = |sql: &str, reason: &str| assert_eq!(judge(&policies, sql).reason, reason, "{sql}");
    check("DELETE FROM b", "no policy permits `delete` on `orders/shop.b`");
    check(
        "INSERT INTO b SELECT * FROM c JOIN a",
        "no policy permits `insert` on `orders/shop.b`, nor `select` on `orders/shop.c`",
    );
    check("SELECT * FROM b; SELECT * FROM b", "no policy permits `select` on `orders/shop.b`");
    check(
        "SELECT * FROM b, c, d, e, f",
        "no policy permits `select` on `orders/shop.b`, nor `select` on `orders/shop.c`, nor `select` on `orders/shop.d`, nor 2 more",
    );
    check(
        "SELECT * FROM b, c, d; nonsense",
        "no policy permits `select` on `orders/shop.b`, nor `unparsed` on `orders`, nor `select` on `orders/shop.c`, nor 1 more: `NONSENSE` is not read",
    );
}

#[test]
fn an_evaluation_error_denies() {
    let policies = load(
        "@id(\"all\") permit (principal, action, resource);
         @id(\"overflow\") forbid (principal, action, resource)
           when { context.table_count + 9223372036854775807 > 0 && false };",
    );
    let verdict = judge(&policies, "SELECT * FROM users");
    assert_eq!((verdict.decision, verdict.policies), (Decision::Deny, vec!["overflow".to_owned()]));
    assert!(verdict.reason.contains("could not be evaluated"), "{}", verdict.reason);
}

#[test]
fn groups_of_actions_are_those_of_the_schema() {
    let policies = load("@id(\"r\") permit (principal in Group::\"g\", action in Action::\"read\", resource);");
    assert_eq!(judge(&policies, "SELECT * FROM users").decision, Decision::Allow);
    assert_eq!(judge(&policies, "SHOW TABLES").decision, Decision::Allow);
    assert_eq!(judge(&policies, "SELECT 1").decision, Decision::Deny);
    assert_eq!(judge(&policies, "SELECT * FROM users INTO OUTFILE 'x'").decision, Decision::Deny);
    let anything = load("@id(\"r\") permit (principal, action, resource) when { context.has_where };");
    assert_eq!(judge(&anything, "HELP 'x'").decision, Decision::Deny);
}

#[test]
fn a_use_changes_what_the_context_says_for_what_follows() {
    let policies = load(
        "@id(\"p\") permit (principal, action, resource) when { context has default_schema && context.default_schema == \"shop\" };",
    );
    assert_eq!(judge(&policies, "SELECT 1; SELECT 2").decision, Decision::Allow);
    assert_eq!(judge(&policies, "USE hr; SELECT 2").decision, Decision::Deny);
}

#[test]
fn commands_without_sql_are_judged() {
    let policies = load(
        "@id(\"u\") permit (principal, action == Action::\"use\", resource == Schema::\"orders/shop\");
         @id(\"s\") permit (principal, action == Action::\"show\", resource == Table::\"orders/shop.users\");",
    );
    let schema = |name| policies.judge_use_schema(&subject(), name, &context()).decision;
    assert_eq!(
        [schema("shop"), schema("hr"), schema(""), schema("caf\u{e9}")],
        [Decision::Allow, Decision::Deny, Decision::Deny, Decision::Deny]
    );
    let table = |name| policies.judge_field_list(&subject(), name, &context()).decision;
    assert_eq!([table("users"), table("orders")], [Decision::Allow, Decision::Deny]);
}

/// Requests are put to Cedar unvalidated, for speed: each kind must be one that the schema knows.
#[test]
fn actions_and_context_are_those_of_the_schema() {
    let (schema, _) = Schema::from_cedarschema_str(SCHEMA).unwrap();
    let leaves: BTreeSet<String> = schema.actions().map(|uid| uid.id().unescaped().to_owned()).collect();
    let groups: BTreeSet<_> =
        Action::ALL.iter().map(|action| action.group()).filter(|group| !group.is_empty()).collect();
    let ours: BTreeSet<String> = Action::ALL.iter().map(|a| a.as_str()).chain(groups).map(str::to_owned).collect();
    assert_eq!(leaves, ours);
    for action in Action::ALL {
        let uid: EntityUid = format!("Action::\"{action}\"").parse().unwrap();
        let resources = ["Server::\"s\"", "Schema::\"s/a\"", "Table::\"s/a.b\"", "Column::\"s/a.b.c\""];
        let fits = resources.iter().filter(|resource| {
            let bools = ["has_where", "where_is_constant", "has_limit", "multi_statement", "prepared"];
            let mut pairs: Vec<_> = bools.iter().map(|key| (*key, RestrictedExpression::new_bool(true))).collect();
            pairs.push(("statement_class", RestrictedExpression::new_string("x".to_owned())));
            pairs.push(("functions", RestrictedExpression::new_set([])));
            pairs.push(("table_count", RestrictedExpression::new_long(1)));
            pairs.push(("now", RestrictedExpression::new_datetime("1970-01-01T00:00:00.000Z")));
            pairs.push(("weekday", RestrictedExpression::new_long(4)));
            let context =
                CedarContext::from_pairs(pairs.into_iter().map(|(key, value)| (key.to_owned(), value))).unwrap();
            let principal = "Workload::\"w\"".parse().unwrap();
            CedarRequest::new(principal, uid.clone(), resource.parse().unwrap(), context, Some(&schema)).is_ok()
        });
        assert!(fits.count() > 0, "{action} applies to nothing");
    }
}

#[test]
fn facts_and_verdicts_are_json() {
    let policies = load("@id(\"p\") permit (principal, action, resource == Table::\"orders/shop.users\");");
    let facts = analyse(b"SELECT * FROM users", &context());
    let json = serde_json::to_value(&facts).unwrap();
    assert_eq!(json["statements"][0]["class"], "select");
    assert_eq!(json["statements"][0]["requests"][0]["resource"]["table"]["table"], "users");
    let json = serde_json::to_value(judge(&policies, "SELECT * FROM users")).unwrap();
    assert_eq!((json["decision"].as_str(), json["policies"][0].as_str()), (Some("allow"), Some("p")));
}
