//! Clients that look as if they had left, and wait.

use super::{FLAVOURS, QUERY, records, scene, session};
use portreeve_tests::wire::framed;

/// A script's pipe ends its sending side and reads on.
#[test]
fn a_client_that_only_ended_its_sending_side_gets_its_answer() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        let (mut wire, _) = session(&scene);
        wire.command(QUERY, b"SELECT SLEEP(3.5), item FROM orders WHERE id = 1").unwrap();
        wire.finish();
        let rows = wire.result().unwrap();
        assert_eq!(rows, [[Some(b"0".to_vec()), Some(b"teapot".to_vec())]]);
        assert_eq!(wire.rest().unwrap(), []);
        assert!(records(&scene, "abandoned", 1).is_empty());
    }
}

/// And a long one: the answer flows on after the end of the other side.
#[test]
fn a_large_answer_reaches_a_client_that_ended_its_sending_side() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        let (mut wire, _) = session(&scene);
        wire.command(QUERY, b"SELECT REPEAT('x', 60000000)").unwrap();
        wire.finish();
        assert_eq!(wire.result().unwrap()[0][0].as_ref().unwrap().len(), 60_000_000);
        assert!(records(&scene, "abandoned", 1).is_empty());
    }
}

#[test]
fn commands_sent_ahead_are_answered_in_order_also_after_the_end() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        let query = |sql: &str| framed(0, &[&[QUERY], sql.as_bytes()].concat());
        for finish in [false, true] {
            let (mut wire, _) = session(&scene);
            wire.send(&[query("SELECT SLEEP(1.5)"), query("SELECT 'second'")].concat()).unwrap();
            wire.send(&query("SELECT 'third'")).unwrap();
            if finish {
                wire.finish();
            }
            assert_eq!(wire.result().unwrap(), [[Some(b"0".to_vec())]]);
            assert_eq!(wire.result().unwrap(), [[Some(b"second".to_vec())]]);
            assert_eq!(wire.result().unwrap(), [[Some(b"third".to_vec())]]);
            if finish {
                assert_eq!(wire.rest().unwrap(), []);
            }
        }
        assert!(records(&scene, "abandoned", 2).is_empty());
    }
}

/// More than is read ahead: it waits in the sockets, and arrives.
#[test]
fn a_megabyte_sent_ahead_is_not_lost() {
    for flavour in FLAVOURS {
        let scene = scene(flavour);
        let (mut wire, _) = session(&scene);
        let long = format!("\x03SELECT LENGTH('{}')", "y".repeat(1_000_000));
        wire.send(&[framed(0, b"\x03SELECT SLEEP(1.5)"), framed(0, long.as_bytes())].concat()).unwrap();
        assert_eq!(wire.result().unwrap(), [[Some(b"0".to_vec())]]);
        assert_eq!(wire.result().unwrap(), [[Some(b"1000000".to_vec())]]);
        drop(wire);
        assert!(records(&scene, "abandoned", 1).is_empty());
    }
}
