//! What a test left behind, and how two of them differ.

use anyhow::{Context as _, Result};
use std::{borrow::Cow, fs, io, os::unix::ffi::OsStrExt as _, path::Path};

/// The exit status with which mysqltest says that a test skips itself.
const SKIPPED: i32 = 62;

/// What a test printed, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The exit status of mysqltest; none when it was killed for taking too long.
    pub status: Option<i32>,
    /// The output: statements, results, warnings, errors; client ports as `#`.
    pub text: Vec<u8>,
    /// What mysqltest complained about, and why it gave up if it did.
    pub complaints: Vec<u8>,
}

impl Output {
    /// What is in the folder of a test; all empty when there is none.
    pub fn read(folder: &Path) -> Result<Self> {
        let status = String::from_utf8_lossy(&read(&folder.join("status"))?).trim().parse().ok();
        // The log is what a test printed until its end, whatever end that was.
        let (text, complaints) = (read(&folder.join("output.log"))?, read(&folder.join("complaints"))?);
        let here = folder.as_os_str().as_bytes();
        Ok(Self { status, text: comparable(&text, here), complaints: comparable(&complaints, here) })
    }

    /// With one text for a login that the server refuses: the gateway tells it in its own words, because the server's name the
    /// held account. A test that is run as root may lock root out.
    pub(super) fn with_refusals_alike(mut self) -> Self {
        for text in [&mut self.text, &mut self.complaints] {
            let lines = text.split_inclusive(|&byte| byte == b'\n');
            *text = lines.flat_map(|line| refusal_alike(line).into_owned()).collect();
        }
        self
    }

    /// With `#` for every date and time: `2026-11-24 15:24:06`, `2026-11-24 15:24:06.25`.
    pub(super) fn without_times(mut self) -> Self {
        for text in [&mut self.text, &mut self.complaints] {
            *text = without_times(text);
        }
        self
    }

    /// Whether the test found that it cannot run on such a server.
    pub fn skipped_itself(&self) -> bool {
        self.status == Some(SKIPPED)
    }

    /// Whether it was killed for taking too long.
    pub fn timed_out(&self) -> bool {
        self.status.is_none()
    }
}

/// Without what is not compared: ports of clients, which the kernel chooses and `SHOW PROCESSLIST` tells, the time before a
/// line of a server's log, and the folder of this output, which mysqltest names when a test fails. The folders of servers,
/// their port and time zone are the same in every run.
fn comparable(text: &[u8], here: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        push_without_ports(&mut kept, &without(without_time(line), here));
    }
    kept
}

/// `Access denied for user … (using password: NO)`, and `Access denied by portreeve: … (session …)`.
fn refusal_alike(line: &[u8]) -> Cow<'_, [u8]> {
    const SAID: [(&str, &str); 2] = [
        ("Access denied for user ", "(using password: NO)"),
        ("Access denied by portreeve: the gateway could not log in to server ", ")"),
    ];
    let Ok(text) = std::str::from_utf8(line) else { return Cow::Borrowed(line) };
    for (start, end) in SAID {
        let Some((before, rest)) = text.split_once(start) else { continue };
        // The gateway's ends with its session.
        let rest = rest.split_once("(session ").map_or(rest, |(_, session)| session);
        if let Some((_, behind)) = rest.split_once(end) {
            return Cow::Owned(format!("{before}Access denied{behind}").into_bytes());
        }
    }
    Cow::Borrowed(line)
}

fn without<'a>(line: &'a [u8], part: &[u8]) -> Cow<'a, [u8]> {
    match line.windows(part.len()).position(|window| window == part) {
        Some(at) => {
            let behind = line.get(at + part.len()..).unwrap_or_default();
            Cow::Owned([line.get(..at).unwrap_or_default(), &without(behind, part)].concat())
        }
        None => Cow::Borrowed(line),
    }
}

/// A line of a server's log begins with `2026-11-24 15:24:06 0 [`.
fn without_time(line: &[u8]) -> &[u8] {
    match after_time(line).and_then(|rest| rest.strip_prefix(b" ")) {
        Some(rest) if rest.contains(&b'[') => rest,
        _ => line,
    }
}

fn without_times(mut text: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(text.len());
    while let Some((&first, behind)) = text.split_first() {
        match after_time(text) {
            Some(rest) => {
                kept.push(b'#');
                let fraction = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
                text = rest.get(fraction..).unwrap_or_default();
            }
            None => {
                kept.push(first);
                text = behind;
            }
        }
    }
    kept
}

/// What is behind a date and time that `text` begins with.
fn after_time(text: &[u8]) -> Option<&[u8]> {
    const TIME: &[u8] = b"dddd-dd-dd dd:dd:dd";
    let is_time = |(&byte, &wanted): (&u8, &u8)| if wanted == b'd' { byte.is_ascii_digit() } else { byte == wanted };
    let (time, rest) = text.split_at_checked(TIME.len())?;
    time.iter().zip(TIME).all(is_time).then_some(rest)
}

fn push_without_ports(kept: &mut Vec<u8>, mut rest: &[u8]) {
    const BEFORE: [&[u8]; 3] = [b"localhost:", b"127.0.0.1:", b"::1:"];
    while let Some((&first, behind)) = rest.split_first() {
        kept.push(first);
        rest = behind;
        if first == b':' && BEFORE.iter().any(|before| kept.ends_with(before)) {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            kept.extend(if digits > 0 { &b"#"[..] } else { b"" });
            rest = rest.get(digits..).unwrap_or_default();
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(vec![]),
        read => read.with_context(|| format!("cannot read `{}`", path.display())),
    }
}

/// The first place where two outputs differ, for a person: status, or number and text of a line. None when they are equal.
pub fn first_difference(one: &Output, other: &Output) -> Option<String> {
    let lines = line_difference("output", &one.text, &other.text)
        .or_else(|| line_difference("complaints", &one.complaints, &other.complaints));
    if one.status == other.status {
        return lines;
    }
    let shown = |status: Option<i32>| status.map_or("killed after too long".into(), |status| format!("exit {status}"));
    let statuses = format!("{} and {}", shown(one.status), shown(other.status));
    Some(lines.map_or(statuses.clone(), |lines| format!("{statuses}; {lines}")))
}

fn line_difference(what: &str, one: &[u8], other: &[u8]) -> Option<String> {
    if one == other {
        return None;
    }
    let (mut ones, mut others) = (one.split(|&byte| byte == b'\n'), other.split(|&byte| byte == b'\n'));
    let mut number = 1;
    loop {
        let (line, other) = (ones.next(), others.next());
        if line != other {
            return Some(format!("{what}:{number}: {} ≠ {}", shown(line), shown(other)));
        }
        number += 1;
    }
}

fn shown(line: Option<&[u8]>) -> String {
    const SHOWN_CHARS: usize = 160;
    line.map_or("its end".into(), |line| {
        let text: String = String::from_utf8_lossy(line).chars().take(SHOWN_CHARS).collect();
        format!("`{text}`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(status: i32, text: &str) -> Output {
        Output { status: Some(status), text: text.into(), complaints: vec![] }
    }

    #[test]
    fn ports_of_clients_times_of_logs_and_the_folder_are_left_out() {
        let check =
            |text: &str, expected: &str| assert_eq!(comparable(text.as_bytes(), b"/out/a"), expected.as_bytes());
        check(
            "4\troot\tlocalhost:45064\tat localhost: 12, 127.0.0.1:1",
            "4\troot\tlocalhost:#\tat localhost: 12, 127.0.0.1:#",
        );
        check("a\n2026-11-24 15:24:06 0 [Warning] no\nb", "a\n0 [Warning] no\nb");
        check("2026-11-24 15:24:06 x\n", "2026-11-24 15:24:06 x\n");
        check("see /out/a/b and /out/a/c\n", "see /b and /c\n");
    }

    #[test]
    fn times_can_be_left_out_altogether() {
        let text = "made 2026-11-24 15:24:06.25\t2026-11-24\n2026-11-24 15:24:06";
        assert_eq!(output(0, text).without_times().text, b"made #\t2026-11-24\n#");
    }

    #[test]
    fn a_refused_login_is_the_same_in_whatever_words() {
        let server = "(1045): Access denied for user 'root'@'localhost' (using password: NO)\n";
        let gateway = "(1045): Access denied by portreeve: the gateway could not log in to server `mariadb` with the \
                       credential it holds; its log says why (session 01a20e88-c2b7-7470-aa03-f8d6ce6920c8)\n";
        for text in [server, gateway] {
            assert_eq!(output(1, text).with_refusals_alike(), output(1, "(1045): Access denied\n"));
        }
        let other = output(1, "Access denied; you need more\n");
        assert_eq!(other.clone().with_refusals_alike(), other);
    }

    #[test]
    fn the_first_differing_line_is_shown() {
        let check = |one: &Output, other: &Output, expected: Option<&str>| {
            assert_eq!(first_difference(one, other).as_deref(), expected);
        };
        check(&output(0, "a\nb\n"), &output(0, "a\nb\n"), None);
        check(&output(0, "a\nb\n"), &output(0, "a\nc\n"), Some("output:2: `b` ≠ `c`"));
        check(&output(0, "a"), &output(0, "a\nc"), Some("output:2: its end ≠ `c`"));
        check(&output(0, "a"), &output(1, "a"), Some("exit 0 and exit 1"));
    }
}
