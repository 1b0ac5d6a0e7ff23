//! Takes the statements out of a test of MariaDB's suite, as mysqltest does (`client/mysqltest.cc`, `read_line`).

/// Commands of mysqltest: what starts with one of them is no statement, or one with variables in it.
const COMMANDS: &[&str] = &[
    "append_file",
    "assert",
    "cat_file",
    "change_user",
    "character_set",
    "chmod",
    "connect",
    "connection",
    "copy_file",
    "copy_files_wildcard",
    "dec",
    "die",
    "diff_files",
    "dirty_close",
    "disconnect",
    "echo",
    "end",
    "end_timer",
    "error",
    "eval",
    "evalp",
    "eval_p",
    "exec",
    "execw",
    "exit",
    "file_exists",
    "horizontal_results",
    "if",
    "inc",
    "let",
    "list_files",
    "list_files_append_file",
    "list_files_write_file",
    "lowercase_result",
    "mkdir",
    "move_file",
    "optimizer_trace",
    "output",
    "partially_sorted_result",
    "perl",
    "ping",
    "ps_bind",
    "ps_close",
    "ps_execute",
    "ps_prepare",
    "query",
    "query_get_value",
    "query_horizontal",
    "query_vertical",
    "real_sleep",
    "reap",
    "remove_file",
    "remove_files_wildcard",
    "replace_column",
    "replace_numeric_round",
    "replace_regex",
    "replace_result",
    "require",
    "reset_connection",
    "result",
    "result_format",
    "rmdir",
    "save_master_pos",
    "send",
    "send_eval",
    "send_quit",
    "send_shutdown",
    "shutdown_server",
    "skip",
    "sleep",
    "sorted_result",
    "source",
    "start_timer",
    "sync_slave_with_master",
    "sync_with_master",
    "system",
    "vertical_results",
    "wait_for_slave_to_stop",
    "while",
    "write_file",
];

/// The statements of `test`, in its order.
pub(crate) fn statements(test: &[u8]) -> Vec<Vec<u8>> {
    let mut split = Split { rest: test, delimiter: b";".to_vec() };
    let mut found = Vec::new();
    while let Some(command) = split.command() {
        found.extend(split.statement(command));
    }
    found
}

struct Split<'t> {
    rest: &'t [u8],
    delimiter: Vec<u8>,
}

impl<'t> Split<'t> {
    /// The next command without its delimiter; one line where it starts with `--`.
    fn command(&mut self) -> Option<&'t [u8]> {
        self.rest = self.rest.trim_ascii_start();
        match self.rest {
            [] => None,
            [b'{' | b'}', rest @ ..] => {
                self.rest = rest;
                Some(&[])
            }
            [b'#', ..] => self.line().map(|_| &[][..]),
            [b'-', b'-', ..] => {
                let line = self.line()?;
                let command = line.get(2..).unwrap_or_default().trim_ascii();
                Some(if word(command) == "delimiter" { command } else { self.skip_file(command) })
            }
            _ => Some(self.delimited()),
        }
    }

    fn line(&mut self) -> Option<&'t [u8]> {
        let end = self.rest.iter().position(|byte| *byte == b'\n').unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        Some(line)
    }

    fn delimited(&mut self) -> &'t [u8] {
        // A block's condition ends with its brace.
        if matches!(word(self.rest).as_str(), "if" | "while") {
            self.line();
            return &[];
        }
        let (mut at, mut quote) = (0, None);
        while let Some(byte) = self.rest.get(at) {
            match (quote, byte) {
                (_, b'\\') => at += 1,
                (Some(open), byte) if open == *byte => quote = None,
                (None, b'\'' | b'"' | b'`') => quote = Some(*byte),
                (None, _) if self.rest.get(at..).is_some_and(|rest| rest.starts_with(&self.delimiter)) => break,
                _ => {}
            }
            at += 1;
        }
        let at = at.min(self.rest.len());
        let command = self.rest.get(..at).unwrap_or_default();
        self.rest = self.rest.get(at + self.delimiter.len()..).unwrap_or_default();
        self.skip_file(command)
    }

    /// Passes the lines that `perl` and `write_file` take, up to their last line.
    fn skip_file(&mut self, command: &'t [u8]) -> &'t [u8] {
        if matches!(word(command).as_str(), "perl" | "write_file" | "append_file") {
            let last = command.split(u8::is_ascii_whitespace).skip(1).last().unwrap_or_default();
            let last = if last.is_empty() || word(command) != "perl" && last.contains(&b'/') { b"EOF" } else { last };
            self.line();
            while let Some(line) = self.line() {
                if self.rest.is_empty() || line.trim_ascii() == last {
                    break;
                }
                self.rest = self.rest.get(1..).unwrap_or_default();
            }
        }
        command
    }

    /// The statement that a command is, if it is one.
    fn statement(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        let command = command.trim_ascii();
        let first = word(command);
        if first == "delimiter" {
            let new = command.get(first.len()..).unwrap_or_default().trim_ascii();
            self.delimiter = new.strip_suffix(b";").filter(|rest| !rest.is_empty()).unwrap_or(new).to_vec();
            return None;
        }
        let own = COMMANDS.contains(&first.as_str()) || first.starts_with("enable_") || first.starts_with("disable_");
        (!command.is_empty() && !own && !command.starts_with(b"--") && !command.starts_with(b"$"))
            .then(|| command.to_vec())
    }
}

/// The word that `text` starts with, in lower case.
fn word(text: &[u8]) -> String {
    let letters = text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_');
    letters.map(|byte| char::from(byte.to_ascii_lowercase())).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn statements_are_those_that_mysqltest_sends() {
        let test = "# comment;\n--echo x; y\nSELECT 1; select ';'\n+ 1;\nlet $a= 1;\neval SELECT $a;\nif ($a)\n{\n  SELECT 2;\n}\n\
             DELIMITER //;\nCREATE PROCEDURE p() BEGIN SELECT 3; END//\n--delimiter ;\nperl;\nprint 'it';\nEOF\nSELECT 4;\n\
             --write_file $x/a.txt\nSELECT 5;\nEOF\nSELECT 6";
        let found = super::statements(test.as_bytes());
        let found: Vec<_> = found.iter().map(|statement| String::from_utf8_lossy(statement).into_owned()).collect();
        let expected = [
            "SELECT 1",
            "select ';'\n+ 1",
            "SELECT 2",
            "CREATE PROCEDURE p() BEGIN SELECT 3; END",
            "SELECT 4",
            "SELECT 6",
        ];
        assert_eq!(found, expected);
    }
}
