//! D15, D17, B015 to B022: character sets in which a backslash is half a character, and others in which white space is not
//! what it is.

use crate::case::Case;

/// `gbk_chinese_ci`, `big5_chinese_ci`, `sjis_japanese_ci`, `cp932_japanese_ci`, `swe7_swedish_ci`, `utf16_general_ci` is
/// refused by servers themselves.
const GBK: u16 = 28;
const BIG5: u16 = 1;
const SJIS: u16 = 13;
const CP932: u16 = 95;
const SWE7: u16 = 10;

pub(crate) fn cases() -> Vec<Case> {
    [by_set(), by_login(), spaces()].concat()
}

/// The string ends behind the backslash where that is the second half of a character.
fn half(lead: u8) -> Vec<u8> {
    [b"SELECT '", &[lead, b'\\'][..], b"', (SELECT password FROM vault.users LIMIT 1) -- '"].concat()
}

fn by_set() -> Vec<Case> {
    let with =
        |name: &'static str, set: &str, lead: u8| Case::leaks(name, "B015", &[set.as_bytes().to_vec(), half(lead)]);
    vec![
        with("gbk", "SET NAMES gbk", 0xBF),
        with("gbk as the client's only", "SET character_set_client = gbk", 0xBF),
        with("gbk by a variable of the session", "SET @@session.character_set_client = 'gbk'", 0xBF),
        with("gbk by its number", "SET character_set_client = 28", 0xBF),
        with("gbk in another spelling", "set\tNAMES 'GBK' COLLATE 'gbk_bin'", 0xBF),
        with("gbk by CHARACTER SET", "SET CHARACTER SET gbk", 0xBF),
        with("gbk by CHARSET", "SET CHARSET 'gbk'", 0xBF),
        with("gbk behind others", "SET @a = 1, NAMES gbk", 0xBF),
        with("gbk in a comment", "SET /*!40101 NAMES gbk */", 0xBF),
        with("gbk from a variable", "SET character_set_client = (SELECT 'gbk')", 0xBF),
        with("sjis", "SET NAMES sjis", 0x95),
        with("big5", "SET NAMES big5", 0xA4),
        with("cp932", "SET NAMES cp932", 0x95),
        with("gb18030", "SET NAMES gb18030", 0xBF).mysql(),
        with("gbk, prepared", "EXECUTE IMMEDIATE 'SET NAMES gbk'", 0xBF).mariadb(),
        with("gbk for a statement", "SET STATEMENT character_set_client = gbk FOR SELECT 1", 0xBF)
            .mariadb()
            .not_directly(),
    ]
}

fn by_login() -> Vec<Case> {
    let with =
        |name: &'static str, collation: u16, lead: u8| Case::leaks(name, "B017", &[half(lead)]).collation(collation);
    vec![
        with("gbk at login", GBK, 0xBF),
        with("big5 at login", BIG5, 0xA4),
        with("sjis at login", SJIS, 0x95),
        with("cp932 at login", CP932, 0x95),
        Case::leaks("brackets are letters", "B022", &[&b"SELECT 1 AS [ UNION SELECT password FROM vault.users"[..]])
            .collation(SWE7),
    ]
}

fn spaces() -> Vec<Case> {
    vec![
        Case::leaks(
            "a space of latin1",
            "D17",
            &[b"SET NAMES latin1".to_vec(), b"SELECT\xA0password\xA0FROM\xA0vault.users".to_vec()],
        ),
        Case::leaks(
            "a space of latin1 behind dashes",
            "D17",
            &[b"SET NAMES latin1".to_vec(), b"SELECT 1 --\xA0\n, password FROM vault.users".to_vec()],
        )
        .not_directly(),
        Case::leaks("a name that is no UTF-8", "B029", &[b"SELECT password AS `\xFF` FROM vault.users".to_vec()])
            .not_directly(),
        Case::leaks(
            "brackets that are letters",
            "B022",
            &["SET NAMES swe7".as_bytes().to_vec(), b"SELECT 1 AS [ UNION SELECT password FROM vault.users".to_vec()],
        ),
    ]
}
