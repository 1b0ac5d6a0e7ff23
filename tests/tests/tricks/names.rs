//! B029: one table under many spellings, where the server takes them for one.

use portreeve_tests::{
    host,
    scene::{Scene, shop_with},
    servers::Flavour,
    wire::Wire,
};
use std::sync::Arc;

/// `orders` may be read, `customers` and the whole of `vault` may not.
const POLICY: &str = r#"
@id("reads") permit (principal, action in [Action::"read", Action::"session"], resource in Server::"shop-db");
@id("no-customers") forbid (principal, action, resource == Table::"shop-db/shop.customers");
@id("no-vault") forbid (principal, action, resource in Schema::"shop-db/vault");
"#;

/// MySQL takes the setting at its initialisation only.
#[test]
fn a_table_is_forbidden_in_every_spelling_that_the_server_takes() {
    for how in ["--lower-case-table-names=1", "--lower-case-table-names=2"] {
        let server = shop_with(Flavour::MariaDb, host::free_address().unwrap(), &[how.to_owned()]).unwrap();
        let scene = Scene::with(Arc::new(server), POLICY, |_| ()).unwrap();
        let mut wire = Wire::login(&scene.reporting, scene.server.address(), "shop").unwrap();
        for text in [
            "SELECT card FROM CUSTOMERS",
            "SELECT card FROM Shop.Customers",
            "SELECT card FROM `SHOP`.`cUSTOMERS` AS orders",
            "SELECT item, card FROM orders JOIN customerS c ON c.id = customer",
            "WITH customers AS (SELECT 1) SELECT card FROM SHOP.CUSTOMERS",
            "SELECT word FROM VAULT.`KEYS`",
            "SELECT word FROM Vault.`Keys` AS `keys`",
            "SHOW CREATE TABLE CUSTOMERS",
            "TABLE CUSTOMERS",
        ] {
            let answer = wire.query(text);
            assert!(answer.is_err(), "{how}: `{text}`: {answer:?}");
        }
        assert_eq!(wire.query("SELECT item FROM shop.orders WHERE id = 1").unwrap(), [[Some(b"teapot".to_vec())]]);
    }
}
