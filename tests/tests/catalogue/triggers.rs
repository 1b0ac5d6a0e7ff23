//! What a change of rows does behind the table: triggers and foreign keys.

use super::{
    changes::{EXECUTE, PREPARE},
    *,
};

const TRIGGERS: &str = "
    CREATE TABLE shop.watched (id INT PRIMARY KEY);
    CREATE TABLE shop.watch_log (what VARCHAR(20));
    CREATE TABLE shop.sneaky (id INT PRIMARY KEY, word VARCHAR(40));
    INSERT INTO shop.sneaky VALUES (7, 'seven');
    CREATE TRIGGER shop.watches AFTER INSERT ON shop.watched FOR EACH ROW INSERT INTO watch_log VALUES ('it''s a row');
    CREATE TRIGGER shop.sneaks BEFORE INSERT ON shop.sneaky FOR EACH ROW
      SET NEW.word = (SELECT MAX(word) FROM vault.keys WHERE word <> 'it''s \\\\');
    CREATE TRIGGER shop.wipes AFTER DELETE ON shop.sneaky FOR EACH ROW DELETE FROM customers;
";

#[test]
fn a_change_is_judged_by_what_its_triggers_do() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        scene.server.sql(TRIGGERS).unwrap();
        let mut wire = reporting(&scene);
        wire.query("INSERT INTO watched VALUES (1)").unwrap();
        assert_eq!(scene.server.sql("SELECT what FROM shop.watch_log").unwrap(), "it's a row\n");
        let wiped = "no-customers: `delete` on `shop-db/shop.customers` is forbidden";
        for (sql, why) in [
            ("INSERT INTO sneaky (id) VALUES (1)", KEYS),
            ("INSERT INTO sneaky (id) SELECT id FROM watched", KEYS),
            ("INSERT INTO sneaky (id) VALUES (7) ON DUPLICATE KEY UPDATE id = 8", KEYS),
            ("REPLACE INTO sneaky (id) VALUES (7)", wiped),
            ("DELETE FROM sneaky WHERE id = 7", wiped),
            ("DELETE s FROM sneaky s JOIN watched", wiped),
        ] {
            check_denied(&mut wire, sql, why);
        }
        assert_eq!(scene.server.sql("SELECT id, word FROM shop.sneaky").unwrap(), "7\tseven\n");
        assert_eq!(scene.server.sql("SELECT COUNT(*) FROM shop.customers").unwrap(), "2\n");
        check_recorded(&scene, KEYS);
        check_recorded(&scene, "`delete` on `shop-db/shop.customers` is forbidden");
    }
}

#[test]
fn a_trigger_made_through_the_gateway_counts_at_the_next_statement() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        scene.server.sql("CREATE TABLE shop.calm (id INT, word VARCHAR(40))").unwrap();
        let (mut wire, mut other) = (reporting(&scene), ingest(&scene));
        wire.query("INSERT INTO calm (id) VALUES (1)").unwrap();
        let made =
            "CREATE TRIGGER calms BEFORE INSERT ON calm FOR EACH ROW SET NEW.word = (SELECT MAX(word) FROM vault.keys)";
        other.query(made).unwrap();
        check_denied(&mut wire, "INSERT INTO calm (id) VALUES (1)", KEYS);
        other.query("DROP TRIGGER calms").unwrap();
        wire.query("INSERT INTO calm (id) VALUES (1)").unwrap();
        assert_eq!(scene.server.sql("SELECT COUNT(*), COUNT(word) FROM shop.calm").unwrap(), "2\t0\n");
    }
}

#[test]
fn what_a_foreign_key_changes_elsewhere_is_asked_for() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        let tables = "
            CREATE TABLE shop.parents (id INT PRIMARY KEY);
            CREATE TABLE vault.children (parent INT,
              FOREIGN KEY (parent) REFERENCES shop.parents (id) ON DELETE CASCADE ON UPDATE SET NULL);
            INSERT INTO shop.parents VALUES (1);
            INSERT INTO vault.children VALUES (1);";
        scene.server.sql(tables).unwrap();
        let mut wire = reporting(&scene);
        wire.query("INSERT INTO parents VALUES (2)").unwrap();
        let deleted = "no policy permits `delete` on `shop-db/vault.children`";
        check_denied(&mut wire, "DELETE FROM parents WHERE id = 1", deleted);
        check_denied(&mut wire, "REPLACE INTO parents VALUES (1)", deleted);
        let updated = "no policy permits `update` on `shop-db/vault.children`";
        check_denied(&mut wire, "UPDATE parents SET id = 3 WHERE id = 1", updated);
        assert_eq!(scene.server.sql("SELECT parent FROM vault.children").unwrap(), "1\n");
        check_recorded(&scene, deleted);
    }
}

#[test]
fn a_prepared_change_is_judged_by_what_its_triggers_are_when_it_is_executed() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        scene.server.sql("CREATE TABLE shop.later (id INT, word VARCHAR(40))").unwrap();
        let (mut wire, mut other) = (reporting(&scene), ingest(&scene));
        wire.query("PREPARE p FROM 'INSERT INTO later (id) VALUES (1)'").unwrap();
        wire.query("EXECUTE p").unwrap();
        wire.command(PREPARE, b"INSERT INTO later (id) VALUES (2)").unwrap();
        let execute = [&wire.packet().unwrap().payload[1..5], &[0, 1, 0, 0, 0]].concat();
        wire.command(EXECUTE, &execute).unwrap();
        assert!(wire.packet().unwrap().is_ok());
        let made = "CREATE TRIGGER laters BEFORE INSERT ON later FOR EACH ROW SET NEW.word = (SELECT MAX(word) FROM vault.keys)";
        other.query(made).unwrap();
        let refused = format!("{:#}", wire.query("EXECUTE p").unwrap_err());
        assert!(refused.contains("needs to be re-prepared"), "{refused}");
        wire.command(EXECUTE, &execute).unwrap();
        let refused = wire.packet().unwrap().text();
        assert!(refused.contains(KEYS), "{refused}");
        assert_eq!(scene.server.sql("SELECT COUNT(*), COUNT(word) FROM shop.later").unwrap(), "2\t0\n");
    }
}

#[test]
fn whoever_makes_a_trigger_himself_may_not_fire_it_either() {
    for flavour in FLAVOURS {
        let policy = format!(
            "{POLICY} @id(\"may-make-triggers\") permit (principal in Group::\"reporting\", action == Action::\"trigger\", resource == Server::\"shop-db\");"
        );
        let scene = Scene::with(server(flavour).unwrap(), &policy, |_| ()).unwrap();
        scene
            .server
            .sql("CREATE TABLE shop.own (id INT, word VARCHAR(40)); CREATE TABLE shop.copied (word VARCHAR(40))")
            .unwrap();
        let mut wire = reporting(&scene);
        let steals =
            "CREATE TRIGGER steals AFTER INSERT ON own FOR EACH ROW INSERT INTO copied SELECT word FROM vault.keys";
        check_denied(&mut wire, steals, KEYS);
        wire.query("CREATE TRIGGER copies AFTER INSERT ON own FOR EACH ROW INSERT INTO copied VALUES (NEW.word)")
            .unwrap();
        wire.query("INSERT INTO own VALUES (1, 'mine')").unwrap();
        assert_eq!(scene.server.sql("SELECT word FROM shop.copied").unwrap(), "mine\n");
    }
}

#[test]
fn a_file_that_is_loaded_fires_the_triggers_of_insert() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        scene.server.sql(TRIGGERS).unwrap();
        let mut wire = reporting(&scene);
        let load = |how: &str| format!("LOAD DATA LOCAL INFILE '/etc/hostname' {how} INTO TABLE sneaky (id)");
        check_denied(&mut wire, &load(""), "nor `select` on `shop-db/vault.keys`");
        // What is in the way is deleted, and that fires too.
        check_denied(&mut wire, &load("REPLACE"), "`delete` on `shop-db/shop.customers` is forbidden");
        assert_eq!(scene.server.sql("SELECT id FROM shop.sneaky").unwrap(), "7\n");
    }
}

#[test]
fn what_is_left_of_a_portion_fires_the_triggers_of_insert() {
    let scene = scene(Flavour::MariaDb);
    scene
        .server
        .sql(
            "CREATE TABLE shop.periods (id INT, word VARCHAR(40), a DATE, b DATE, PERIOD FOR p (a, b));
             INSERT INTO shop.periods VALUES (1, '', '2026-01-01', '2026-12-31');
             CREATE TRIGGER shop.parts BEFORE INSERT ON shop.periods FOR EACH ROW
               SET NEW.word = (SELECT MAX(word) FROM vault.keys)",
        )
        .unwrap();
    let mut wire = reporting(&scene);
    let portion = "FOR PORTION OF p FROM '2026-03-01' TO '2026-04-01'";
    check_denied(&mut wire, &format!("DELETE FROM periods {portion}"), KEYS);
    check_denied(&mut wire, &format!("UPDATE periods {portion} SET id = 2"), KEYS);
    wire.query("UPDATE periods SET id = 3").unwrap();
    assert_eq!(scene.server.sql("SELECT id, word FROM shop.periods").unwrap(), "3\t\n");
}
