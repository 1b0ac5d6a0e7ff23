//! Collation ids, as a login names them.

use mysql_common::collations::{Collation, CollationId};

/// What MariaDB adds to a collation's id for the one that does not pad with spaces (`MY_CS_NOPAD` variants since 10.2).
const NOPAD: u16 = 0x400;

/// The character set of a collation, by the id that a login (one byte) or a COM_CHANGE_USER (two) carries; `None` for ids
/// that neither MySQL nor MariaDB compiles in.
///
/// It decides how the server reads the bytes of every statement (`character_set_client`).
#[must_use]
pub fn character_set(collation: impl Into<u16>) -> Option<&'static str> {
    match collation.into() {
        // MariaDB's UCA 14.0.0: the character set is in bits 8 to 10 of the id (its strings/ctype-uca1400.h).
        0x800..=0x8FF => Some("utf8mb3"),
        0x900..=0x9FF => Some("utf8mb4"),
        0xA00..=0xAFF => Some("ucs2"),
        0xB00..=0xBFF => Some("utf16"),
        0xC00..=0xCFF => Some("utf32"),
        nopad @ NOPAD..=0x7FF => of_both_servers(nopad.wrapping_sub(NOPAD)),
        // MariaDB's Croatian, Myanmar, Thai, and since 11.5 general1400.
        576..=579 => Some("utf8mb3"),
        608..=611 => Some("utf8mb4"),
        640..=642 => Some("ucs2"),
        672..=674 => Some("utf16"),
        736..=738 => Some("utf32"),
        id => of_both_servers(id),
    }
}

fn of_both_servers(id: u16) -> Option<&'static str> {
    let found = Collation::resolve(CollationId::from(id));
    (found.id() != CollationId::UNKNOWN_COLLATION_ID).then_some(found.charset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_character_sets_of_the_servers() {
        // SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS
        for (id, name) in [
            (8_u16, "latin1"),
            (28, "gbk"),
            (33, "utf8mb3"),
            (45, "utf8mb4"),
            (63, "binary"),
            (255, "utf8mb4"),
            // From here on there are two bytes. MySQL:
            (256, "utf8mb4"),
            (323, "utf8mb4"),
            // MariaDB:
            (576, "utf8mb3"),
            (611, "utf8mb4"),
            (738, "utf32"),
            (1025, "big5"),
            (1052, "gbk"),
            (1057, "utf8mb3"),
            (1070, "utf8mb4"),
            (1270, "utf8mb4"),
            (2048, "utf8mb3"),
            (2304, "utf8mb4"),
            (2560, "ucs2"),
            (2816, "utf16"),
            (3072, "utf32"),
        ] {
            let found = character_set(id);
            assert!(found == Some(name) || (name == "utf8mb3" && found == Some("utf8")), "{id}: {found:?}");
        }
        for unknown in [0_u16, 575, 580, 739, 1024, 1023, 0x7FF, 0xD00, u16::MAX] {
            assert_eq!(character_set(unknown), None, "{unknown}");
        }
    }
}
