//! `[[workload.select]]`: which cgroups are a workload by their place in the tree, and who of those in them counts.

use super::{document::Section, problem::Findings, settings::checked};
use crate::{
    limits::{CONTAINER_ID_CHARS_MIN, DOUBLE_STARS_MAX, SELECTS_MAX},
    selector::{Pattern, Select},
};

pub(super) fn read(workload: &mut Section<'_>, findings: &mut Findings<'_>) -> Vec<Select> {
    let spot = workload.spot_of("select");
    let sections = workload.sections("select", findings);
    if sections.len() > SELECTS_MAX {
        findings.error(&spot, format!("has {} tables: write at most {SELECTS_MAX}", sections.len()));
    }
    sections.into_iter().map(|section| one(section, findings)).collect()
}

/// A key with a mistake counts as absent; the mistake is reported, so that nothing starts with it.
fn one(mut section: Section<'_>, findings: &mut Findings<'_>) -> Select {
    let mut key = |key, check: fn(&str) -> Result<(), String>| {
        let found = section.string(key, findings)?;
        checked(&found, check, findings).map(|()| found.value.to_owned())
    };
    let select = Select {
        cgroup: key("cgroup", check_cgroup).map(|text| Pattern::new(&text)),
        unit: key("unit", check_unit).map(|text| Pattern::new(&text)),
        user_unit: key("user_unit", check_unit).map(|text| Pattern::new(&text)),
        container: key("container", check_container),
        pod: key("pod", check_pod),
        exe: key("exe", check_exe).map(|text| Pattern::new(text.trim_start_matches('/'))),
        sha256: key("sha256", check_sha256).map(|text| text.to_ascii_lowercase()),
        uid: None,
    };
    let uid = section.number("uid", findings).map(|found| found.value);
    let chooses = ["cgroup", "unit", "user_unit", "container", "pod"].map(|key| section.has(key)).contains(&true);
    if !chooses {
        let message = "chooses no cgroup: write `cgroup`, `unit`, `user_unit`, `container` or `pod`; `uid`, `exe` and `sha256` only narrow";
        findings.error(section.spot(), message);
    }
    if section.has("user_unit") && !section.has("uid") {
        findings.error(section.spot(), "has `user_unit` without `uid`: write whose manager the unit is of");
    }
    section.finish(findings);
    Select { uid, ..select }
}

fn check_cgroup(text: &str) -> Result<(), String> {
    super::names::check_cgroup(text)?;
    let names: Vec<&str> = text.split('/').collect();
    let is_whole = !names.contains(&"");
    let stars = names.iter().filter(|name| **name == "**").count();
    if !is_whole || stars > DOUBLE_STARS_MAX || names.iter().any(|name| name.contains("**") && *name != "**") {
        return Err(format!(
            "`{text}` is no pattern: write names with `/` between them, and `**` for a whole name, at most {DOUBLE_STARS_MAX} times"
        ));
    }
    if names.iter().all(|name| *name == "**") {
        return Err(format!("`{text}` is every cgroup of the host: begin with a name"));
    }
    Ok(())
}

fn check_unit(text: &str) -> Result<(), String> {
    let known = [".service", ".scope", ".slice"].iter().any(|kind| text.ends_with(kind));
    if known && !text.contains('/') {
        return Ok(());
    }
    Err(format!("`{text}` is no unit with processes: write one such as `agent@*.service`"))
}

fn check_container(text: &str) -> Result<(), String> {
    if (CONTAINER_ID_CHARS_MIN..=64).contains(&text.len()) && is_lower_hex(text) {
        return Ok(());
    }
    Err(format!("`{text}` is no container id: write {CONTAINER_ID_CHARS_MIN} to 64 of 0-9, a-f, from its beginning"))
}

fn check_pod(text: &str) -> Result<(), String> {
    if matches!(text.len(), 32 | 36) && is_lower_hex(&text.replace('-', "")) {
        return Ok(());
    }
    Err(format!("`{text}` is no pod uid: write all of `metadata.uid`"))
}

fn check_exe(text: &str) -> Result<(), String> {
    let path =
        text.strip_prefix('/').ok_or_else(|| format!("`{text}` is not absolute: write the executable's path"))?;
    check_cgroup(path).map_err(|_| format!("`{text}` is no pattern of a path: write one such as `/usr/bin/python3*`"))
}

fn check_sha256(text: &str) -> Result<(), String> {
    if text.len() == 64 && is_lower_hex(&text.to_ascii_lowercase()) {
        return Ok(());
    }
    Err(format!("`{text}` is no SHA-256: write the 64 hexadecimal digits that `sha256sum` prints"))
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use crate::config::{
        Config, ConfigProblems,
        settings::{Depth, parse},
    };
    use std::path::Path;

    fn read(select: &str) -> Result<Config, ConfigProblems> {
        let text = format!(
            "trust_domain = \"example.org\"\n[[workload]]\nname = \"a\"\n[[workload.select]]\n{select}\n[policy]\npaths = [\"p\"]\n"
        );
        parse(Path::new("/etc/portreeve/portreeve.toml"), &text, Depth::TextOnly)
    }

    fn check_problem(select: &str, expected: &str) {
        let problems = format!("{}", read(select).expect_err(select));
        assert!(problems.contains(expected), "{select}: {problems}");
        assert!(problems.contains("workload[1].select[1]"), "{select}: {problems}");
    }

    #[test]
    fn a_workload_may_have_selectors_instead_of_a_cgroup() {
        for select in [
            "cgroup = \"agents/**\"",
            "unit = \"agent@*.service\"\nuid = 1000",
            "user_unit = \"agent.service\"\nuid = 1000",
            "container = \"3f4e1a0b5c6d\"\nexe = \"/usr/bin/python3*\"",
            "pod = \"0b6a7a2e-7f39-4a36-9d1c-0c7f3a4b5c6d\"",
        ] {
            let workload = read(select).unwrap().workloads.remove(0);
            assert_eq!((workload.cgroup, workload.selects.len()), (None, 1), "{select}");
        }
    }

    #[test]
    fn a_selector_that_cannot_be_meant_is_told() {
        check_problem("uid = 1000", "chooses no cgroup");
        check_problem("exe = \"/bin/sh\"", "chooses no cgroup");
        check_problem("cgroup = \"/agents\"", "is absolute");
        check_problem("cgroup = \"**\"", "every cgroup");
        check_problem("cgroup = \"a/x**\"", "is no pattern");
        check_problem("unit = \"agent\"", "is no unit");
        check_problem("user_unit = \"agent.service\"", "without `uid`");
        check_problem("container = \"3f4e1a\"", "is no container id");
        check_problem("pod = \"0b6a\"", "is no pod uid");
        check_problem("unit = \"a.service\"\nexe = \"python\"", "is not absolute");
        check_problem("unit = \"a.service\"\nsha256 = \"ab\"", "is no SHA-256");
        check_problem("units = \"a.service\"", "did you mean `unit`?");
    }
}
