//! Accounts that may use a view or routine and not see what it is.

use super::*;
use portreeve_tests::{
    gateway::GatewayConfig,
    host,
    scene::{shop, shop_with},
};
use std::sync::Arc;

const OBJECTS: &str = "
    CREATE VIEW shop.safe AS SELECT item FROM shop.orders WHERE id = 1;
    CREATE VIEW shop.inner_words AS SELECT word FROM vault.keys;
    CREATE VIEW shop.words AS SELECT word FROM shop.inner_words;
    CREATE PROCEDURE shop.plain() SELECT item FROM shop.orders WHERE id = 1;
    REVOKE ALL PRIVILEGES, GRANT OPTION FROM shop_reporting@'127.%';
";

fn scene_with(flavour: Flavour, grants: &str) -> Scene {
    let server = shop(flavour).unwrap();
    server.sql(&format!("{OBJECTS} {grants}")).unwrap();
    Scene::with(Arc::new(server), POLICY, |_| ()).unwrap()
}

#[test]
fn what_the_account_may_not_see_is_not_judged_by_its_name() {
    for flavour in FLAVOURS {
        let scene = scene_with(flavour, "GRANT SELECT, EXECUTE ON shop.* TO shop_reporting@'127.%'");
        let mut wire = reporting(&scene);
        check_gives(&mut wire, "SELECT item FROM orders WHERE id = 1", &["teapot"]);
        let hidden = "the definition of the view `shop.safe` is hidden from the account at the server (it needs SELECT and SHOW VIEW)";
        check_denied(&mut wire, "SELECT * FROM safe", hidden);
        check_denied(&mut wire, "SELECT * FROM words", "the definition of the view `shop.words` is hidden");
        check_denied(&mut wire, "CALL plain()", "the body of the procedure `shop.plain` is hidden");
        check_recorded(&scene, hidden);
    }
}

#[test]
fn a_view_over_what_the_account_cannot_even_name_is_not_read() {
    for flavour in FLAVOURS {
        let scene = scene_with(
            flavour,
            "GRANT SELECT ON shop.orders TO shop_reporting@'127.%';
             GRANT SELECT, SHOW VIEW ON shop.safe TO shop_reporting@'127.%';
             GRANT SELECT, SHOW VIEW ON shop.words TO shop_reporting@'127.%'",
        );
        let mut wire = reporting(&scene);
        check_gives(&mut wire, "SELECT * FROM safe", &["teapot"]);
        let nothing = "`shop.inner_words` is nothing that the account at the server may see";
        check_denied(&mut wire, "SELECT * FROM words", nothing);
        check_recorded(&scene, nothing);
    }
}

#[test]
fn the_case_of_names_counts_as_it_does_at_the_server() {
    // MySQL takes the variable only when its data are made.
    let folding = ["--lower-case-table-names=1".to_owned()];
    let server = shop_with(Flavour::MariaDb, host::free_address().unwrap(), &folding).unwrap();
    server.sql("CREATE VIEW shop.words AS SELECT word FROM vault.keys").unwrap();
    let scene = Scene::with(Arc::new(server), POLICY, |_| ()).unwrap();
    let mut wire = reporting(&scene);
    check_gives(&mut wire, "SELECT item FROM SHOP.Orders WHERE id = 1", &["teapot"]);
    check_denied(&mut wire, "SELECT * FROM Shop.WORDS", KEYS);
    check_denied(&mut wire, "SELECT * FROM CUSTOMERS", "is forbidden");

    let exact = Scene::with(portreeve_tests::scene::server(Flavour::MariaDb).unwrap(), POLICY, |_| ()).unwrap();
    check_denied(
        &mut reporting(&exact),
        "SELECT item FROM SHOP.Orders",
        "no policy permits `select` on `shop-db/SHOP.Orders`",
    );
}

#[test]
fn an_account_that_may_read_views_only_needs_to_see_what_is_behind_them() {
    for flavour in FLAVOURS {
        let scene = scene_with(
            flavour,
            "GRANT SHOW VIEW ON shop.* TO shop_reporting@'127.%';
             GRANT SELECT ON shop.safe TO shop_reporting@'127.%';
             GRANT SELECT ON shop.words TO shop_reporting@'127.%'",
        );
        let mut wire = reporting(&scene);
        check_gives(&mut wire, "SELECT * FROM safe", &["teapot"]);
        // Its definition is shown to those only who may select from it as well.
        check_denied(&mut wire, "SELECT * FROM words", "the definition of the view `shop.inner_words` is hidden");
        scene.server.sql("GRANT SELECT ON shop.inner_words TO shop_reporting@'127.%'").unwrap();
        let mut other = ingest(&scene);
        other.query("CREATE VIEW shop.something AS SELECT 1").unwrap();
        check_denied(&mut wire, "SELECT * FROM words", KEYS);
    }
}

#[test]
fn triggers_are_judged_where_the_account_may_see_them() {
    for flavour in FLAVOURS {
        let scene = scene_with(
            flavour,
            "CREATE TABLE shop.fed (word VARCHAR(40));
             CREATE TRIGGER shop.feeds BEFORE INSERT ON shop.fed FOR EACH ROW
               SET NEW.word = (SELECT MAX(word) FROM vault.keys);
             GRANT SELECT, INSERT, SHOW VIEW ON shop.* TO shop_reporting@'127.%'",
        );
        let mut wire = reporting(&scene);
        let hidden = "triggers of `shop.fed` may be hidden from the account at the server";
        check_denied(&mut wire, "INSERT INTO fed VALUES ('a')", hidden);
        check_recorded(&scene, hidden);
        scene.server.sql("GRANT TRIGGER ON shop.* TO shop_reporting@'127.%'").unwrap();
        ingest(&scene).query("CREATE VIEW shop.something AS SELECT 1").unwrap();
        let unseen =
            "the trigger `shop.feeds` is not read: `vault.keys` is nothing that the account at the server may see";
        check_denied(&mut wire, "INSERT INTO fed VALUES ('a')", unseen);
        scene.server.sql("GRANT SHOW VIEW ON vault.* TO shop_reporting@'127.%'").unwrap();
        ingest(&scene).query("CREATE VIEW shop.something_else AS SELECT 1").unwrap();
        check_denied(&mut wire, "INSERT INTO fed VALUES ('a')", KEYS);
        assert_eq!(scene.server.sql("SELECT COUNT(*) FROM shop.fed").unwrap(), "0\n");
    }
}

/// Servers take the narrowest grant of a schema that fits, and no account is shown that the anonymous user has one.
#[test]
fn triggers_may_be_hidden_where_trigger_is_granted_by_a_pattern() {
    for flavour in FLAVOURS {
        let scene = scene_with(
            flavour,
            "CREATE TABLE shop.fed (word VARCHAR(40));
             CREATE TRIGGER shop.feeds BEFORE INSERT ON shop.fed FOR EACH ROW
               SET NEW.word = (SELECT MAX(word) FROM vault.keys);
             GRANT SELECT, INSERT, SHOW VIEW, TRIGGER ON `sho_`.* TO shop_reporting@'127.%';
             CREATE USER ''@'127.%';
             GRANT SELECT, INSERT ON shop.* TO ''@'127.%'",
        );
        let mut wire = reporting(&scene);
        let hidden = "triggers of `shop.fed` may be hidden from the account at the server";
        check_denied(&mut wire, "INSERT INTO fed VALUES ('a')", hidden);
        scene.server.sql("GRANT SHOW VIEW ON vault.* TO shop_reporting@'127.%'").unwrap();
        scene.server.sql("GRANT SELECT, INSERT, TRIGGER ON shop.* TO shop_reporting@'127.%'").unwrap();
        ingest(&scene).query("CREATE VIEW shop.something AS SELECT 1").unwrap();
        check_denied(&mut wire, "INSERT INTO fed VALUES ('a')", KEYS);
        assert_eq!(scene.server.sql("SELECT COUNT(*) FROM shop.fed").unwrap(), "0\n");
    }
}

/// `_` in a schema's name is a pattern in a grant, unless it is escaped.
#[test]
fn an_escaped_name_is_no_pattern() {
    for flavour in FLAVOURS {
        let scene = scene_with(
            flavour,
            r"CREATE DATABASE my_shop; CREATE TABLE my_shop.fed (word VARCHAR(40));
              CREATE TRIGGER my_shop.feeds BEFORE INSERT ON my_shop.fed FOR EACH ROW
                SET NEW.word = (SELECT MAX(word) FROM vault.keys);
              GRANT SHOW VIEW ON vault.* TO shop_reporting@'127.%';
              GRANT SELECT, INSERT ON shop.* TO shop_reporting@'127.%';
              GRANT SELECT, INSERT, TRIGGER ON `my_shop`.* TO shop_reporting@'127.%'",
        );
        let mut wire = reporting(&scene);
        let hidden = "triggers of `my_shop.fed` may be hidden from the account at the server";
        check_denied(&mut wire, "INSERT INTO my_shop.fed VALUES ('a')", hidden);
        scene.server.sql(r"GRANT SELECT, INSERT, TRIGGER ON `my\_shop`.* TO shop_reporting@'127.%'").unwrap();
        ingest(&scene).query("CREATE VIEW shop.something AS SELECT 1").unwrap();
        let fires = "no policy permits `insert` on `shop-db/my_shop.fed`, nor `select` on `shop-db/vault.keys`";
        check_denied(&mut wire, "INSERT INTO my_shop.fed VALUES ('a')", fires);
    }
}

const FAMILY: &str = "
    CREATE TABLE shop.parents (id INT PRIMARY KEY);
    CREATE TABLE vault.children (parent INT, FOREIGN KEY (parent) REFERENCES shop.parents (id) ON DELETE CASCADE);
    INSERT INTO shop.parents VALUES (1);
    INSERT INTO vault.children VALUES (1);
    GRANT ALL ON shop.* TO shop_reporting@'127.%';
";

#[test]
fn keys_that_the_account_may_not_see_may_be_there() {
    for flavour in FLAVOURS {
        let scene = scene_with(flavour, FAMILY);
        let mut wire = reporting(&scene);
        wire.query("INSERT INTO parents VALUES (2)").unwrap();
        let hidden = "foreign keys to `shop.parents` may be hidden from the account at the server";
        for sql in ["DELETE FROM parents", "UPDATE parents SET id = 3", "REPLACE INTO parents VALUES (1)"] {
            check_denied(&mut wire, sql, hidden);
        }
        wire.query("CREATE TEMPORARY TABLE own (id INT)").unwrap();
        wire.query("DELETE FROM own").unwrap();
        scene.server.sql("GRANT TRIGGER ON *.* TO shop_reporting@'127.%'").unwrap();
        ingest(&scene).query("CREATE VIEW shop.something AS SELECT 1").unwrap();
        // Privileges on everything count from the next login on.
        let mut wire = reporting(&scene);
        check_denied(&mut wire, "DELETE FROM parents", "no policy permits `delete` on `shop-db/vault.children`");
        assert_eq!(scene.server.sql("SELECT COUNT(*) FROM vault.children").unwrap(), "1\n");
    }
}

#[test]
fn what_is_hidden_may_be_ignored_where_the_operator_says_so() {
    for flavour in FLAVOURS {
        let server = shop(flavour).unwrap();
        server.sql(&format!("{OBJECTS} {FAMILY}")).unwrap();
        let ignored = |config: &mut GatewayConfig| config.servers[0].extra = "hidden_triggers = \"ignore\"".into();
        let scene = Scene::with(Arc::new(server), POLICY, ignored).unwrap();
        reporting(&scene).query("DELETE FROM parents").unwrap();
        assert_eq!(scene.server.sql("SELECT COUNT(*) FROM vault.children").unwrap(), "0\n");
    }
}

/// With the password of `shop_reporting`, whose file is there.
fn scene_with_reader(flavour: Flavour, grants: &str) -> Scene {
    let server = shop(flavour).unwrap();
    server
        .sql(&format!(
            "{OBJECTS} {FAMILY} CREATE USER reads_all@'127.%' IDENTIFIED BY 'held-by-portreeve-1';
             GRANT {grants} ON *.* TO reads_all@'127.%'; REVOKE ALL ON shop.* FROM shop_reporting@'127.%';
             GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE ON shop.* TO shop_reporting@'127.%'"
        ))
        .unwrap();
    let account = "[server.catalogue]\nuser = \"reads_all\"\npassword_file = \"secrets/shop-db-0\"\n";
    Scene::with(Arc::new(server), POLICY, |config| config.servers[0].extra = account.into()).unwrap()
}

#[test]
fn an_account_of_the_servers_own_shows_what_sessions_may_not_see() {
    for flavour in FLAVOURS {
        let scene = scene_with_reader(flavour, "SELECT, SHOW VIEW, TRIGGER");
        let mut wire = reporting(&scene);
        check_gives(&mut wire, "SELECT * FROM safe", &["teapot"]);
        check_denied(&mut wire, "SELECT * FROM words", KEYS);
        wire.query("INSERT INTO parents VALUES (2)").unwrap();
        check_denied(&mut wire, "DELETE FROM parents", "no policy permits `delete` on `shop-db/vault.children`");
        check_gives(&mut wire, "SELECT CURRENT_USER()", &["shop_reporting@127.%"]);
        check_gives(&mut wire, "CALL plain()", &["teapot"]);
    }
}

#[test]
fn an_account_for_the_catalogue_that_does_not_see_everything_is_not_believed() {
    for flavour in FLAVOURS {
        let scene = scene_with_reader(flavour, "SELECT, SHOW VIEW");
        let lacking = "the `catalogue` account `reads_all` needs SELECT, SHOW VIEW, TRIGGER on *.*, and lacks TRIGGER";
        check_denied(&mut reporting(&scene), "SELECT item FROM orders", lacking);
    }
}
