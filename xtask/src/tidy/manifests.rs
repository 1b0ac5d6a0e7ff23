//! Rules about dependencies.

use super::{Problem, Tree};

/// What a pure crate may not know (design §3): runtimes, the kernel, sockets.
const NOT_PURE: [&str; 5] = ["aya", "aya-log", "mio", "nix", "tokio"];

/// The crates below `crates/` depend on none of ours, nor on a runtime: they build, test and fuzz alone.
pub(super) fn pure_crates(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in tree.ending("/Cargo.toml").filter(|(path, _)| path.starts_with("crates/")) {
        for (index, name) in dependencies(text) {
            if NOT_PURE.contains(&name) || name.starts_with("portreeve") || name.starts_with("gateway") {
                problems.push(Problem::line(path, index, format!("`{name}`: a pure crate must not depend on it")));
            }
        }
    }
    problems
}

/// Versions stand once, in the workspace's manifest.
pub(super) fn workspace_versions(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    // Workspaces of their own.
    let own = ["fuzz/", "tests/clients/rust/"];
    for (path, text) in tree.ending("/Cargo.toml").filter(|(path, _)| own.iter().all(|own| !path.starts_with(own))) {
        for (index, line) in text.lines().enumerate() {
            let in_section = section(text, index).is_some_and(|name| name.ends_with("dependencies"));
            if in_section
                && line.contains('=')
                && !line.contains("workspace")
                && !line.contains("path =")
                && !line.starts_with('#')
            {
                problems.push(Problem::line(path, index, "a version belongs into the workspace's Cargo.toml"));
            }
        }
    }
    problems
}

/// Line index and name of every dependency that ships; tests may use what they like.
fn dependencies(manifest: &str) -> impl Iterator<Item = (usize, &str)> {
    manifest.lines().enumerate().filter_map(move |(index, line)| {
        let name = section(manifest, index)?;
        let ships = name.ends_with("dependencies") && !name.ends_with("dev-dependencies");
        let key = line.split(['=', '.', ' ']).next()?;
        (ships && line.contains('=') && !key.is_empty()).then_some((index, key))
    })
}

/// The table that a line of TOML is in.
fn section(manifest: &str, index: usize) -> Option<&str> {
    let before = manifest.lines().take(index + 1).collect::<Vec<_>>();
    let header = before.iter().rev().find(|line| line.starts_with('['))?;
    Some(header.trim_matches(['[', ']']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: fn(&Tree) -> Vec<Problem>, path: &str, text: &str, lines: &[usize]) {
        let found: Vec<_> = rule(&Tree::of(&[(path, text)])).into_iter().filter_map(|problem| problem.line).collect();
        assert_eq!(found, lines, "{path}: {text}");
    }

    #[test]
    fn pure_crates_know_no_runtime_and_no_sibling() {
        let path = "crates/policy/Cargo.toml";
        check(pure_crates, path, "[dependencies]\ntokio.workspace = true\nserde.workspace = true\n", &[2]);
        check(pure_crates, path, "[dependencies]\nportreeve-mysql.workspace = true\n", &[2]);
        check(pure_crates, path, "[dev-dependencies]\ntokio.workspace = true\n", &[]);
        check(pure_crates, path, "[target.'cfg(unix)'.dependencies]\nnix = { workspace = true }\n", &[2]);
        check(pure_crates, "gateway-user/Cargo.toml", "[dependencies]\ntokio.workspace = true\n", &[]);
    }

    #[test]
    fn versions_stand_in_the_workspace() {
        check(workspace_versions, "xtask/Cargo.toml", "[dependencies]\nserde = \"1\"\nclap.workspace = true\n", &[2]);
        check(workspace_versions, "fuzz/Cargo.toml", "[dependencies]\nserde = \"1\"\n", &[]);
        check(workspace_versions, "tests/clients/rust/Cargo.toml", "[dependencies]\nserde = \"1\"\n", &[]);
    }
}
