//! What the Rust programs of the matrix share; the steps are those of tests/clients/README.md.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::env;

pub const KINDS: &str = "SELECT * FROM kinds ORDER BY id";
pub const KINDS_PREPARED: &str = "SELECT * FROM kinds WHERE id > ? ORDER BY id";
pub const NUMBERS: &str = "SELECT n FROM numbers ORDER BY n";
pub const COUNT: &str = "SELECT COUNT(*) FROM notes";
pub const MULTI: &str =
    "SELECT 1 AS one; UPDATE notes SET word = 'changed' WHERE word = 'kept'; SELECT word FROM notes";
pub const MISSING: &str = "SELECT * FROM not_there";
pub const DUPLICATE: &str = "INSERT INTO notes SELECT NULL, word FROM notes";
pub const MONKEYS: &str = "SELECT CAST('12 monkeys' AS SIGNED)";
pub const BIG: &str = "SELECT SHA2(body, 256), body FROM bodies WHERE id = 2";

/// What the program was told.
pub struct Given {
    pub host: String,
    pub user: String,
    pub password: String,
    pub schema: String,
    pub file: String,
    pub tls: bool,
}

impl Given {
    pub fn read() -> Self {
        let mut arguments = env::args().skip(1);
        let mut next = || arguments.next().expect("usage: HOST USER PASSWORD SCHEMA FILE");
        let (host, user, password, schema, file) = (next(), next(), next(), next(), next());
        Self { host, user, password, schema, file, tls: env::var("MATRIX_TLS").map_or(true, |value| value != "off") }
    }
}

/// Prints the line of a step.
pub fn tell(step: &str, facts: Value) {
    let mut line = json!({ "step": step });
    if let (Some(line), Value::Object(facts)) = (line.as_object_mut(), facts) {
        line.extend(facts);
    }
    println!("{line}");
}

/// Printable text as it is, anything else in hexadecimal digits.
pub fn plain(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => json!(text),
        _ => json!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}

pub fn big() -> Vec<u8> {
    (0..=255).cycle().take(20_480_000).collect()
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
