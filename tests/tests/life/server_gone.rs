//! Servers that go while sessions are idle, at work, or within a result.

use super::{EVERYTHING, FLAVOURS, QUERY, connection_id, execute, records, wait_running, wait_until};
use portreeve_tests::{
    cgroup::Cgroup,
    scene::{Scene, shop},
    servers::{Flavour, PORT, Server},
    wire::{Packet, Wire},
};
use std::{net::TcpStream, sync::Arc};

/// One session of each kind.
struct Sessions {
    idle: Wire,
    running: Wire,
    executing: Wire,
    within: Wire,
}

impl Sessions {
    /// From logged-in connections.
    fn begin(server: &Server, mut login: impl FnMut() -> Wire) -> Self {
        let (idle, mut running, mut executing, mut within) = (login(), login(), login(), login());
        let ids = [connection_id(&mut running), connection_id(&mut executing)];
        running.command(QUERY, b"SELECT SLEEP(60)").unwrap();
        execute(&mut executing, "SELECT SLEEP(50)");
        within.command(QUERY, b"SELECT n.id, REPEAT('x', 50000000) FROM orders n, orders o, orders p").unwrap();
        within.packet().unwrap();
        within.until_eof().unwrap();
        within.packet().unwrap();
        ids.into_iter().for_each(|id| wait_running(server, id));
        Self { idle, running, executing, within }
    }

    /// What they still read; of the result, whether it ended as if it were whole.
    fn end(mut self) -> [Vec<Packet>; 3] {
        let within = self.within.rest();
        let whole = within
            .is_ok_and(|packets| packets.last().is_some_and(|last| last.payload.len() < 9 && last.payload[0] == 0xFE));
        assert!(!whole, "half a result looks whole");
        [self.idle, self.running, self.executing].map(|mut wire| wire.rest().unwrap())
    }
}

fn check(flavour: Flavour, go: impl FnOnce(&mut Server)) {
    let server = shop(flavour).unwrap();
    server.sql("CREATE USER agent@'127.%'; GRANT ALL ON shop.* TO agent@'127.%'").unwrap();
    let untagged = Cgroup::create("untagged").unwrap();
    let mut scene = Scene::with(Arc::new(server), EVERYTHING, |_| ()).unwrap();
    let address = scene.server.address();
    let through = Sessions::begin(&scene.server, || Wire::login(&scene.reporting, address, "shop").unwrap());
    let directly = Sessions::begin(&scene.server, || Wire::login_directly(&untagged, address, "shop", 0).unwrap());
    go(Arc::get_mut(&mut scene.server).unwrap());
    let (directly, through) = (directly.end(), through.end());
    println!("{flavour:?}: {:?}", directly.iter().flatten().map(Packet::text).collect::<Vec<_>>());
    assert_eq!(through, directly, "{flavour:?}");
    let closed = records(&scene, "closed", 4);
    let reasons: Vec<_> = closed.iter().map(|closed| closed["reason"].as_str().unwrap()).collect();
    println!("{reasons:?}");
    assert!(reasons.iter().all(|reason| reason.contains("server")), "{reasons:?}");
    assert!(records(&scene, "abandoned", 4).is_empty());
    // Each statement has its answer's record, as far as the answer came.
    let responses = records(&scene, "response", 4);
    assert_eq!(responses.len(), records(&scene, "statement", 4).len());
    wait_until("nobody listens any more", || TcpStream::connect((address, PORT)).is_err());
    let refusal = Wire::refusal(&scene.reporting, address).unwrap();
    assert_eq!(refusal.error_code(), Some(1053), "{}", refusal.text());
}

#[test]
fn sessions_end_as_they_do_directly_when_the_server_is_killed() {
    for flavour in FLAVOURS {
        check(flavour, |server| server.kill9().unwrap());
    }
}

#[test]
fn sessions_end_as_they_do_directly_when_the_server_shuts_down() {
    for flavour in FLAVOURS {
        check(flavour, |server| server.sql("SHUTDOWN").map(drop).unwrap());
    }
}
