//! Sessions that somebody or some clock ends at the server: the client reads what it reads without a gateway.

use super::{EVERYTHING, FLAVOURS, QUERY, connection_id, connections, number, records, wait_running, wait_until};
use portreeve_tests::{
    cgroup::Cgroup,
    host,
    scene::{Scene, shop, shop_with},
    servers::{Flavour, Server},
    wire::{Packet, Wire},
};
use std::sync::Arc;

/// `CLIENT_INTERACTIVE`
const INTERACTIVE: u32 = 1 << 10;
const PING: u8 = 0x0E;

/// A client that is a workload's and one that is not, to the same server.
struct Both {
    scene: Scene,
    untagged: Cgroup,
}

impl Both {
    fn before(server: Server) -> Self {
        server.sql("CREATE USER agent@'127.%'; GRANT ALL ON shop.* TO agent@'127.%'").unwrap();
        let scene = Scene::with(Arc::new(server), EVERYTHING, |_| ()).unwrap();
        Self { scene, untagged: Cgroup::create("untagged").unwrap() }
    }

    fn directly(&self, more: u32) -> Wire {
        Wire::login_directly(&self.untagged, self.scene.server.address(), "shop", more).unwrap()
    }

    fn through(&self, more: u32) -> Wire {
        Wire::login_with(&self.scene.reporting, self.scene.server.address(), "shop", more).unwrap()
    }

    /// What `act` makes of a session is the same both ways.
    fn check(&self, what: &str, act: impl Fn(&Server, &mut Wire) -> Vec<Packet>) -> Vec<Packet> {
        let server = &self.scene.server;
        let directly = act(server, &mut self.directly(0));
        let through = act(server, &mut self.through(0));
        println!("{:?} {what}: {:?}", server.flavour(), directly.iter().map(Packet::text).collect::<Vec<_>>());
        assert_eq!(through, directly, "{:?}, {what}", server.flavour());
        through
    }
}

fn kill(server: &Server, what: &str, id: u64) {
    server.sql(&format!("KILL {what} {id}")).unwrap();
}

/// So that the next command finds the connection ended.
fn wait_gone(server: &Server, id: u64) {
    wait_until("the connection is gone at the server", || connections(server, id, false) == 0);
}

/// A result's packets up to the second end, or an error.
fn answer(wire: &mut Wire) -> Vec<Packet> {
    let (mut packets, mut ends) = (Vec::new(), 0);
    while ends < 2 {
        let Ok(Some(packet)) = wire.packet_or_end() else { break };
        ends += if packet.error_code().is_some() { 2 } else { usize::from(packet.payload[0] == 0xFE) };
        packets.push(packet);
    }
    packets
}

#[test]
fn a_killed_session_ends_as_it_does_directly() {
    for flavour in FLAVOURS {
        let both = Both::before(shop(flavour).unwrap());
        both.check("KILL CONNECTION, idle", |server, wire| {
            let id = connection_id(wire);
            kill(server, "CONNECTION", id);
            wait_gone(server, id);
            wire.rest().unwrap()
        });
        both.check("KILL CONNECTION, running", |server, wire| {
            let id = connection_id(wire);
            wire.command(QUERY, b"SELECT SLEEP(60)").unwrap();
            wait_running(server, id);
            kill(server, "CONNECTION", id);
            wire.rest().unwrap()
        });
        both.check("a session kills itself", |_, wire| {
            let id = connection_id(wire);
            wire.command(QUERY, format!("KILL {id}").as_bytes()).unwrap();
            wire.rest().unwrap()
        });
        both.check("KILL QUERY", |server, wire| {
            let id = connection_id(wire);
            wire.command(QUERY, b"SELECT SLEEP(60)").unwrap();
            wait_running(server, id);
            kill(server, "QUERY", id);
            let packets = answer(wire);
            assert_eq!(wire.query("SELECT 'goes on'").unwrap(), [[Some(b"goes on".to_vec())]]);
            packets
        });
        both.check("KILL QUERY of a change", |server, wire| {
            wire.query("CREATE TABLE IF NOT EXISTS killed (v INT)").unwrap();
            wire.query("INSERT INTO killed VALUES (1), (2)").unwrap();
            let id = connection_id(wire);
            wire.command(QUERY, b"UPDATE killed SET v = SLEEP(60)").unwrap();
            wait_running(server, id);
            kill(server, "QUERY", id);
            let packets = vec![wire.packet().unwrap()];
            assert_eq!(wire.query("SELECT 'goes on'").unwrap(), [[Some(b"goes on".to_vec())]]);
            packets
        });
        let closed = records(&both.scene, "closed", 5);
        println!("{:?}", closed.iter().map(|closed| &closed["reason"]).collect::<Vec<_>>());
        assert!(records(&both.scene, "abandoned", 5).is_empty());
    }
}

#[test]
fn a_session_killed_within_a_result_ends() {
    let both = Both::before(shop(Flavour::MariaDb).unwrap());
    for mut wire in [both.directly(0), both.through(0)] {
        let id = connection_id(&mut wire);
        wire.command(QUERY, b"SELECT seq, SLEEP(0.01), REPEAT('x', 10000) FROM seq_1_to_1000").unwrap();
        wire.packet().unwrap();
        wire.until_eof().unwrap();
        wire.packet().unwrap();
        kill(&both.scene.server, "CONNECTION", id);
        // MariaDB ends it wherever its buffer does.
        let is_end = |last: &Packet| last.payload.len() < 9 && last.payload[0] == 0xFE;
        let whole = wire.rest().is_ok_and(|packets| packets.last().is_some_and(is_end));
        assert!(!whole, "a part of a result looks whole");
    }
    let closed = records(&both.scene, "closed", 1);
    assert!(closed[0]["reason"].as_str().unwrap().contains("server"), "{closed:?}");
    assert_eq!(records(&both.scene, "response", 1).len(), 2);
}

#[test]
fn idle_time_outs_are_the_servers_own() {
    for flavour in FLAVOURS {
        let both = Both::before(shop(flavour).unwrap());
        both.check("wait_timeout", |server, wire| {
            let id = connection_id(wire);
            wire.query("SET SESSION wait_timeout = 1").unwrap();
            wait_gone(server, id);
            wire.rest().unwrap()
        });
        both.check("wait_timeout, then a command", |server, wire| {
            let id = connection_id(wire);
            wire.query("SET SESSION wait_timeout = 1").unwrap();
            wait_gone(server, id);
            // It may be refused already: the connection has ended.
            let _ = wire.command(PING, b"");
            wire.rest().unwrap()
        });
        // As long as there are commands there is no time-out.
        let mut wire = both.through(0);
        wire.query("SET SESSION wait_timeout = 2").unwrap();
        for _ in 0..6 {
            std::thread::sleep(std::time::Duration::from_millis(500));
            wire.query("SELECT 1").unwrap();
        }
        let closed = records(&both.scene, "closed", 2);
        assert!(closed.iter().all(|closed| closed["reason"].as_str().unwrap().contains("server")), "{closed:?}");
    }
}

#[test]
fn an_interactive_client_has_the_interactive_time_out() {
    for flavour in FLAVOURS {
        let arguments = ["--wait-timeout=1000", "--interactive-timeout=2"].map(str::to_owned);
        let both = Both::before(shop_with(flavour, host::free_address().unwrap(), &arguments).unwrap());
        for (more, seconds) in [(0, 1000), (INTERACTIVE, 2)] {
            for mut wire in [both.directly(more), both.through(more)] {
                assert_eq!(number(&wire.query("SELECT @@session.wait_timeout").unwrap()), seconds, "{flavour:?}");
            }
        }
        let end = |mut wire: Wire| {
            let id = connection_id(&mut wire);
            wait_gone(&both.scene.server, id);
            wire.rest().unwrap()
        };
        assert_eq!(end(both.through(INTERACTIVE)), end(both.directly(INTERACTIVE)), "{flavour:?}");
    }
}
