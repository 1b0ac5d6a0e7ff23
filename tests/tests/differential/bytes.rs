//! Packet by packet: whatever a client and a server agree on, the gateway between them cannot be told from none.

use crate::{
    conversation::{
        ALL, CONNECT_ATTRS, Capabilities, Conversation, DEPRECATE_EOF, EXPIRED_PASSWORDS, FOUND_ROWS, LENENC_AUTH,
        LONG_PASSWORD, MARIADB_ALL, MARIADB_BULK, MARIADB_CACHE_METADATA, MARIADB_EXTENDED_METADATA, MARIADB_PROGRESS,
        MULTI_RESULTS, MULTI_STATEMENTS, OPTIONAL_METADATA, PS_MULTI_RESULTS, QUERY_ATTRIBUTES, SESSION_TRACK, USER,
    },
    room,
    steps::{self, Step},
};
use portreeve_tests::{
    cgroup::Cgroup,
    gateway::{Credential, Gateway, GatewayConfig, Policy, Upstream, Workload},
    servers::{Flavour, Server},
    wire::{self, Packet},
};

/// Of each side of a difference.
const SHOWN_CHARS: usize = 400;

/// A step, and its packets or how the connection ended.
type Answered = (String, Result<Vec<Packet>, String>);

/// What is said and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Every step but the long ones.
    Usual,
    /// The same byte by byte.
    Slow,
    /// The long ones.
    Long,
}

/// Both lanes to one server.
struct Lanes {
    server: Server,
    direct: Cgroup,
    tagged: Cgroup,
    _gateway: Gateway,
}

impl Lanes {
    fn start(flavour: Flavour) -> Self {
        room();
        let server = Server::start(flavour, portreeve_tests::host::free_address().unwrap()).unwrap();
        server.sql(&format!("CREATE USER {USER}@'%'; GRANT ALL ON *.* TO {USER}@'%' WITH GRANT OPTION")).unwrap();
        server.sql("SET GLOBAL local_infile = ON").unwrap();
        let (direct, tagged) = (Cgroup::create("direct").unwrap(), Cgroup::create("tagged").unwrap());
        let gateway = Gateway::start(&GatewayConfig {
            workloads: vec![Workload {
                name: "wire".into(),
                cgroup: tagged.relative().into(),
                groups: vec!["wire".into()],
            }],
            servers: vec![Upstream {
                name: "server".into(),
                matches: vec![format!("{}:3306", server.address())],
                credentials: vec![Credential { for_: vec!["*".into()], user: USER.into(), password: String::new() }],
                ..Upstream::default()
            }],
            policies: vec![Policy {
                file: "everything.cedar".into(),
                text: "@id(\"everything\")\npermit (principal, action, resource);\n".into(),
            }],
            ..GatewayConfig::default()
        });
        Self { server, direct, tagged, _gateway: gateway.unwrap() }
    }

    /// The same conversation in both lanes; what differs, in words.
    fn differences(&self, wanted: Capabilities, manner: Manner) -> Vec<String> {
        let (direct, heard) = self.talk(&self.direct, wanted, manner);
        let (through, passed) = self.talk(&self.tagged, wanted, manner);

        let mut differences = Vec::new();
        let mut compare = |name: &str, one: &str, other: &str| {
            if one != other {
                differences.push(format!("{name}\n  direct  {one}\n  through {other}"));
            }
        };
        compare("greeting", &format!("{:?}", direct.greeting), &format!("{:?}", through.greeting));
        compare("in force", &format!("{:?}", direct.capabilities), &format!("{:?}", through.capabilities));
        compare("welcome", &direct.welcome.escape_ascii().to_string(), &through.welcome.escape_ascii().to_string());
        assert_eq!(heard.len(), passed.len(), "the lanes said different things");
        for ((name, heard), (_, passed)) in heard.iter().zip(&passed) {
            // Packets of megabytes are compared as they are; only what differs is written out.
            if heard == passed {
                continue;
            }
            match (heard, passed) {
                (Ok(heard), Ok(passed)) => {
                    let at = heard.iter().zip(passed).take_while(|(one, other)| one == other).count();
                    let name = format!("{name}, packet {at} of {} and {}", heard.len(), passed.len());
                    compare(&name, &shown(heard.get(at)), &shown(passed.get(at)));
                }
                (heard, passed) => compare(name, &ending(heard), &ending(passed)),
            }
        }
        differences
    }

    /// All steps in one lane, and their answers. Where the connection ends, another one goes on.
    fn talk(&self, cgroup: &Cgroup, wanted: Capabilities, manner: Manner) -> (Conversation, Vec<Answered>) {
        self.server.sql(steps::SCHEMA).unwrap();
        let begin = || {
            let mut conversation = Conversation::begin(cgroup, self.server.address(), wanted);
            conversation.slowly = manner == Manner::Slow;
            conversation
        };
        let mut conversation = begin();
        let mut answers = Vec::new();
        let steps = match manner {
            Manner::Long => steps::long(conversation.capabilities),
            Manner::Usual | Manner::Slow => {
                steps::all(conversation.capabilities, self.server.flavour() == Flavour::MariaDb)
            }
        };
        for step in steps {
            let (name, answer) = say(&mut conversation, step);
            if answer.is_err() {
                conversation = begin();
            }
            answers.push((name, answer));
        }
        for schema in ["wire", "not_there"] {
            let answer = conversation.change_user(schema);
            let answer = answer.map(|payload| vec![Packet { id: 0, payload }]).map_err(|error| error.to_string());
            answers.push((format!("change user to `{schema}`"), answer));
        }
        let refused = Conversation::attempt(cgroup, self.server.address(), wanted, "not_there").err();
        answers.push((
            "login to `not_there`".into(),
            Ok(refused.into_iter().map(|payload| Packet { id: 0, payload }).collect()),
        ));
        answers.push(("quit".into(), begin().quit().map_err(|error| error.to_string())));
        (conversation, answers)
    }
}

fn say(conversation: &mut Conversation, step: Step) -> Answered {
    let commands = (step.commands)(conversation.statement);
    let answer = conversation.exchange(&commands, step.file.as_deref());
    let first = answer.as_ref().ok().and_then(|packets| packets.first()).map(|packet| packet.payload.as_slice());
    if let ([0x16, ..], Some([0, id @ ..])) = (commands[0].as_slice(), first) {
        conversation.statement = u32::from_le_bytes(id[..4].try_into().unwrap());
    }
    (step.name, answer.map_err(|error| error.to_string()))
}

fn shown(packet: Option<&Packet>) -> String {
    packet.map_or("nothing more".into(), |packet| {
        let start = &packet.payload[..packet.payload.len().min(SHOWN_CHARS)];
        format!("#{}, {} bytes: {}", packet.id, packet.payload.len(), start.escape_ascii())
    })
}

fn ending(answer: &Result<Vec<Packet>, String>) -> String {
    let all = |packets: &Vec<Packet>| {
        packets.iter().map(|packet| shown(Some(packet))).collect::<Vec<_>>().join("\n          ")
    };
    answer.as_ref().map_or_else(Clone::clone, all)
}

/// What differs with any of these; all of it is told at once.
fn check(lanes: &Lanes, combinations: &[(&str, u32, u32)]) {
    let mut all = Vec::new();
    for &(name, standard, mariadb) in combinations {
        let differences = lanes.differences(Capabilities { standard, mariadb }, Manner::Usual);
        all.extend(differences.iter().map(|difference| format!("{name}: {difference}")));
    }
    assert!(all.is_empty(), "{} differences\n{}", all.len(), all.join("\n"));
}

const PLAIN: u32 = wire::CAPABILITIES;
const MULTIPLE: u32 = MULTI_STATEMENTS | MULTI_RESULTS | PS_MULTI_RESULTS;

/// What both servers know; a client may want what a server does not offer.
const STANDARD: [(&str, u32, u32); 8] = [
    ("plain", PLAIN, 0),
    ("deprecate eof", PLAIN | DEPRECATE_EOF, 0),
    ("session track", PLAIN | SESSION_TRACK, 0),
    ("session track and deprecate eof", PLAIN | SESSION_TRACK | DEPRECATE_EOF, 0),
    ("attributes of the connection", PLAIN | CONNECT_ATTRS | LENENC_AUTH | EXPIRED_PASSWORDS, 0),
    ("found rows, nothing multiple", PLAIN & !MULTIPLE | FOUND_ROWS, 0),
    ("results of prepared calls only", PLAIN & !MULTI_STATEMENTS, 0),
    ("everything", ALL, 0),
];

#[test]
fn mariadb_answers_alike() {
    // Without LONG_PASSWORD a client is MariaDB's own.
    const OWN: u32 = PLAIN & !LONG_PASSWORD;
    let lanes = Lanes::start(Flavour::MariaDb);
    check(&lanes, &STANDARD);
    check(
        &lanes,
        &[
            ("MariaDB's client", OWN, 0),
            ("progress", OWN, MARIADB_PROGRESS),
            ("bulk", OWN, MARIADB_BULK),
            ("bulk and deprecate eof", OWN | DEPRECATE_EOF, MARIADB_BULK),
            ("extended metadata", OWN, MARIADB_EXTENDED_METADATA),
            ("extended metadata and deprecate eof", OWN | DEPRECATE_EOF, MARIADB_EXTENDED_METADATA),
            ("metadata caching", OWN, MARIADB_CACHE_METADATA),
            ("metadata caching and deprecate eof", OWN | DEPRECATE_EOF, MARIADB_CACHE_METADATA),
            ("everything of MariaDB", ALL & !LONG_PASSWORD, MARIADB_ALL),
        ],
    );
}

#[test]
fn mysql_answers_alike() {
    let lanes = Lanes::start(Flavour::MySql);
    check(&lanes, &STANDARD);
    check(
        &lanes,
        &[
            ("query attributes", PLAIN | QUERY_ATTRIBUTES, 0),
            ("query attributes and deprecate eof", PLAIN | QUERY_ATTRIBUTES | DEPRECATE_EOF, 0),
            ("optional metadata", PLAIN | OPTIONAL_METADATA, 0),
            ("optional metadata and deprecate eof", PLAIN | OPTIONAL_METADATA | DEPRECATE_EOF, 0),
        ],
    );
}

/// Once with everything that the servers know.
fn check_manner(manner: Manner) {
    for flavour in [Flavour::MariaDb, Flavour::MySql] {
        let differences = Lanes::start(flavour).differences(Capabilities { standard: ALL, mariadb: 0 }, manner);
        assert!(differences.is_empty(), "{flavour:?}: {}", differences.join("\n"));
    }
}

#[test]
fn commands_in_single_bytes_are_answered_alike() {
    check_manner(Manner::Slow);
}

#[test]
fn packets_that_are_continued_are_answered_alike() {
    check_manner(Manner::Long);
}
