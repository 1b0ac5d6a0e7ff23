//! Rules about documents.

use super::{Problem, Tree};
use std::collections::BTreeSet;

/// Every relative link of every Markdown file leads somewhere inside the tree.
pub(super) fn links(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in tree.ending(".md") {
        let mut code = false;
        for (index, line) in text.lines().enumerate() {
            code ^= line.trim_start().starts_with("```");
            if code {
                continue;
            }
            let broken = targets(line).filter(|target| !resolve(path, target).is_some_and(|there| tree.has(&there)));
            problems
                .extend(broken.map(|target| Problem::line(path, index, format!("the link `{target}` leads nowhere"))));
        }
    }
    problems
}

/// The files that a line links to, without their anchors; links within the page and to the web are not ours to check.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let links = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let files = links.filter(|link| !link.contains("://") && !link.starts_with("mailto:"));
    files.filter_map(|link| link.split('#').next()).filter(|file| !file.is_empty())
}

/// The path from the root of the tree, or none when it leaves the tree.
fn resolve(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// ARCHITECTURE.md has a word for every folder at the top.
pub(super) fn architecture(tree: &Tree) -> Vec<Problem> {
    const PATH: &str = "ARCHITECTURE.md";
    let Some(text) = tree.text(PATH) else { return vec![Problem::file(PATH, "it is missing")] };
    let folders: BTreeSet<_> =
        tree.files.iter().filter_map(|(path, _)| path.split_once('/')).map(|(top, _)| top).collect();
    let unnamed = folders.into_iter().filter(|folder| !text.contains(&format!("{folder}/")));
    unnamed.map(|folder| Problem::file(PATH, format!("it does not mention `{folder}/`"))).collect()
}

/// Changes gather under a heading until a release takes them.
pub(super) fn changelog(tree: &Tree) -> Vec<Problem> {
    const PATH: &str = "CHANGELOG.md";
    match tree.text(PATH) {
        Some(text) if text.lines().any(|line| line.starts_with("## ") && line.contains("Unreleased")) => vec![],
        Some(_) => vec![Problem::file(PATH, "no heading `## Unreleased`")],
        None => vec![Problem::file(PATH, "it is missing")],
    }
}

/// MIT OR Apache-2.0: both texts are there.
pub(super) fn licences(tree: &Tree) -> Vec<Problem> {
    let missing = ["LICENSE-APACHE", "LICENSE-MIT"].into_iter().filter(|path| tree.text(path).is_none());
    missing.map(|path| Problem::file(path, "it is missing")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_link(line: &str, holds: bool) {
        let tree = Tree::of(&[("docs/a.md", line), ("docs/b.md", ""), ("xtask/src/main.rs", "")]);
        assert_eq!(links(&tree).is_empty(), holds, "{line}");
    }

    #[test]
    fn links_lead_somewhere() {
        check_link("[b](b.md) and [its part](b.md#part)", true);
        check_link("[a file](../xtask/src/main.rs), [a folder](../xtask)", true);
        check_link("[here](#part), [there](https://example.org/c.md), [who](mailto:a@b)", true);
        check_link("[gone](c.md)", false);
        check_link("[fine](b.md) [gone](c.md#part)", false);
        check_link("[outside](../../shared/design.md)", false);
        check_link("```\n[in code](c.md)\n```", true);
    }

    #[test]
    fn every_top_folder_is_in_the_architecture() {
        let files = [("ARCHITECTURE.md", "`xtask/` does chores"), ("xtask/a", ""), ("vagrant/b", "")];
        assert_eq!(
            architecture(&Tree::of(&files)),
            [Problem::file("ARCHITECTURE.md", "it does not mention `vagrant/`")]
        );
        assert_eq!(architecture(&Tree::of(&[])).len(), 1);
    }

    #[test]
    fn changelog_and_licences_are_there() {
        assert_eq!(changelog(&Tree::of(&[("CHANGELOG.md", "# Changes\n\n## Unreleased\n")])), []);
        assert_eq!(changelog(&Tree::of(&[("CHANGELOG.md", "# Unreleased")])).len(), 1);
        assert_eq!(licences(&Tree::of(&[("LICENSE-MIT", "")])), [Problem::file("LICENSE-APACHE", "it is missing")]);
    }
}
