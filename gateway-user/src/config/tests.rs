//! One table of bad settings: each alone in an otherwise good configuration, and many at once.

use super::{
    ClientCertificate, Compression, Config, ConfigProblems, For, Match, Meaning, OnClientGone, Tls, names, secret,
    settings::{Depth, parse},
};
use std::{
    fs::{self, Permissions},
    net::IpAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

const GOOD: &str = r#"trust_domain = "example.org"
state_dir = "/var/lib/portreeve"
run_dir = "/run/portreeve"

[interception]
ports = [3306]

[[workload]]
name = "reporting"
cgroup = "agents/reporting"
groups = ["reporting"]

[[server]]
name = "orders"
match = ["127.0.0.1:3306", "10.0.0.0/8:3306"]
tls = "disabled"

[[server.credential]]
for = ["group:reporting"]
user = "orders_ro"
password_file = "secrets/orders_ro"

[policy]
paths = ["policies"]
"#;

fn read(text: &str) -> Result<Config, ConfigProblems> {
    parse(Path::new("/etc/portreeve/portreeve.toml"), text, Depth::TextOnly)
}

/// A problem as `line:column: key: message`, without the file.
fn shown(text: &str) -> Vec<String> {
    let problems = read(text).expect_err(text).0;
    let shown = problems.iter().map(|problem| problem.to_string());
    shown.map(|problem| problem.replacen("/etc/portreeve/portreeve.toml:", "", 1)).collect()
}

#[test]
fn the_design_s_example_is_read_as_written() {
    let config = read(GOOD).unwrap();
    assert_eq!(config.trust_domain.to_string(), "example.org");
    assert_eq!(config.control_socket(), PathBuf::from("/run/portreeve/control.sock"));
    assert_eq!((config.interception.ports.as_slice(), config.interception.listen_port), ([3306].as_slice(), 0));
    assert_eq!(config.workloads[0].spiffe_id, "spiffe://example.org/reporting");
    assert_eq!(config.workloads[0].cgroup, Some(PathBuf::from("agents/reporting")));
    let server = config.server("orders").unwrap();
    assert_eq!(server.credentials[0].fors, [For::Group("reporting".to_owned())]);
    assert_eq!(server.credentials[0].account.password_file, PathBuf::from("/etc/portreeve/secrets/orders_ro"));
    assert_eq!(config.policy_paths, [PathBuf::from("/etc/portreeve/policies")]);
    assert_eq!(config.warnings, []);
}

#[test]
fn the_shipped_example_differs_in_nothing_but_comments() {
    let example = include_str!("../../../docs/portreeve.toml");
    let config = read(example).unwrap();
    assert_eq!((config.workloads.len(), config.servers.len(), config.warnings.len()), (1, 1, 0));
}

#[test]
fn only_trust_domain_and_policy_paths_are_without_default() {
    let config = read("trust_domain = \"t\"\n[policy]\npaths = [\"/p\"]\n").unwrap();
    assert_eq!(config.state_dir, PathBuf::from("/var/lib/portreeve"));
    assert_eq!(config.run_dir, PathBuf::from("/run/portreeve"));
    assert_eq!(config.interception.ports, [3306]);
    assert_eq!(
        shown(""),
        [
            "1:1: trust_domain: `trust_domain` is missing: write the SPIFFE trust domain of your workloads, such as `example.org`",
            "1:1: policy.paths: is missing: write `paths` under `[policy]`, such as `paths = [\"/etc/portreeve/policies\"]`",
        ]
    );
}

/// What to replace in the good configuration, by what, and what must then be said (its beginning).
const BAD: &[(&str, &str, &str)] = &[
    ("\"example.org\"", "\"spiffe://example.org\"", "1:16: trust_domain: `spiffe://example.org` is a URI"),
    ("\"example.org\"", "\"Example.org\"", "1:16: trust_domain: `Example.org` is not a SPIFFE trust domain"),
    ("\"example.org\"", "7", "1:16: trust_domain: is an integer: write a string"),
    ("\"/var/lib/portreeve\"", "\"state\"", "2:13: state_dir: `state` is not an absolute path"),
    ("\"/run/portreeve\"", "\"/run/../etc\"", "3:11: run_dir: `/run/../etc` is not an absolute path"),
    ("\"/run/portreeve\"", "\"/\"", "3:11: run_dir: `/` is not an absolute path of a folder"),
    ("state_dir", "statedir", "2:1: statedir: unknown key `statedir`: did you mean `state_dir`?"),
    ("ports =", "prots =", "6:1: interception.prots: unknown key `prots`: did you mean `ports`?"),
    ("[3306]", "[]", "6:9: interception.ports: has 0 ports: write 1 to 16"),
    ("[3306]", "[3306, 0]", "6:16: interception.ports[2]: `0` is not a port"),
    ("[3306]", "[3306, 3306]", "6:16: interception.ports[2]: `3306` is there already, in line 6"),
    ("[3306]", "[65536, 3306]", "6:10: interception.ports[1]: `65536` is not a port"),
    ("[3306]", "[\"3306\", 3306]", "6:10: interception.ports[1]: is a string: write a port number"),
    ("[3306]", "3306", "6:9: interception.ports: is an integer: write a list of port numbers"),
    ("[3306]", "[3306]\nlisten_port = 3306", "7:15: interception.listen_port: `3306` is an intercepted port"),
    ("[[workload]]", "[workload]", "8:1: workload: is a table: write `[[workload]]`"),
    ("name = \"reporting\"", "", "8:1: workload[1].name: `name` is missing"),
    ("name = \"reporting\"", "name = \"Reporting\"", "9:8: workload[1].name: `Reporting` is not a workload name"),
    ("name = \"reporting\"", "name = \"a//b\"", "9:8: workload[1].name: `a//b` is not a workload name"),
    ("\"agents/reporting\"", "\"/agents\"", "10:10: workload[1].cgroup: `/agents` is absolute"),
    ("\"agents/reporting\"", "\"a/../..\"", "10:10: workload[1].cgroup: `a/../..` leaves its place"),
    ("\"agents/reporting\"", "\"\"", "10:10: workload[1].cgroup: is the root of the cgroup mount"),
    ("[\"reporting\"]", "[\"reporting\", \"a b\"]", "11:24: workload[1].groups[2]: `a b` is not a group name"),
    (
        "groups =",
        "spiffe_id = \"spiffe://x\"\ngroups =",
        "11:13: workload[1].spiffe_id: `spiffe://x` is not a SPIFFE ID",
    ),
    ("name = \"orders\"", "", "13:1: server[1].name: `name` is missing"),
    ("name = \"orders\"", "name = \"a/b\"", "14:8: server[1].name: `a/b` is not a server name"),
    ("[\"127.0.0.1:3306\", \"10.0.0.0/8:3306\"]", "[]", "15:9: server[1].match: is empty"),
    ("\"127.0.0.1:3306\"", "\"127.0.0.1\"", "15:10: server[1].match[1]: `127.0.0.1` has no port"),
    ("\"127.0.0.1:3306\"", "\"127.0.0.1:3307\"", "15:10: server[1].match[1]: port 3307 is not intercepted"),
    (
        "\"10.0.0.0/8:3306\"",
        "\"127.0.0.1:3306\"",
        "15:28: server[1].match[2]: `127.0.0.1:3306` is there already, in line 15",
    ),
    (
        "\"disabled\"",
        "\"off\"",
        "16:7: server[1].tls: `off` is none of `verify-identity`, `verify-ca`, `required`, `disabled`",
    ),
    ("\"disabled\"", "true", "16:7: server[1].tls: is a boolean: write a string"),
    ("\"disabled\"", "\"required\"\nca_file = 1", "17:11: server[1].ca_file: is an integer: write a string"),
    ("\"disabled\"", "\"required\"\nhosts = []", "17:9: server[1].hosts: has 0 names: write 1 to 32"),
    ("\"disabled\"", "\"required\"\nhosts = [\"a:3306\"]", "17:10: server[1].hosts[1]: `a:3306` is neither a DNS name"),
    ("\"disabled\"", "\"required\"\nhosts = [\"*.a\"]", "17:10: server[1].hosts[1]: `*.a` is neither a DNS name"),
    ("\"disabled\"", "\"required\"\nhosts = [\"a.\"]", "17:10: server[1].hosts[1]: `a.` is neither a DNS name"),
    (
        "\"disabled\"",
        "\"required\"\nhosts = [\"a\", \"a\"]",
        "17:15: server[1].hosts[2]: `a` is there already, in line 17",
    ),
    (
        "\"disabled\"",
        "\"required\"\nclient_cert_file = \"c\"",
        "13:1: server[1].client_key_file: `client_key_file` is missing: write it beside `client_cert_file`",
    ),
    (
        "\"disabled\"",
        "\"required\"\nclient_key_file = \"k\"",
        "13:1: server[1].client_cert_file: `client_cert_file` is missing: write it beside `client_key_file`",
    ),
    (
        "\"disabled\"",
        "\"disabled\"\ncompression = \"lz4\"",
        "17:15: server[1].compression: `lz4` is none of `client`, `none`, `zlib`, `zstd`",
    ),
    (
        "\"disabled\"",
        "\"disabled\"\non_client_gone = \"wait\"",
        "17:18: server[1].on_client_gone: `wait` is none of `kill`, `finish`",
    ),
    (
        "\"disabled\"",
        "\"disabled\"\nnamespace = \"agent\"",
        "17:13: server[1].namespace: `agent` is none of `host`, `workload`",
    ),
    (
        "\"disabled\"",
        "\"verify-ca\"\nnamespace = \"workload\"",
        "17:13: server[1].namespace: an agent may lead an address of its own network namespace to a server of its own",
    ),
    ("[3306]", "[3306]\nrefused_ports = [3306]", "7:18: interception.refused_ports[1]: `3306` is intercepted"),
    ("[3306]", "[3306]\nrefused_ports = [0]", "7:18: interception.refused_ports[1]: `0` is not a port"),
    (
        "[3306]",
        "[3306]\nrefused_ports = [1, 1]",
        "7:21: interception.refused_ports[2]: `1` is there already, in line 7",
    ),
    ("[3306]", "[3306]\nrefused_ports = 33060", "7:17: interception.refused_ports: is an integer: write a list"),
    (
        "[3306]",
        "[3306]\nrefused_ports = [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]",
        "7:17: interception.refused_ports: has 17 ports: write at most 16",
    ),
    ("[3306]", "[3306]\nlisten_port = 33062", "7:15: interception.listen_port: `33062` is a refused port"),
    ("for = [\"group:reporting\"]", "", "18:1: server[1].credential[1].for: `for` is missing"),
    ("[\"group:reporting\"]", "[]", "19:7: server[1].credential[1].for: is empty"),
    ("\"group:reporting\"", "\"reporting\"", "19:8: server[1].credential[1].for[1]: `reporting` names nobody"),
    ("user = \"orders_ro\"", "", "18:1: server[1].credential[1].user: `user` is missing"),
    ("\"orders_ro\"", "\"\"", "20:8: server[1].credential[1].user: is not an account name"),
    (
        "password_file",
        "pasword_file",
        "21:1: server[1].credential[1].pasword_file: unknown key `pasword_file`: did you mean `password_file`?",
    ),
    ("[policy]\npaths = [\"policies\"]", "", "1:1: policy.paths: is missing"),
    ("paths", "files", "23:1: policy.paths: is missing"),
    ("paths", "files", "24:1: policy.files: unknown key `files`: the keys here are paths"),
    ("\"policies\"", "\"policies\", \"policies\"", "24:22: policy.paths[2]: `policies` is there already"),
];

#[test]
fn each_bad_setting_is_reported_at_its_place() {
    for (good, bad, expected) in BAD {
        assert!(GOOD.contains(good), "`{good}` is not in the good configuration");
        let found = shown(&GOOD.replacen(good, bad, 1));
        assert!(found.iter().any(|problem| problem.starts_with(expected)), "{bad}: {expected}\nbut {found:#?}");
    }
}

#[test]
fn every_bad_setting_is_reported_at_once_in_the_order_of_the_file() {
    let text = r#"trust_domain = "UPPER"
run_dir = "run"
unknown = 1
[interception]
ports = [0]
listen_port = -1
[[workload]]
name = "a"
cgroup = "/x"
[[workload]]
name = "a"
cgroup = "x"
groups = "g"
[[server]]
name = "s"
match = ["db:3306"]
[[server.credential]]
for = ["*"]
[policy]
path = "/p"
"#;
    let found = shown(text);
    let keys: Vec<&str> = found.iter().map(|problem| problem.split(": ").nth(1).unwrap()).collect();
    let expected = [
        "trust_domain",
        "run_dir",
        "unknown",
        "interception.ports[1]",
        "interception.listen_port",
        "workload[1].cgroup",
        "workload[2].name",
        "workload[2].groups",
        "server[1].match[1]",
        "server[1].credential[1].user",
        "server[1].credential[1].password_file",
        "policy.paths",
        "policy.path",
    ];
    assert_eq!(keys, expected, "{found:#?}");
}

#[test]
fn broken_toml_is_reported_with_its_line_and_nothing_is_guessed_from_it() {
    let found = shown("trust_domain = \"example.org\nrun_dir = 7\n[policy\n");
    assert!(found.iter().all(|problem| problem.contains(": is not TOML: ")), "{found:#?}");
    assert!(found[0].starts_with("1:"), "{found:#?}");
    let unclosed = shown(&GOOD.replace("match = [", "match = [["));
    assert_eq!(unclosed.len(), 1, "{unclosed:#?}");
    let twice = shown(&GOOD.replace("ports = [3306]", "ports = [3306]\nports = [3307]"));
    assert!(twice[0].starts_with("7:1: is not TOML: duplicate key"), "{twice:#?}");
}

#[test]
fn a_server_s_settings_have_the_safe_defaults() {
    let config = read(&GOOD.replace("tls = \"disabled\"\n", "")).unwrap();
    let server = config.server("orders").unwrap();
    assert_eq!((server.tls, &server.ca_file, &server.client_certificate), (Tls::VerifyIdentity, &None, &None));
    assert_eq!((server.compression, server.on_client_gone), (Compression::Client, OnClientGone::Kill));
    assert!(server.hosts.is_empty());
    assert_eq!(server.namespace, Meaning::Host);
    let there = read(&GOOD.replace("\"disabled\"", "\"verify-identity\"\nnamespace = \"workload\"")).unwrap();
    assert_eq!(there.servers[0].namespace, Meaning::Workload);
}

#[test]
fn a_server_s_settings_are_read_as_written() {
    let check = |word: &str, mode: Tls| {
        assert_eq!(read(&GOOD.replace("\"disabled\"", &format!("{word:?}"))).unwrap().servers[0].tls, mode);
        assert_eq!(mode.word(), word);
    };
    check("disabled", Tls::Disabled);
    check("required", Tls::Required);
    check("verify-ca", Tls::VerifyCa);
    check("verify-identity", Tls::VerifyIdentity);

    let more = "\"verify-ca\"\nca_file = \"ca.pem\"\nhosts = [\"db.example.org\", \"::1\", \"db_2\"]\n\
        client_cert_file = \"/c.pem\"\nclient_key_file = \"k.pem\"\ncompression = \"zstd\"\non_client_gone = \"finish\"";
    let config = read(&GOOD.replace("\"disabled\"", more)).unwrap();
    assert_eq!(config.warnings, []);
    let server = config.server("orders").unwrap();
    assert_eq!(server.ca_file, Some(PathBuf::from("/etc/portreeve/ca.pem")));
    assert_eq!(server.hosts, ["db.example.org", "::1", "db_2"]);
    let pair = ClientCertificate { certificate_file: "/c.pem".into(), key_file: "/etc/portreeve/k.pem".into() };
    assert_eq!(server.client_certificate, Some(pair));
    assert_eq!((server.compression, server.on_client_gone), (Compression::Zstd, OnClientGone::Finish));
}

#[test]
fn refused_ports_are_mysql_s_others_unless_they_are_intercepted() {
    let check = |written: &str, refused: &[u16]| {
        assert_eq!(read(&GOOD.replace("[3306]", written)).unwrap().interception.refused_ports, refused, "{written}");
    };
    check("[3306]", &[33060, 33061, 33062]);
    check("[3306, 33062]", &[33060, 33061]);
    check("[3306]\nrefused_ports = []", &[]);
    check("[3306]\nrefused_ports = [4306, 33060]", &[4306, 33060]);
    let without = read("trust_domain = \"t\"\n[policy]\npaths = [\"/p\"]\n").unwrap();
    assert_eq!(without.interception.refused_ports, [33060, 33061, 33062]);
}

#[test]
fn columns_count_characters() {
    let found = shown(&GOOD.replace("[\"group:reporting\"]", "[ \"group:é é\", 1]"));
    assert!(found.iter().any(|problem| problem.starts_with("19:22: server[1].credential[1].for[2]")), "{found:#?}");
}

#[test]
fn duplicates_point_at_the_first() {
    let more = "\n[[workload]]\nname = \"reporting\"\ncgroup = \"agents/reporting/\"\n[[server]]\nname = \"orders\"\nmatch = [\"[::1]:3306\"]\ntls = \"disabled\"\n[[server.credential]]\nfor = [\"*\"]\nuser = \"u\"\npassword_file = \"p\"\n";
    let found = shown(&format!("{GOOD}{more}"));
    let expected = [
        "27:8: workload[2].name: `reporting` is there already, in line 9",
        "27:8: workload[2].name: `spiffe://example.org/reporting` is there already, in line 9",
        "28:10: workload[2].cgroup: `agents/reporting` is there already, in line 10",
        "30:8: server[2].name: `orders` is there already, in line 14",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for one in expected {
        assert!(found.iter().any(|problem| problem.starts_with(one)), "{one}\nbut {found:#?}");
    }
}

#[test]
fn what_is_legal_but_hardly_meant_is_a_warning() {
    let check = |good: &str, bad: &str, expected: &str| {
        let warnings = read(&GOOD.replacen(good, bad, 1)).unwrap().warnings;
        assert!(warnings.len() == 1 && warnings[0].to_string().contains(expected), "{expected}\nbut {warnings:#?}");
    };
    check(
        "\"group:reporting\"",
        "\"group:reporter\"",
        ":19:8: server[1].credential[1].for[1]: no workload of this configuration is in group `reporter`",
    );
    check(
        "\"group:reporting\"",
        "\"workload:etl\"",
        ":19:8: server[1].credential[1].for[1]: no workload of this configuration is called `etl`",
    );
    check(
        "\"127.0.0.1:3306\", \"10.0.0.0/8:3306\"",
        "\"10.0.0.0/8:3306\", \"10.1.0.0/16:3306\"",
        ":15:29: server[1].match[2]: is never used: `10.0.0.0/8:3306` in line 15",
    );
    check(
        "\"disabled\"",
        "\"disabled\"\nca_file = \"a\"",
        ":17:11: server[1].ca_file: is not used: `tls` is `disabled`",
    );
    check(
        "\"disabled\"",
        "\"required\"\nca_file = \"a\"",
        ":17:11: server[1].ca_file: is not used: `required` verifies",
    );
    check(
        "\"disabled\"",
        "\"disabled\"\nclient_cert_file = \"a\"\nclient_key_file = \"b\"",
        ":17:20: server[1].client_cert_file: is not used: `tls` is `disabled`",
    );
    check("[\"policies\"]", "[]", ":24:9: policy.paths: is empty: every statement will be denied");
}

#[test]
fn the_first_match_in_the_order_of_the_file_is_the_server() {
    let second = "\n[[server]]\nname = \"rest\"\nmatch = [\"0.0.0.0/0:3306\", \"[fd00::/8]:3306\", \"[::1]:3306\"]\ntls = \"disabled\"\n[[server.credential]]\nfor = [\"*\"]\nuser = \"u\"\npassword_file = \"p\"\n";
    let config = read(&format!("{GOOD}{second}")).unwrap();
    let check = |ip: &str, port: u16, server: Option<&str>| {
        let found = config.server_for(ip.parse::<IpAddr>().unwrap(), port);
        assert_eq!(found.map(|server| server.name.as_str()), server, "{ip}:{port}");
    };
    check("127.0.0.1", 3306, Some("orders"));
    check("::ffff:127.0.0.1", 3306, Some("orders"));
    check("10.255.0.1", 3306, Some("orders"));
    check("11.0.0.1", 3306, Some("rest"));
    check("::ffff:11.0.0.1", 3306, Some("rest"));
    check("fd12::1", 3306, Some("rest"));
    check("::1", 3306, Some("rest"));
    check("fe80::1", 3306, None);
    check("127.0.0.1", 3307, None);
}

#[test]
fn the_first_credential_that_fits_is_used() {
    let text = GOOD.replace(
        "for = [\"group:reporting\"]",
        "for = [\"workload:etl\", \"group:admins\"]\nuser = \"first\"\npassword_file = \"p\"\n[[server.credential]]\nfor = [\"group:reporting\"]",
    );
    let config = read(&text).unwrap();
    let server = config.server("orders").unwrap();
    let check = |workload: &str, groups: &[&str], user: Option<&str>| {
        let groups: Vec<String> = groups.iter().map(|&group| group.to_owned()).collect();
        assert_eq!(config.account_for(server, workload, &groups).map(|found| found.user.as_str()), user);
    };
    check("etl", &[], Some("first"));
    check("reporting", &["reporting", "admins"], Some("first"));
    check("reporting", &["reporting"], Some("orders_ro"));
    check("group:admins", &["etl"], None);
    check("stranger", &[], None);
}

#[test]
fn matches_are_read_strictly() {
    for text in ["127.0.0.1:3306", "10.0.0.0/8:3306", "[::1]:3306", "[fd00::/8]:3306", "0.0.0.0/0:1", "1.2.3.4:65535"] {
        assert_eq!(Match::parse(text).unwrap().to_string(), text);
    }
    let check = |text: &str, expected: &str| {
        let error = Match::parse(text).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    };
    check("127.0.0.1:0", "is not a port");
    check("127.0.0.1:65536", "is not a port");
    check("127.0.0.1:+1", "is not a port");
    check("127.0.0.1:", "is not a port");
    check("::1:3306", "write an IPv6 address in brackets");
    check("[::1]", "has no port");
    check("[::1]3306", "has no port");
    check("[127.0.0.1]:3306", "leave the brackets out");
    check("db.internal:3306", "neither an address nor a network");
    check("10.0.0.0/33:3306", "neither an address nor a network");
    check("10.1.0.0/8:3306", "write `10.0.0.0/8`");
    check("[::ffff:10.0.0.1]:3306", "write the IPv4 address");
    check(":3306", "neither an address nor a network");
}

#[test]
fn names_end_at_their_limits() {
    let longest = "a".repeat(crate::limits::NAME_BYTES_MAX);
    for check in [names::check_workload, names::check_group, names::check_server, names::check_account] {
        assert_eq!(check(&longest), Ok(()));
        assert!(check(&format!("{longest}a")).is_err() && check("").is_err() && check("a\nb").is_err());
    }
    let id = |length: usize| format!("spiffe://t/{}", "a".repeat(length - "spiffe://t/".len()));
    assert_eq!(names::check_spiffe_id(&id(crate::limits::SPIFFE_ID_BYTES_MAX)), Ok(()));
    assert!(names::check_spiffe_id(&id(crate::limits::SPIFFE_ID_BYTES_MAX + 1)).is_err());
    for bad in [
        "spiffe://t",
        "spiffe://t/",
        "spiffe:///a",
        "spiffe://T/a",
        "spiffe://t/a/../b",
        "spiffe://t/a?b",
        "http://t/a",
        "spiffe://t/a/",
    ] {
        assert!(names::check_spiffe_id(bad).is_err(), "{bad}");
    }
    let domain = "a".repeat(crate::limits::TRUST_DOMAIN_BYTES_MAX);
    assert!(names::TrustDomain::new(&domain).is_ok() && names::TrustDomain::new(&format!("{domain}a")).is_err());
}

#[test]
fn a_run_dir_too_long_for_a_socket_is_refused() {
    let of = |length: usize| GOOD.replace("/run/portreeve", &format!("/{}", "r".repeat(length - 1)));
    let longest = crate::limits::SOCKET_PATH_BYTES_MAX - "/control.sock".len();
    assert_eq!(read(&of(longest)).unwrap().control_socket().as_os_str().len(), 107);
    assert!(
        shown(&of(longest + 1))[0].contains("run_dir: is too long for a Unix socket in it: write at most 94 bytes")
    );
}

/// A folder that is gone at the end of the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("portreeve-config-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, bytes: &[u8], mode: u32) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_secret_loses_one_newline_and_nothing_else() {
    let folder = Folder::new("secret");
    let check = |bytes: &[u8], expected: &[u8]| {
        assert_eq!(secret::read(&folder.write("s", bytes, 0o600)).unwrap().as_slice(), expected);
    };
    check(b"pa ss\n", b"pa ss");
    check(b"pass\n\n", b"pass\n");
    check(b" pass", b" pass");
    check(b"", b"");
    let longest = usize::try_from(crate::limits::SECRET_BYTES_MAX).unwrap();
    check(&vec![b'x'; longest], &vec![b'x'; longest]);
    let error = |bytes: &[u8]| secret::read(&folder.write("s", bytes, 0o600)).unwrap_err().to_string();
    assert!(error(&vec![b'x'; longest + 1]).contains("is longer than 4096 bytes"));
    assert!(error(b"a\0b").contains("NUL"));
    assert!(secret::read(&folder.0).unwrap_err().to_string().contains("is not a file"));
}

#[test]
fn files_that_are_named_are_looked_at_when_asked() {
    let folder = Folder::new("files");
    let path = folder.write("portreeve.toml", GOOD.as_bytes(), 0o600);
    assert_eq!(Config::read(&path).unwrap().warnings, []);
    let problems = Config::load(&path).unwrap_err().to_string();
    assert!(problems.starts_with("the configuration has 2 problems:\n"), "{problems}");
    assert!(
        problems.contains(":21:17: server[1].credential[1].password_file: cannot read the password file"),
        "{problems}"
    );
    assert!(problems.contains(":24:10: policy.paths[1]: cannot read the policies at `policies`"), "{problems}");

    fs::create_dir(folder.0.join("policies")).unwrap();
    fs::create_dir(folder.0.join("secrets")).unwrap();
    folder.write("secrets/orders_ro", b"hunter2\n", 0o604);
    let config = Config::load(&path).unwrap();
    assert!(config.warnings[0].message.contains("mode 0604"), "{:?}", config.warnings);
    assert!(!format!("{config:?}").contains("hunter2"));
    folder.write("secrets/orders_ro", b"hunter2\n", 0o600);
    assert_eq!(Config::load(&path).unwrap().warnings, []);
}

#[test]
fn a_file_that_is_no_configuration_is_said_so() {
    let folder = Folder::new("unreadable");
    let check = |path: &Path, expected: &str| {
        let problems = Config::load(path).unwrap_err().to_string();
        assert!(problems.contains(expected), "{problems}");
    };
    check(
        &folder.0.join("none.toml"),
        "cannot read the configuration: No such file or directory (os error 2); name the file with `--config`",
    );
    check(&folder.write("latin1.toml", b"a = 1\nb = \"\xe9\"\n", 0o600), "is not UTF-8 in line 2");
    check(&folder.write("big.toml", &vec![b'#'; 1024 * 1024 + 1], 0o600), "is longer than 1048576 bytes");
}

#[test]
fn pem_files_are_looked_at_when_asked() {
    let folder = Folder::new("pem");
    fs::create_dir(folder.0.join("policies")).unwrap();
    fs::create_dir(folder.0.join("secrets")).unwrap();
    folder.write("secrets/orders_ro", b"hunter2\n", 0o600);
    let mut pairs = [(), ()].map(|()| rcgen::generate_simple_self_signed(["db".to_owned()]).unwrap());
    let [first, second] = &mut pairs;
    folder.write("ca.pem", first.cert.pem().as_bytes(), 0o644);
    folder.write("cert.pem", first.cert.pem().as_bytes(), 0o644);
    folder.write("key.pem", first.signing_key.serialize_pem().as_bytes(), 0o600);
    folder.write("other.pem", second.signing_key.serialize_pem().as_bytes(), 0o600);
    folder.write("text.pem", b"no PEM\n", 0o600);
    folder.write("cut.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n", 0o600);
    folder.write("big.pem", &vec![b'#'; 4 * 1024 * 1024 + 1], 0o600);
    let load = |ca: &str, certificate: &str, key: &str| {
        let tls = format!(
            "\"verify-ca\"\nca_file = \"{ca}\"\nclient_cert_file = \"{certificate}\"\nclient_key_file = \"{key}\""
        );
        Config::load(&folder.write("portreeve.toml", GOOD.replace("\"disabled\"", &tls).as_bytes(), 0o600))
    };
    assert_eq!(load("ca.pem", "cert.pem", "key.pem").unwrap().warnings, []);
    folder.write("key.pem", first.signing_key.serialize_pem().as_bytes(), 0o640);
    assert_eq!(load("ca.pem", "cert.pem", "key.pem").unwrap().warnings, []);
    folder.write("key.pem", first.signing_key.serialize_pem().as_bytes(), 0o644);
    let warnings = load("ca.pem", "cert.pem", "key.pem").unwrap().warnings;
    assert!(
        warnings[0].to_string().contains(":19:19: server[1].client_key_file: every user of this host"),
        "{warnings:?}"
    );

    let check = |ca: &str, certificate: &str, key: &str, expected: &str| {
        let problems = load(ca, certificate, key).unwrap_err();
        assert!(problems.0.len() == 1 && problems.0[0].to_string().contains(expected), "{expected}\nbut {problems}");
    };
    check("none.pem", "cert.pem", "key.pem", ":17:11: server[1].ca_file: cannot read `");
    check("policies", "cert.pem", "key.pem", "policies` is not a file");
    check("big.pem", "cert.pem", "key.pem", "is longer than 4194304 bytes");
    check("text.pem", "cert.pem", "key.pem", "holds no `-----BEGIN CERTIFICATE-----`");
    check("cut.pem", "cert.pem", "key.pem", "is not PEM: a section has no end");
    check("ca.pem", "none.pem", "key.pem", ":18:20: server[1].client_cert_file: cannot read `");
    check("ca.pem", "cert.pem", "cert.pem", ":19:19: server[1].client_key_file: `");
    check("ca.pem", "cert.pem", "cert.pem", "holds no private key in clear text");
    check("ca.pem", "cert.pem", "other.pem", "is not that of the certificate in `");
}

#[test]
fn sessions_drain_for_as_long_as_it_says_and_not_for_ever() {
    let check = |text: &str, expected: (u32, u32)| {
        let config = read(&format!("{text}\n{GOOD}")).unwrap();
        assert_eq!((config.stop_drain_seconds, config.upgrade_drain_seconds), expected);
    };
    check("", (5, 3600));
    check("stop_drain_seconds = 0\nupgrade_drain_seconds = 604800", (0, 604_800));
    let found = shown(&format!("upgrade_drain_seconds = 604801\n{GOOD}"));
    assert!(found.iter().any(|problem| problem.contains("upgrade_drain_seconds: `604801` is too long")), "{found:#?}");
}

#[test]
fn rows_are_recorded_of_those_that_are_named() {
    let check = |rows_of: &str, workload: &str, groups: &[&str], expected: bool| {
        let config = read(&format!("recording = {{ rows_of = {rows_of} }}\n{GOOD}")).unwrap();
        let groups: Vec<_> = groups.iter().map(|group| (*group).to_owned()).collect();
        assert_eq!(config.recording.keeps_rows(workload, &groups), expected, "{rows_of}");
    };
    check("[]", "etl", &["reporting"], false);
    check(r#"["*"]"#, "etl", &[], true);
    check(r#"["workload:etl", "group:reporting"]"#, "etl", &[], true);
    check(r#"["workload:etl", "group:reporting"]"#, "other", &["reporting"], true);
    check(r#"["workload:etl", "group:reporting"]"#, "other", &["etl"], false);
    assert!(!read(GOOD).unwrap().recording.keeps_rows("etl", &[]));
    let found = shown(&format!("recording = {{ rows_of = [\"etl\"] }}\n{GOOD}"));
    assert!(found.iter().any(|problem| problem.contains("recording.rows_of")), "{found:#?}");
}
