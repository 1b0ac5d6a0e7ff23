//! What a trick is: the statements, what they are after, and how the recording must explain that it did not happen.

use portreeve_tests::servers::Flavour;

/// Nothing that an agent reads may hold it in any form: it stands in rows, defaults and comments of the schema `vault`, in a
/// file beside the server's data, and in no trick.
pub(crate) const SECRET: &str = "hunter2-zq81";
/// The secret of whoever reads numbers only.
pub(crate) const PIN: &str = "73194628";

/// What a trick is after. It happened when…
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// … [`SECRET`] or [`PIN`] was in any byte sent to the agent, as it is or encoded.
    Leaks,
    /// … this text was.
    Shows(&'static str),
    /// … this query, asked of the server by somebody else while the session is open, no longer gives what it gave before.
    Changes(&'static str),
    /// … the last statement was answered with anything but an error.
    Runs,
    /// … it was, and not within so many milliseconds.
    Waits(u128),
    /// … this file is beside the server's data.
    File(&'static str),
}

/// One trick.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Its entry in the catalogue, or `-` for one that is not in it.
    pub(crate) id: &'static str,
    /// The server that it is for; none means both.
    pub(crate) on: Option<Flavour>,
    /// Sent one after the other, whatever becomes of each. `{dir}` stands for the folder of [`Effect::File`].
    pub(crate) statements: Vec<Vec<u8>>,
    pub(crate) effect: Effect,
    /// What the recorded reason says, unless it says that the text was not read.
    pub(crate) why: &'static str,
    /// Whether it is tried directly as well. A trick that ends the server is not, nor one that fails there.
    pub(crate) direct: bool,
    /// Whether any of it must be denied: the harmless part of some tricks may well run.
    pub(crate) denied: bool,
    /// Run at the server behind the direct attempt, besides what puts both schemas back.
    pub(crate) undo: &'static str,
    /// The collation that the client announces.
    pub(crate) collation: u16,
}

impl Case {
    fn new<S: AsRef<[u8]>>(name: &'static str, id: &'static str, effect: Effect, statements: &[S]) -> Self {
        Self {
            name,
            id,
            on: None,
            statements: statements.iter().map(|text| text.as_ref().to_vec()).collect(),
            effect,
            why: "shop-db/vault",
            direct: true,
            denied: true,
            undo: "",
            collation: portreeve_tests::wire::COLLATION.into(),
        }
    }

    pub(crate) fn leaks<S: AsRef<[u8]>>(name: &'static str, id: &'static str, statements: &[S]) -> Self {
        Self::new(name, id, Effect::Leaks, statements)
    }

    pub(crate) fn shows<S: AsRef<[u8]>>(
        name: &'static str,
        id: &'static str,
        text: &'static str,
        statements: &[S],
    ) -> Self {
        Self::new(name, id, Effect::Shows(text), statements)
    }

    pub(crate) fn changes<S: AsRef<[u8]>>(
        name: &'static str,
        id: &'static str,
        query: &'static str,
        statements: &[S],
    ) -> Self {
        Self::new(name, id, Effect::Changes(query), statements)
    }

    /// A statement that must not run; `why` is the action that it lacks.
    pub(crate) fn runs<S: AsRef<[u8]>>(
        name: &'static str,
        id: &'static str,
        why: &'static str,
        statements: &[S],
    ) -> Self {
        Self { why, ..Self::new(name, id, Effect::Runs, statements) }
    }

    pub(crate) fn waits(name: &'static str, id: &'static str, ms: u128, why: &'static str, statement: &str) -> Self {
        Self { why, ..Self::new(name, id, Effect::Waits(ms), &[statement]) }
    }

    pub(crate) fn file(name: &'static str, id: &'static str, file: &'static str, statements: &[&str]) -> Self {
        Self::new(name, id, Effect::File(file), statements)
    }

    pub(crate) fn mariadb(self) -> Self {
        Self { on: Some(Flavour::MariaDb), ..self }
    }

    pub(crate) fn mysql(self) -> Self {
        Self { on: Some(Flavour::MySql), ..self }
    }

    pub(crate) fn why(self, why: &'static str) -> Self {
        Self { why, ..self }
    }

    pub(crate) fn undo(self, undo: &'static str) -> Self {
        Self { undo, ..self }
    }

    pub(crate) fn collation(self, collation: u16) -> Self {
        Self { collation, ..self }
    }

    /// Not tried directly, for a reason that stands beside it.
    pub(crate) fn not_directly(self) -> Self {
        Self { direct: false, ..self }
    }

    /// What this server reads of it does no harm, so that it may run.
    pub(crate) fn harmless(self) -> Self {
        Self { denied: false, direct: false, ..self }
    }

    /// Whether what it leaves at the server needs the schemas to be made anew.
    pub(crate) fn leaves_something(&self) -> bool {
        const WORDS: [&str; 7] = ["CREATE", "ALTER", "DROP", "RENAME", "TRUNCATE", "LOAD", "COMMIT"];
        self.have_word(&WORDS)
    }

    /// Whether it changes rows and nothing else: a transaction around it undoes that.
    pub(crate) fn changes_rows_only(&self) -> bool {
        self.changes_rows() && !self.leaves_something()
    }

    fn changes_rows(&self) -> bool {
        self.have_word(&["INSERT", "REPLACE", "UPDATE", "DELETE"])
    }

    fn have_word(&self, words: &[&str]) -> bool {
        let texts = self.statements.iter().map(|text| String::from_utf8_lossy(text).to_uppercase());
        texts.filter(|text| !text.starts_with("SHOW")).any(|text| words.iter().any(|word| text.contains(word)))
    }
}
