//! What is behind a view, however deep.

use super::*;

const VIEWS: &str = "
    CREATE OR REPLACE VIEW shop.safe AS SELECT item, 'it''s \\\\' AS quoted FROM shop.orders WHERE id = 1;
    CREATE OR REPLACE VIEW shop.words AS SELECT word FROM vault.keys;
    CREATE OR REPLACE VIEW shop.nested AS SELECT word AS other FROM shop.words;
    CREATE OR REPLACE VIEW shop.sub AS SELECT item FROM shop.orders WHERE EXISTS (SELECT 1 FROM shop.customers WHERE card LIKE '4%');
    CREATE OR REPLACE VIEW shop.derived AS SELECT o.item FROM shop.orders o JOIN (SELECT MAX(id) AS id FROM shop.customers) c USING (id);
    CREATE OR REPLACE VIEW shop.everybody AS SELECT id, name FROM shop.customers;
    CREATE OR REPLACE SQL SECURITY INVOKER VIEW shop.invoked AS SELECT word FROM vault.keys;
";

#[test]
fn a_view_is_judged_by_what_it_touches() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        scene.server.sql(VIEWS).unwrap();
        let mut wire = reporting(&scene);
        check_gives(&mut wire, "SELECT item FROM safe", &["teapot"]);
        check_gives(&mut wire, "SELECT COUNT(*) FROM orders JOIN safe USING (item)", &["1"]);
        for name in ["words", "nested", "invoked"] {
            check_denied(&mut wire, &format!("SELECT * FROM {name}"), KEYS);
            check_denied(&mut wire, &format!("SELECT item FROM orders WHERE EXISTS (SELECT 1 FROM shop.{name})"), KEYS);
            check_denied(&mut wire, &format!("CREATE TABLE stolen AS SELECT * FROM {name}"), KEYS);
            check_denied(&mut wire, &format!("INSERT INTO orders (item) SELECT * FROM {name}"), KEYS);
            check_denied(&mut wire, &format!("EXPLAIN SELECT * FROM {name}"), KEYS);
        }
        for name in ["sub", "derived", "everybody"] {
            check_denied(&mut wire, &format!("SELECT * FROM {name}"), CUSTOMERS);
        }
        assert_eq!(scene.server.sql("SELECT COUNT(*) FROM shop.orders").unwrap(), "3\n");
        check_recorded(&scene, KEYS);
        check_recorded(&scene, "`select` on `shop-db/shop.customers` is forbidden");
    }
}

#[test]
fn a_change_through_a_view_is_judged_as_a_change_of_the_table() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        scene.server.sql(VIEWS).unwrap();
        scene
            .server
            .sql("CREATE TABLE shop.notes (note VARCHAR(9)); CREATE VIEW shop.my_notes AS SELECT * FROM shop.notes")
            .unwrap();
        let mut wire = reporting(&scene);
        wire.query("INSERT INTO my_notes VALUES ('a'), ('b')").unwrap();
        wire.query("DELETE FROM my_notes WHERE note = 'a'").unwrap();
        assert_eq!(scene.server.sql("SELECT note FROM shop.notes").unwrap(), "b\n");
        for sql in [
            "DELETE FROM everybody",
            "UPDATE everybody SET name = 'x'",
            "INSERT INTO everybody (name) VALUES ('x')",
            "REPLACE INTO everybody VALUES (1, 'x')",
        ] {
            check_denied(&mut wire, sql, "on `shop-db/shop.customers` is forbidden");
        }
        assert_eq!(scene.server.sql("SELECT name FROM shop.customers").unwrap(), "Ada\nGrace\n");
    }
}

#[test]
fn where_policy_permits_everything_nothing_is_read() {
    let read = |policy: &str| {
        let scene = Scene::with(server(Flavour::MariaDb).unwrap(), policy, |_| ()).unwrap();
        scene.server.log_statements().unwrap();
        let before = scene.server.general_log().len();
        let (mut one, mut other) = (reporting(&scene), reporting(&scene));
        for wire in [&mut one, &mut other] {
            check_gives(wire, "SELECT item FROM orders WHERE id = 1", &["teapot"]);
        }
        scene.server.general_log()[before..].matches("information_schema.VIEWS").count()
    };
    assert_eq!(read("@id(\"everything\") permit (principal, action, resource);"), 0);
    // Sessions share what was read.
    assert_eq!(read(POLICY), 1);
}
