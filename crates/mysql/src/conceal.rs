//! Ways round the gateway that a server tells: the Rust crates `mysql` and `mysql_async` ask for `@@socket` and leave by it.
//!
//! They are concealed by name. That keeps connectors on the intercepted path, which ask without knowing; a statement made
//! up to get at the value (by an alias, say) gets it, and then needs a way to the socket, which is not given here.

mod column;
mod plan;

pub use plan::Plan;

use crate::tracking::starts_with_ignoring_case;

pub(crate) use column::ColumnDefinition;

/// The variables, in lower case.
const VARIABLES: [&[u8]; 7] =
    [b"socket", b"extra_port", b"admin_port", b"admin_address", b"mysqlx_port", b"mysqlx_socket", b"redirect_url"];
/// What a statement that asks for one has in it (`socket` stands for `mysqlx_socket` too; `variables` for SHOW VARIABLES and
/// the tables behind it), with the place of the letter that is the rarest in statements: `k`, `v` or `_`.
const MENTIONS: [(&[u8], usize); 7] = [
    (b"socket", 3),
    (b"variables", 0),
    (b"extra_port", 5),
    (b"admin_port", 5),
    (b"admin_address", 5),
    (b"mysqlx_port", 6),
    (b"redirect_url", 8),
];

/// Whether a statement may ask for one of the variables: its answer is then worth looking at. Says yes rather too often.
#[must_use]
pub fn is_mentioned(sql: &[u8]) -> bool {
    sql.iter().enumerate().any(|(at, byte)| {
        matches!(byte, b'k' | b'K' | b'v' | b'V' | b'_')
            && MENTIONS.iter().any(|(name, rarest)| {
                let from = at.checked_sub(*rarest).and_then(|start| sql.get(start..));
                from.is_some_and(|from| starts_with_ignoring_case(from, name))
            })
    })
}

/// Whether that is the name of one of the variables.
pub(crate) fn is_variable(name: &[u8]) -> bool {
    VARIABLES.iter().any(|variable| variable.eq_ignore_ascii_case(name))
}
