//! Random texts: what comes back through the daemon is what the server gives to the client's own bytes.

use super::{login, scenes};
use portreeve_tests::{cgroup::Cgroup, wire::Wire};

/// Texts per server and mode. More with `RANDOM_TEXTS=10000`.
const TEXTS: usize = 250;

const GAPS: [&str; 10] = [" ", "\n", "\t", "\u{b}", "/**/", "/* ' */", "-- \" */\n", "#'`\n", "--\n", "--\t/*\n"];
const OPENINGS: [&str; 28] = [
    "/*!",
    "/*! ",
    "/*!40101",
    "/*!50000 ",
    "/*!50699 ",
    "/*!50700 ",
    "/*!80000+",
    "/*!90704 ",
    "/*!90705 ",
    "/*!090704 ",
    "/*!090705 ",
    "/*!101114 ",
    "/*!101115 ",
    "/*!99999 ",
    "/*!999999 ",
    "/*!080000\t",
    "/*!500001+",
    "/*!500000+",
    "/*M!",
    "/*M! ",
    "/*M!50800 ",
    "/*M!100000 ",
    "/*M!101115 ",
    "/*M!999999\\- ",
    "/*!1",
    "/*!5000",
    "/* !",
    "/*!000000 ",
];
const ATOMS: [&str; 34] = [
    "1",
    "2.5",
    ".5",
    "1e0",
    "1e-1",
    "'a'",
    "'a''b'",
    "'a\\'b'",
    "'\\\\'",
    "\"q\"\"r\"",
    "\"*/\"",
    "'/*!'",
    "'-- '",
    "x'41'",
    "N'n'",
    "_latin1'z'",
    "0x41",
    "0b01",
    "NULL",
    "{fn abs(1)}",
    "{d '2020-01-01'}",
    "@a",
    "t.1b",
    "t.`c`",
    "c",
    "1b",
    "`c`",
    "t .c",
    "t. c",
    "length('é')",
    "5--3",
    "1<=>1",
    "1c",
    "1 é",
];
const PIECES: [&str; 20] = [
    "1", "'a'", "\"b\"", "+", ",", " ", "\n", "/*", "*/", "/*!", "-- ", "--", "#", "'", "\"", "`", "\\", "x", "M!", "!",
];

/// Marsaglia's xorshift: the same sequence on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn one<'s>(&mut self, of: &[&'s str]) -> &'s str {
        of[self.below(of.len())]
    }

    fn pieces(&mut self, at_most: usize) -> String {
        (0..self.below(at_most + 1)).map(|_| self.one(&PIECES)).collect()
    }

    fn gap(&mut self) -> String {
        match self.below(5) {
            0 => format!("/*{}*/", self.pieces(4)),
            1 => format!("-- {}\n", self.pieces(4).replace('\n', "")),
            _ => self.one(&GAPS).to_owned(),
        }
    }

    fn body(&mut self, depth: usize) -> String {
        let mut body = String::new();
        for _ in 0..=self.below(3) {
            body += &match self.below(6) {
                0 if depth < 2 => {
                    let (opening, before) = (self.one(&OPENINGS), self.gap());
                    format!("{opening}{before}{}{}*/", self.body(depth + 1), self.gap())
                }
                1 if depth < 2 => format!("{}{}*/", self.one(&OPENINGS), self.pieces(6)),
                _ => format!("{}{}{}", self.one(&[",", "+", ",", " , ", "||"]), self.gap(), self.one(&ATOMS)),
            };
            body += &self.gap();
        }
        body
    }

    fn text(&mut self) -> String {
        let (first, body) = (self.one(&ATOMS), self.body(0));
        let (a, b, c, d) = (self.gap(), self.gap(), self.gap(), self.gap());
        format!("SELECT{a}{first}{b}{body}{c}FROM{d}(SELECT 1 AS `1b`, 2 AS c) t")
    }
}

type Rows = Vec<Vec<Option<Vec<u8>>>>;

/// The rows, or the error.
fn ask(wire: &mut Wire, sql: &str) -> Result<Rows, String> {
    wire.query(sql).map_err(|error| format!("{error:#}"))
}

#[test]
fn random_texts_come_back_as_from_the_server_itself() {
    let texts = std::env::var("RANDOM_TEXTS").ok().and_then(|texts| texts.parse().ok()).unwrap_or(TEXTS);
    for scene in scenes() {
        scene.server.sql("CREATE USER agent@'127.%'; GRANT ALL ON *.* TO agent@'127.%'").unwrap();
        let untagged = Cgroup::create("untagged").unwrap();
        let mut directly = Wire::login_directly(&untagged, scene.server.address(), "shop", 0).unwrap();
        let mut through = login(&scene);
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut same = 0;
        for mode in ["", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES,IGNORE_SPACE"] {
            for wire in [&mut directly, &mut through] {
                wire.query(&format!("SET sql_mode = '{mode}'")).unwrap();
            }
            for _ in 0..texts {
                let sql = random.text();
                let (given, passed) = (ask(&mut directly, &sql), ask(&mut through, &sql));
                match (&given, &passed) {
                    (_, Err(error)) if error.contains("denied by policy") => {}
                    (Ok(given), Ok(passed)) => {
                        assert_eq!(given, passed, "{sql:?} on {:?} in {mode:?}", scene.server.flavour());
                        same += 1;
                    }
                    (Err(_), Err(_)) => {}
                    _ => panic!("{sql:?} on {:?} in {mode:?}: {given:?} {passed:?}", scene.server.flavour()),
                }
            }
        }
        assert!(same > texts, "{same} of {} on {:?}", 3 * texts, scene.server.flavour());
    }
}
