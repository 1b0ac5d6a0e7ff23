//! What procedures and functions do.

use super::*;

const ROUTINES: &str = "
    CREATE TABLE shop.done (what VARCHAR(9));
    DELIMITER //
    CREATE PROCEDURE shop.plain() SELECT item FROM shop.orders WHERE id = 1//
    CREATE PROCEDURE shop.notes() BEGIN INSERT INTO done VALUES ('a'); SELECT what FROM done WHERE what <> 'it''s \\\\'; END//
    CREATE PROCEDURE shop.words() SELECT word FROM vault.keys//
    CREATE PROCEDURE shop.invoked() SQL SECURITY INVOKER SELECT word FROM vault.keys//
    CREATE PROCEDURE shop.hides() COMMENT 'it''s' SELECT 'it''s', word FROM vault.keys WHERE word <> ' FROM orders -- '//
    CREATE PROCEDURE shop.escapes() SELECT 'a\\\\', word FROM vault.keys WHERE word <> ' FROM orders -- '//
    CREATE PROCEDURE shop.outer_one() BEGIN CALL notes(); CALL Words(); END//
    CREATE PROCEDURE shop.wipe() DELETE FROM customers//
    CREATE PROCEDURE shop.dynamic() BEGIN SET @s = CONCAT('SELECT word FROM vau', 'lt.keys'); PREPARE s FROM @s; EXECUTE s; END//
    CREATE FUNCTION shop.one_word() RETURNS VARCHAR(40) READS SQL DATA RETURN (SELECT MAX(word) FROM vault.keys)//
    CREATE FUNCTION shop.one_word_invoked() RETURNS VARCHAR(40) READS SQL DATA SQL SECURITY INVOKER
      RETURN (SELECT MAX(word) FROM vault.keys)//
    CREATE FUNCTION shop.twice(n INT) RETURNS INT DETERMINISTIC RETURN n * 2//
    DELIMITER ;
    CREATE VIEW shop.calling AS SELECT shop.one_word() AS w;
";

#[test]
fn a_routine_is_judged_by_what_it_does() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        scene.server.sql(&format!("SET GLOBAL log_bin_trust_function_creators = 1; {ROUTINES}")).unwrap();
        let mut wire = reporting(&scene);
        check_calls(&mut wire, "CALL plain()", "teapot");
        check_calls(&mut wire, "CALL shop.Notes()", "a");
        check_gives(&mut wire, "SELECT twice(21)", &["42"]);
        for sql in ["CALL words()", "CALL shop.invoked()", "CALL hides()", "CALL escapes()", "CALL outer_one()"] {
            check_denied(&mut wire, sql, KEYS);
        }
        for sql in [
            "SELECT one_word()",
            "SELECT shop.one_word_invoked()",
            "SELECT item FROM orders WHERE item = ONE_WORD()",
            "SET @x = one_word()",
            "SELECT * FROM calling",
            "INSERT INTO done VALUES (one_word())",
            "CALL plain(one_word())",
        ] {
            check_denied(&mut wire, sql, KEYS);
        }
        check_denied(&mut wire, "CALL wipe()", "no-customers: `delete` on `shop-db/shop.customers` is forbidden");
        check_denied(&mut wire, "CALL dynamic()", "the procedure `shop.dynamic` is not read");
        // Only the permitted one ran.
        assert_eq!(scene.server.sql("SELECT what FROM shop.done").unwrap(), "a\n");
        assert_eq!(scene.server.sql("SELECT COUNT(*) FROM shop.customers").unwrap(), "2\n");
        check_recorded(&scene, KEYS);
        check_recorded(&scene, "the procedure `shop.dynamic` is not read");
    }
}

/// The first result's only value, and the OK behind it.
fn check_calls(wire: &mut Wire, sql: &str, expected: &str) {
    check_gives(wire, sql, &[expected]);
    assert!(wire.packet().unwrap().is_ok(), "{sql}");
}
