//! What a workload may reach and be reached by, under `[[workload]]`: `egress`, `egress_allow`, `uids`.

use super::{
    Egress, Match,
    document::Section,
    problem::Findings,
    settings::{Seen, checked},
};
use crate::limits::{EGRESS_ALLOW_MAX, UIDS_MAX};

/// Left out means open. A mistake is reported, and counts as nothing allowed.
pub(super) fn egress(section: &mut Section<'_>, findings: &mut Findings<'_>) -> Egress {
    let word = if section.has("egress") { section.string("egress", findings) } else { None };
    let listed = match &word {
        None => false,
        Some(word) => match word.value {
            "open" => false,
            "listed" => true,
            other => {
                findings.error(&word.spot, format!("`{other}` is no kind of egress: write `open` or `listed`"));
                true
            }
        },
    };
    let spot = section.spot_of("egress_allow");
    let allow = allowed(section, findings);
    match (listed, allow) {
        (true, allow) => Egress::Listed(allow.unwrap_or_default()),
        (false, None) => Egress::Open,
        (false, Some(_)) => {
            findings.error(&spot, "has no effect: write `egress = \"listed\"` as well");
            Egress::Open
        }
    }
}

fn allowed(section: &mut Section<'_>, findings: &mut Findings<'_>) -> Option<Vec<Match>> {
    let found = section.strings("egress_allow", findings)?;
    if found.value.len() > EGRESS_ALLOW_MAX {
        let message = format!("has {} destinations: write at most {EGRESS_ALLOW_MAX}", found.value.len());
        findings.error(&found.spot, message);
    }
    let mut seen = Seen::default();
    let mut allowed = Vec::new();
    for text in &found.value {
        if let Some(destination) = checked(text, Match::parse, findings) {
            seen.once(&destination.to_string(), &text.spot, findings);
            allowed.push(destination);
        }
    }
    Some(allowed)
}

/// Uids that are the workload's alone. Root is nobody's: the daemon and much else of the host has it.
pub(super) fn uids(section: &mut Section<'_>, findings: &mut Findings<'_>) -> Vec<u32> {
    let Some(found) = section.numbers("uids", findings) else { return Vec::new() };
    if found.value.len() > UIDS_MAX {
        findings.error(&found.spot, format!("has {} uids: write at most {UIDS_MAX}", found.value.len()));
    }
    let mut seen = Seen::default();
    for uid in &found.value {
        if uid.value == 0 {
            findings
                .error(&uid.spot, "`0` is root, which the daemon itself may be: give the workload a uid of its own");
        }
        seen.once(&uid.value.to_string(), &uid.spot, findings);
    }
    found.value.iter().map(|uid| uid.value).collect()
}

#[cfg(test)]
mod tests {
    use crate::config::{
        Config, ConfigProblems, Egress,
        settings::{Depth, parse},
    };
    use std::path::Path;

    fn read(workload: &str) -> Result<Config, ConfigProblems> {
        let text = format!(
            "trust_domain = \"example.org\"\n[[workload]]\nname = \"a\"\ncgroup = \"a\"\n{workload}\n[policy]\npaths = [\"p\"]\n"
        );
        parse(Path::new("/etc/portreeve/portreeve.toml"), &text, Depth::TextOnly)
    }

    fn check_problem(workload: &str, expected: &str) {
        let problems = format!("{}", read(workload).expect_err(workload));
        assert!(problems.contains(expected), "{workload}: {problems}");
    }

    #[test]
    fn a_workload_says_what_it_may_reach() {
        let of = |workload| read(workload).unwrap().workloads.remove(0);
        assert_eq!(of("").egress, Egress::Open);
        assert_eq!(of("egress = \"open\"").egress, Egress::Open);
        assert_eq!(of("egress = \"listed\"").egress, Egress::Listed(vec![]));
        let listed = of("egress = \"listed\"\negress_allow = [\"10.0.0.0/8:443\", \"[::1]:53\"]").egress;
        let Egress::Listed(listed) = listed else { panic!("open") };
        assert_eq!(listed.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8:443", "[::1]:53"]);
        assert_eq!(of("uids = [1000, 1001]").uids, [1000, 1001]);
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        check_problem("egress = \"shut\"", "`shut` is no kind of egress");
        check_problem("egress_allow = [\"10.0.0.0/8:443\"]", "has no effect");
        check_problem("egress = \"listed\"\negress_allow = [\"10.0.0.0/8\"]", "has no port");
        check_problem("egress = \"listed\"\negress_allow = [\"1.2.3.4:1\", \"1.2.3.4:1\"]", "is there already");
        check_problem("uids = [0]", "is root");
        check_problem("uids = [-1]", "out of range");
    }
}
