//! `[[server]]`, `[server.catalogue]` and `[[server.credential]]`.

use super::{
    Account, Compression, Credential, For, HiddenTriggers, Match, Meaning, OnClientGone, Server, Tls, Workload,
    document::{Located, Section},
    names,
    problem::Findings,
    secret,
    settings::{Depth, Place, Seen, checked, valid},
    tls,
};

const COMPRESSION: &[(&str, Compression)] = &[
    ("client", Compression::Client),
    ("none", Compression::None),
    ("zlib", Compression::Zlib),
    ("zstd", Compression::Zstd),
];
const ON_CLIENT_GONE: &[(&str, OnClientGone)] = &[("kill", OnClientGone::Kill), ("finish", OnClientGone::Finish)];
const HIDDEN_TRIGGERS: &[(&str, HiddenTriggers)] =
    &[("deny", HiddenTriggers::Deny), ("ignore", HiddenTriggers::Ignore)];
const NAMESPACE: &[(&str, Meaning)] = &[("host", Meaning::Host), ("workload", Meaning::Workload)];

/// A match as written, with its place, to compare with those of servers below it.
type Claim = (Match, Located<String>);

/// Every server. `guarded` are the intercepted ports, where they could be read.
pub(super) fn read(
    root: &mut Section<'_>,
    place: &Place<'_>,
    guarded: Option<&[u16]>,
    workloads: &[Workload],
    findings: &mut Findings<'_>,
) -> Vec<Server> {
    let mut seen = Seen::default();
    let mut claims: Vec<Claim> = Vec::new();
    let mut servers = Vec::new();
    for mut section in root.sections("server", findings) {
        let name = section.required("name", "the server's name, such as `orders`", findings);
        if let Some(name) = &name {
            checked(name, names::check_server, findings);
            seen.once(name.value, &name.spot, findings);
        }
        let matches = matches(&mut section, guarded, &mut claims, findings);
        let tls = tls::read(&mut section, place, findings);
        let compression = choice(&mut section, "compression", COMPRESSION, findings);
        let on_client_gone = choice(&mut section, "on_client_gone", ON_CLIENT_GONE, findings);
        let namespace = namespace(&mut section, tls.as_ref().map(|tls| tls.mode), findings);
        let hidden_triggers = choice(&mut section, "hidden_triggers", HIDDEN_TRIGGERS, findings);
        let catalogue = section.section("catalogue", findings).and_then(|mut section| {
            let account = account(&mut section, place, findings);
            section.finish(findings);
            account
        });
        let credentials = credentials(&mut section, place, workloads, findings);
        section.finish(findings);
        if let (
            Some(name),
            Some(tls),
            Some(compression),
            Some(on_client_gone),
            Some(namespace),
            Some(hidden_triggers),
        ) = (name, tls, compression, on_client_gone, namespace, hidden_triggers)
        {
            let tls::Settings { mode, ca_file, hosts, client_certificate } = tls;
            servers.push(Server {
                name: name.value.to_owned(),
                matches,
                tls: mode,
                ca_file,
                hosts,
                client_certificate,
                compression,
                on_client_gone,
                namespace,
                hidden_triggers,
                catalogue,
                credentials,
            });
        }
    }
    servers
}

fn matches(
    section: &mut Section<'_>,
    guarded: Option<&[u16]>,
    claims: &mut Vec<Claim>,
    findings: &mut Findings<'_>,
) -> Vec<Match> {
    const WHAT: &str = "the destinations that mean this server, such as `match = [\"10.0.0.0/8:3306\"]`";
    if !section.has("match") {
        findings.error(&section.spot_of("match"), format!("`match` is missing: write {WHAT}"));
    }
    let Some(found) = section.strings("match", findings) else { return Vec::new() };
    if found.value.is_empty() {
        findings.error(&found.spot, format!("is empty: write {WHAT}"));
    }
    let mut matches = Vec::new();
    for text in &found.value {
        let Some(parsed) = checked(text, Match::parse, findings) else { continue };
        // Silence would be worst here: agents would reach this port directly, and the operator would believe it guarded.
        if guarded.is_some_and(|ports| !ports.contains(&parsed.port)) {
            let message = format!("port {} is not intercepted: add it to `interception.ports`", parsed.port);
            findings.error(&text.spot, message);
        }
        claim(parsed, text, claims, findings);
        matches.push(parsed);
    }
    matches
}

/// The first match in the file wins, so a later one inside it would never be used.
fn claim(parsed: Match, text: &Located<&str>, claims: &mut Vec<Claim>, findings: &mut Findings<'_>) {
    if let Some((earlier, written)) = claims.iter().find(|(earlier, _)| earlier.covers(&parsed)) {
        let line = findings.line(&written.spot);
        if *earlier == parsed {
            findings.error(&text.spot, format!("`{parsed}` is there already, in line {line}: remove one"));
        } else {
            let message = format!(
                "is never used: `{}` in line {line} comes first and holds it; write the narrower one above",
                written.value
            );
            findings.warning(&text.spot, message);
        }
    }
    claims.push((parsed, Located { value: text.value.to_owned(), spot: text.spot.clone() }));
}

/// The credential goes to whatever answers in the agent's namespace, which the agent may rule.
fn namespace(section: &mut Section<'_>, tls: Option<Tls>, findings: &mut Findings<'_>) -> Option<Meaning> {
    let namespace = choice(section, "namespace", NAMESPACE, findings)?;
    match (namespace, tls) {
        (Meaning::Workload, Some(Tls::Disabled | Tls::Required | Tls::VerifyCa)) => {
            let message = "an agent may lead an address of its own network namespace to a server of its own, which would be given \
                           the credential: write `tls = \"verify-identity\"`, or `\"host\"`";
            let written = section.string("namespace", findings).map(|found| found.spot);
            findings.error(&written.unwrap_or_else(|| section.spot_of("namespace")), message);
            None
        }
        (Meaning::Workload, Some(Tls::VerifyIdentity) | None) | (Meaning::Host, _) => Some(namespace),
    }
}

/// One of a few words; the first when the key is absent.
pub(super) fn choice<T: Copy>(
    section: &mut Section<'_>,
    key: &'static str,
    choices: &[(&str, T)],
    findings: &mut Findings<'_>,
) -> Option<T> {
    if !section.has(key) {
        return choices.first().map(|(_, choice)| *choice);
    }
    let found = section.string(key, findings)?;
    let choice = choices.iter().find(|(word, _)| *word == found.value).map(|(_, choice)| *choice);
    if choice.is_none() {
        let words: Vec<_> = choices.iter().map(|(word, _)| format!("`{word}`")).collect();
        let message = format!("`{}` is none of {}: write one of them", found.value, words.join(", "));
        findings.error(&found.spot, message);
    }
    choice
}

fn credentials(
    section: &mut Section<'_>,
    place: &Place<'_>,
    workloads: &[Workload],
    findings: &mut Findings<'_>,
) -> Vec<Credential> {
    if !section.has("credential") {
        let message = "a server needs an account: write `[[server.credential]]` with `for`, `user` and `password_file`";
        findings.error(&section.spot_of("credential"), message);
    }
    let mut credentials: Vec<Credential> = Vec::new();
    for mut section in section.sections("credential", findings) {
        if credentials.iter().any(|earlier| earlier.fors.contains(&For::Any)) {
            findings.warning(section.spot(), "is never used: a credential for `*` comes first; write that one last");
        }
        let fors = fors(&mut section, workloads, findings);
        let account = account(&mut section, place, findings);
        section.finish(findings);
        credentials.extend(account.map(|account| Credential { fors, account }));
    }
    credentials
}

fn account(section: &mut Section<'_>, place: &Place<'_>, findings: &mut Findings<'_>) -> Option<Account> {
    let user = section.required("user", "the account's name at the server", findings);
    let user = user.and_then(|user| checked(&user, names::check_account, findings).map(|()| user));
    let file = section.required("password_file", "the path of a file that holds the password alone", findings);
    if let Some(file) = file.as_ref().filter(|_| place.depth == Depth::NamedFiles) {
        let looked_at = secret::inspect(&place.absolute(file.value)).map_err(|error| error.to_string());
        if let Some(Some(suspicious)) = valid(looked_at, &file.spot, findings) {
            findings.warning(&file.spot, suspicious);
        }
    }
    let (user, file) = (user?, file?);
    Some(Account { user: user.value.to_owned(), password_file: place.absolute(file.value) })
}

fn fors(section: &mut Section<'_>, workloads: &[Workload], findings: &mut Findings<'_>) -> Vec<For> {
    const WHAT: &str = "whom the account is for: `group:<name>`, `workload:<name>` or `*`";
    if !section.has("for") {
        findings.error(&section.spot_of("for"), format!("`for` is missing: write a list of {WHAT}"));
    }
    let Some(found) = section.strings("for", findings) else { return Vec::new() };
    if found.value.is_empty() {
        findings.error(&found.spot, format!("is empty: write {WHAT}"));
    }
    whom(&found.value, workloads, findings)
}

/// A list of `group:<name>`, `workload:<name>` and `*`.
pub(super) fn whom(list: &[Located<&str>], workloads: &[Workload], findings: &mut Findings<'_>) -> Vec<For> {
    let mut fors = Vec::new();
    for text in list {
        let Some(one) = checked(text, parse_for, findings) else { continue };
        if let Some(stranger) = stranger(&one, workloads) {
            findings.warning(&text.spot, stranger);
        }
        fors.push(one);
    }
    fors
}

fn parse_for(text: &str) -> Result<For, String> {
    if text == "*" {
        return Ok(For::Any);
    }
    if let Some(group) = text.strip_prefix("group:") {
        return names::check_group(group).map(|()| For::Group(group.to_owned()));
    }
    if let Some(workload) = text.strip_prefix("workload:") {
        return names::check_workload(workload).map(|()| For::Workload(workload.to_owned()));
    }
    Err(format!("`{text}` names nobody: write `group:<name>`, `workload:<name>` or `*`"))
}

/// A warning only: `portreeve tag` may bring such a workload while the daemon runs.
fn stranger(one: &For, workloads: &[Workload]) -> Option<String> {
    match one {
        For::Group(group) if !workloads.iter().any(|workload| workload.groups.contains(group)) => Some(format!(
            "no workload of this configuration is in group `{group}`: correct the name, unless you `portreeve tag` one"
        )),
        For::Workload(name) if !workloads.iter().any(|workload| workload.name == *name) => Some(format!(
            "no workload of this configuration is called `{name}`: correct the name, unless you `portreeve tag` one"
        )),
        For::Any | For::Group(_) | For::Workload(_) => None,
    }
}
