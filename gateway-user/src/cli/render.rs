//! Records as people and programs read them.

use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use portreeve_recording::Text;
use uuid::Uuid;

pub(crate) mod host;
pub(crate) mod json;
pub(crate) mod text;

/// Characters of a statement in a line of text; the JSON form has all that is recorded.
const SQL_SHOWN_CHARS: usize = 2000;

/// The part of a session id that differs between sessions of the same minute: UUIDv7 begins with the time.
pub(crate) fn short_id(id: Uuid) -> String {
    let id = id.simple().to_string();
    id.get(id.len() - 8..).unwrap_or_default().to_owned()
}

/// A workload's name: its SPIFFE ID without scheme and trust domain.
pub(crate) fn workload_name(spiffe_id: &str) -> &str {
    spiffe_id.strip_prefix("spiffe://").and_then(|id| id.split_once('/')).map_or(spiffe_id, |(_, name)| name)
}

/// Whether `wanted`, a SPIFFE ID or a name, is the workload.
pub(crate) fn is_workload(wanted: &str, spiffe_id: Option<&str>) -> bool {
    spiffe_id.is_some_and(|id| id == wanted || workload_name(id) == wanted)
}

/// A time of a record, UTC, with `digits` of a second's fraction (RFC 3339).
pub(crate) fn time(unix_ns: u64, digits: usize) -> String {
    match Timestamp::from_nanosecond(i128::from(unix_ns)) {
        Ok(time) => format!("{time:.digits$}"),
        // Beyond the year 9999: only a file that was made up says so.
        Err(_) => format!("{unix_ns}ns"),
    }
}

/// A duration in the unit that shows its size.
pub(crate) fn duration(ns: u64) -> String {
    let seconds = ns as f64 / 1e9;
    match ns {
        0..1_000_000 => format!("{:.0} µs", ns as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        1_000_000_000..60_000_000_000 => format!("{seconds:.1} s"),
        _ => {
            let minutes = ns / 60_000_000_000;
            let (hours, minutes, seconds) = (minutes / 60, minutes % 60, ns / 1_000_000_000 % 60);
            if hours == 0 { format!("{minutes}m{seconds:02}s") } else { format!("{hours}h{minutes:02}m{seconds:02}s") }
        }
    }
}

/// Text that a client or server chose, so that it cannot move the cursor, colour the screen, hide a line or reverse one:
/// control and direction characters, backslashes, and bytes that are no UTF-8 are escaped.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\\' => out.push_str("\\\\"),
                '\n' | '\r' | '\t' => out.extend(char.escape_default()),
                _ if is_unsafe(char) => out.extend(char.escape_unicode()),
                _ => out.push(char),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Text of several lines that does nothing to a terminal. Lines stay lines.
pub(crate) fn lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\n' | '\r' | '\t' => out.push(char),
            _ if is_unsafe(char) => out.extend(char.escape_unicode()),
            _ => out.push(char),
        }
    }
    out
}

/// A path, of which others may have chosen the names.
pub(crate) fn path(path: &Path) -> String {
    escape(path.as_os_str().as_encoded_bytes())
}

/// Characters that a terminal acts on: C0 and C1 controls, line separators, and what changes the direction of text.
pub(crate) fn is_unsafe(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A statement for one line: escaped, cut, and saying so.
pub(crate) fn sql(text: &Text<'_>) -> String {
    // Cut before escaping, so that a statement of a megabyte does not become four.
    let kept = text.kept();
    let shown = kept.get(..SQL_SHOWN_CHARS * 4).unwrap_or(kept);
    let mut line = escape(shown);
    let cut = line.char_indices().nth(SQL_SHOWN_CHARS).map(|(at, _)| at);
    if let Some(at) = cut {
        line.truncate(at);
    }
    if cut.is_some() || shown.len() < kept.len() || text.truncated {
        let _ = write!(line, "… ({} bytes)", text.length);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_escaped() {
        for (given, expected) in [
            (&b"SELECT 'a'"[..], "SELECT 'a'"),
            (b"a\x1b[31mb", r"a\u{1b}[31mb"),
            (b"a\nb\tc\r", r"a\nb\tc\r"),
            (b"a\\nb", r"a\\nb"),
            ("\u{9b}2J".as_bytes(), r"\u{9b}2J"),
            ("x\u{202e}y".as_bytes(), r"x\u{202e}y"),
            ("caf\u{e9}".as_bytes(), "café"),
            (b"caf\xe9!", r"caf\xe9!"),
            (b"\x7f\0", r"\u{7f}\u{0}"),
        ] {
            assert_eq!(escape(given), expected);
        }
    }

    #[test]
    fn long_statements_are_cut_and_say_so() {
        let long = "é".repeat(SQL_SHOWN_CHARS + 1);
        let shown = sql(&Text::of_bytes(long.as_bytes()));
        assert!(shown.ends_with(&format!("é… ({} bytes)", long.len())), "{shown}");
        assert_eq!(sql(&Text::of_bytes(&long.as_bytes()[2..])), long[2..]);
        let controls = [0x1b; 10 * SQL_SHOWN_CHARS];
        assert!(sql(&Text::of_bytes(&controls)).chars().count() < SQL_SHOWN_CHARS + 30);
    }

    #[test]
    fn a_workload_goes_by_name_and_by_spiffe_id() {
        let id = Some("spiffe://example.org/team/reporting");
        assert!(is_workload("team/reporting", id) && is_workload("spiffe://example.org/team/reporting", id));
        assert!(!is_workload("reporting", id) && !is_workload("team/reporting", None));
    }

    #[test]
    fn durations_have_the_unit_of_their_size() {
        for (ns, expected) in [
            (0, "0 µs"),
            (999_000, "999 µs"),
            (1_000_000, "1.0 ms"),
            (1_500_000_000, "1.5 s"),
            (61_000_000_000, "1m01s"),
            (3_661_000_000_000, "1h01m01s"),
        ] {
            assert_eq!(duration(ns), expected);
        }
    }
}
