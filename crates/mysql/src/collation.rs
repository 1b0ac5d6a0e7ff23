//! Collation ids, as a login names them.

use mysql_common::collations::{Collation, CollationId};

/// The character set of a collation, by the id that a login carries; `None` for ids that neither MySQL nor MariaDB
/// compiles in.
///
/// It decides how the server reads the bytes of every statement (`character_set_client`).
#[must_use]
pub fn character_set(collation: impl Into<u16>) -> Option<&'static str> {
    let found = Collation::resolve(CollationId::from(collation.into()));
    (found.id() != CollationId::UNKNOWN_COLLATION_ID).then_some(found.charset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_character_sets_of_the_servers() {
        // SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS
        for (id, name) in
            [(8_u16, "latin1"), (28, "gbk"), (33, "utf8mb3"), (45, "utf8mb4"), (63, "binary"), (255, "utf8mb4")]
        {
            let found = character_set(id);
            assert!(found == Some(name) || (name == "utf8mb3" && found == Some("utf8")), "{id}: {found:?}");
        }
        assert_eq!(character_set(0_u16), None);
    }
}
