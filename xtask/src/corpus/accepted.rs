//! Which statements of MariaDB's suite the server itself takes: what it prepares without calling it a syntax error. Asked once,
//! kept in `target/corpus`.

use super::split;
use anyhow::{Context as _, Result, bail};
use portreeve_tests::{
    host, process,
    servers::{Flavour, Server},
};
use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// Preparing all of them takes about a minute.
const PREPARE_MAX: Duration = Duration::from_secs(1_200);

/// Longest statement that is asked about, in bytes.
const STATEMENT_BYTES_MAX: usize = 256 * 1024;

/// The errors of a client whose server has ended.
const GONE: [&str; 2] = ["ERROR 2013 ", "ERROR 2006 "];

/// The error of a client whose text is no syntax of the server's, and of one that is no text.
const REFUSED: [&str; 2] = ["ERROR 1064 ", "ERROR 1300 "];

/// The statements, each once, in the order of the files.
pub(super) fn statements(fresh: bool) -> Result<Vec<Vec<u8>>> {
    let kept = host::cargo_target().join("corpus").join("accepted");
    if fresh || !kept.exists() {
        let all = extract()?;
        let refused = refused(&all)?;
        let accepted = all.iter().enumerate().filter(|(at, _)| !refused.contains(at));
        let lines: Vec<_> = accepted.map(|(_, statement)| escape(statement)).collect();
        fs::create_dir_all(kept.parent().context("no folder for the corpus")?)?;
        fs::write(&kept, lines.join(&b'\n')).with_context(|| format!("cannot write `{}`", kept.display()))?;
    }
    let lines = fs::read(&kept).with_context(|| format!("cannot read `{}`", kept.display()))?;
    Ok(lines.split(|byte| *byte == b'\n').map(unescape).collect())
}

/// The test files of MariaDB's suite.
pub(crate) fn tests_of_mariadb() -> Result<Vec<PathBuf>> {
    let root = host::provisioned().join("mariadb-test/usr/share/mysql/mysql-test");
    let mut files = tests(&root.join("main"))?;
    for suite in folders(&root.join("suite"))? {
        files.extend(tests(&suite)?);
        files.extend(tests(&suite.join("t"))?);
    }
    if files.is_empty() {
        bail!("no tests in `{}`: run `cargo xtask setup`", root.display());
    }
    Ok(files)
}

/// The test files in a folder and in those below it.
pub(crate) fn tests_below(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = tests(root)?;
    for folder in folders(root)? {
        files.extend(tests_below(&folder)?);
    }
    Ok(files)
}

fn extract() -> Result<Vec<Vec<u8>>> {
    let files = tests_of_mariadb()?;
    let mut known = BTreeSet::new();
    let mut found = Vec::new();
    for file in files {
        let text = fs::read(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
        let new = split::statements(&text).into_iter().filter(|statement| statement.len() <= STATEMENT_BYTES_MAX);
        found.extend(new.filter(|statement| known.insert(statement.clone())));
    }
    Ok(found)
}

fn folders(root: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(root).with_context(|| format!("cannot list `{}`", root.display()))?;
    let mut found: Vec<_> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    found.retain(|path| path.is_dir());
    found.sort();
    Ok(found)
}

fn tests(folder: &Path) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut found: Vec<_> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    found.retain(|path| path.extension().is_some_and(|extension| extension == "test"));
    found.sort();
    Ok(found)
}

/// Which of them a MariaDB calls a syntax error. One on which the server ends is none that it takes: it is asked about the
/// rest anew.
fn refused(statements: &[Vec<u8>]) -> Result<BTreeSet<usize>> {
    let mut refused = BTreeSet::new();
    let mut from = 0;
    while let Some(rest) = statements.get(from..).filter(|rest| !rest.is_empty()) {
        let (errors, gone) = ask(rest)?;
        refused.extend(errors.into_iter().map(|at| from + at));
        let Some(gone) = gone else { break };
        refused.insert(from + gone);
        from += gone + 1;
    }
    Ok(refused)
}

/// The places of the syntax errors, and where the server ended, if it did. One statement a line, so that the client's errors
/// tell which.
fn ask(statements: &[Vec<u8>]) -> Result<(Vec<usize>, Option<usize>)> {
    let server = Server::mariadb()?;
    server.sql("CREATE DATABASE IF NOT EXISTS test")?;
    let mut script = String::new();
    for statement in statements {
        script.push_str("PREPARE s FROM _utf8mb4 0x");
        statement.iter().try_for_each(|byte| write!(script, "{byte:02x}"))?;
        script.push_str(";\n");
    }
    let path = host::cargo_target().join("corpus.sql");
    fs::write(&path, script).context("cannot write the script of the corpus")?;
    let mut command = Flavour::MariaDb.client()?;
    command
        .arg(format!("--socket={}", server.socket().display()))
        .args(["--user=root", "--batch", "--force", "--skip-reconnect", "--default-character-set=utf8mb4", "test"])
        .arg(format!("--execute=source {}", path.display()));
    let output = process::output(command, PREPARE_MAX)?;
    fs::remove_file(&path).context("cannot remove the script of the corpus")?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let place =
        |line: &str| line.split_once(" at line ")?.1.split([' ', ':']).next()?.parse::<usize>().ok()?.checked_sub(1);
    let gone = errors.lines().find(|line| GONE.iter().any(|code| line.starts_with(code))).and_then(place);
    let lines = errors.lines().filter(|line| REFUSED.iter().any(|code| line.starts_with(code)));
    let places: Option<Vec<_>> = lines.map(place).collect();
    Ok((places.context("an error without a line")?, gone))
}

fn escape(statement: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(statement.len());
    for byte in statement {
        match byte {
            b'\n' => line.extend(b"\\n"),
            b'\\' => line.extend(b"\\\\"),
            byte => line.push(*byte),
        }
    }
    line
}

fn unescape(line: &[u8]) -> Vec<u8> {
    let mut statement = Vec::with_capacity(line.len());
    let mut bytes = line.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if bytes.next() == Some(&b'n') => statement.push(b'\n'),
            byte => statement.push(*byte),
        }
    }
    statement
}
