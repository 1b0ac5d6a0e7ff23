//! Rules about source files.

use super::{Problem, Tree};
use crate::limits::{FILE_LINES_MAX, MAIN_LINES_MAX};

/// No Rust file is longer than a reader's patience, a program's `main.rs` least of all.
pub(super) fn size(tree: &Tree) -> Vec<Problem> {
    let too_long = |(path, text): (&str, &str)| {
        let lines = text.lines().count();
        let most = if path.ends_with("/src/main.rs") { MAIN_LINES_MAX } else { FILE_LINES_MAX };
        (lines > most)
            .then(|| Problem::file(path, format!("{lines} lines, at most {most}: it holds more than one noun")))
    };
    tree.ending(".rs").filter_map(too_long).collect()
}

/// Nothing is left for later in code: an issue is the place for that.
pub(super) fn unfinished(tree: &Tree) -> Vec<Problem> {
    // Written in halves, so that this file does not name them.
    let marks = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("#[", "ignore"), concat!("dbg", "!(")];
    lines(tree, ".rs", |line| {
        let mark = marks.iter().find(|mark| line.contains(**mark))?;
        Some(format!("`{mark}`: finish it, or leave it out"))
    })
}

/// style.md, habit 7: unsafe in few rooms. `abi` is plain data for the kernel programs.
pub(super) fn forbids_unsafe(tree: &Tree) -> Vec<Problem> {
    let pure =
        tree.ending("/src/lib.rs").filter(|(path, _)| path.starts_with("crates/") && !path.starts_with("crates/abi/"));
    let lacking = pure.filter(|(_, text)| !text.contains("#![forbid(unsafe_code)]"));
    lacking.map(|(path, _)| Problem::file(path, "`#![forbid(unsafe_code)]` is missing")).collect()
}

/// Text ends where it ends.
pub(super) fn white_space(tree: &Tree) -> Vec<Problem> {
    let kinds = [".rs", ".toml", ".md", ".cedar", ".cedarschema", ".sh", ".py", ".js", ".ci/run", "Vagrantfile"];
    let trailing = |line: &str| line.ends_with([' ', '\t']).then(|| "white space at the end".to_owned());
    kinds.iter().flat_map(|kind| lines(tree, kind, trailing)).collect()
}

fn lines(tree: &Tree, end: &str, broken: impl Fn(&str) -> Option<String>) -> Vec<Problem> {
    let broken = &broken;
    let in_file = |(path, text): (&str, &str)| {
        let found =
            text.lines().enumerate().filter_map(|(index, line)| Some(Problem::line(path, index, broken(line)?)));
        found.collect::<Vec<_>>()
    };
    tree.ending(end).flat_map(in_file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_a_longest_length() {
        let longest = "\n".repeat(FILE_LINES_MAX);
        assert_eq!(size(&Tree::of(&[("crates/mysql/src/a.rs", &longest)])), []);
        assert_eq!(size(&Tree::of(&[("crates/mysql/src/a.rs", &format!("{longest}\n"))])).len(), 1);
        assert_eq!(size(&Tree::of(&[("xtask/src/main.rs", &longest)])).len(), 1);
        assert_eq!(size(&Tree::of(&[("docs/long.md", &longest.repeat(2))])), []);
    }

    #[test]
    fn unfinished_code_is_named_with_its_line() {
        let text = format!("fn a() {{\n    {}(\"x\")\n}}\n", concat!("todo", "!"));
        assert_eq!(unfinished(&Tree::of(&[("a.rs", &text)])).first().unwrap().line, Some(2));
        assert_eq!(unfinished(&Tree::of(&[("a.md", &text)])), []);
    }

    #[test]
    fn pure_crates_forbid_unsafe() {
        assert_eq!(forbids_unsafe(&Tree::of(&[("crates/policy/src/lib.rs", "mod a;")])).len(), 1);
        assert_eq!(forbids_unsafe(&Tree::of(&[("crates/policy/src/lib.rs", "#![forbid(unsafe_code)]")])), []);
        assert_eq!(forbids_unsafe(&Tree::of(&[("crates/abi/src/lib.rs", "")])), []);
    }

    #[test]
    fn white_space_at_the_end_is_found() {
        assert_eq!(
            white_space(&Tree::of(&[("a.md", "good\nbad \n\tgood\n")])),
            [Problem::line("a.md", 1, "white space at the end")]
        );
    }
}
