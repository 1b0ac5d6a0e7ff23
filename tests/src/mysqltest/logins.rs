//! Which accounts a test logs in as, by its text.

use std::collections::BTreeSet;

/// Every account in `connect` and `change_user` that is not `root` without a password, as `user` or `root with a password`.
pub(super) fn in_text(text: &str) -> BTreeSet<String> {
    let mut accounts = BTreeSet::new();
    for line in text.lines() {
        let line = line.trim_start().trim_start_matches("--").trim_start();
        let login = if let Some(rest) = behind(line, "connect") {
            // connect (name, host, user, password, …), with or without parentheses; not `connection name`.
            rest.starts_with([' ', '\t', '(']).then(|| fields(rest.trim_start().trim_start_matches('('), 2))
        } else {
            // change_user user, password, database
            behind(line, "change_user ").map(|rest| fields(rest, 0))
        };
        match login {
            None => {}
            Some((user, _)) if !matches!(user, "" | "root" | "'root'") => drop(accounts.insert(user.to_owned())),
            Some((_, "")) => {}
            Some(_) => drop(accounts.insert("root with a password".to_owned())),
        }
    }
    accounts
}

/// What follows a command; mysqltest does not mind its case.
fn behind<'a>(line: &'a str, command: &str) -> Option<&'a str> {
    let (start, rest) = line.split_at_checked(command.len())?;
    start.eq_ignore_ascii_case(command).then_some(rest)
}

/// A user and the password behind it, after so many other fields.
fn fields(text: &str, before: usize) -> (&str, &str) {
    let text = text.split([')', ';']).next().unwrap_or_default();
    let mut fields = text.split(',').skip(before).map(str::trim);
    let user = fields.next().unwrap_or_default();
    (user, fields.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_accounts_are_found() {
        let check = |line: &str, expected: &[&str]| {
            assert_eq!(in_text(line).into_iter().collect::<Vec<_>>(), expected, "{line}");
        };
        check("connect (con1,localhost,root,,);", &[]);
        check("connect(con1, localhost, root);", &[]);
        check("connect (con1,localhost,user1,,test);", &["user1"]);
        check("--connect (con1,localhost,root,secret,test)", &["root with a password"]);
        check("  connect  (con1,127.0.0.1,u,p,test,$PORT,);", &["u"]);
        check("--connect x,localhost,foo", &["foo"]);
        check("CONNECT (con1,localhost,Foo,,test);", &["Foo"]);
        check("change_user user_1,,test;", &["user_1"]);
        check("change_user root,,test;", &[]);
        check("change_user;", &[]);
        check("connection con1;", &[]);
    }
}
