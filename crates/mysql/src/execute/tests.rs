use super::*;
use crate::capabilities::Capabilities;
use crate::command::Command;

fn unbound(values: Vec<Value<'_>>) -> Parameters<'_> {
    Parameters { bound: None, values, attributes: Vec::new() }
}

fn plain(body: &[u8]) -> Execute<'_> {
    Execute { statement: StatementId::Id(1), flags: 0, query_attributes: false, body }
}

/// The parameters of an execution of statement 1 whose payload goes on with `body`.
fn read<'a>(body: &'a [u8], count: u16, remembered: &[ParameterType]) -> Result<Parameters<'a>, ProtocolError> {
    plain(body).parameters(count, remembered, &BTreeSet::new())
}

fn check(column_type: u8, flags: u8, bytes: &[u8], value: Value<'_>, text: &str) {
    let body = [&[0, 1, column_type, flags], bytes].concat();
    let parameters = read(&body, 1, &[]).unwrap();
    assert_eq!(parameters.values, [value]);
    assert_eq!(parameters.values[0].to_string(), text);
    for short in 0..body.len() {
        assert!(read(&body[..short], 1, &[]).is_err(), "{text} cut to {short}");
    }
    // What is behind, the servers do not read either.
    assert_eq!(read(&[&body[..], b"x"].concat(), 1, &[]).unwrap(), parameters);
}

#[test]
fn numbers_of_every_width_and_sign_are_read() {
    check(1, 0, &[0xFF], Value::Int(-1), "-1");
    check(1, 0x80, &[0xFF], Value::UInt(255), "255");
    check(2, 0, &[0xFE, 0xFF], Value::Int(-2), "-2");
    check(2, 0x80, &[0xFE, 0xFF], Value::UInt(65_534), "65534");
    check(3, 0, &[0, 0, 0, 0x80], Value::Int(-2_147_483_648), "-2147483648");
    check(3, 0x80, &[1, 0, 0, 0x80], Value::UInt(2_147_483_649), "2147483649");
    check(8, 0, &[0xFF; 8], Value::Int(-1), "-1");
    check(8, 0x80, &[0xFF; 8], Value::UInt(u64::MAX), "18446744073709551615");
    check(4, 0, &1.5_f32.to_le_bytes(), Value::Float(1.5), "1.5");
    check(5, 0, &(-0.25_f64).to_le_bytes(), Value::Double(-0.25), "-0.25");
}

#[test]
fn texts_are_quoted_and_other_bytes_are_hexadecimal() {
    check(253, 0, b"\x05O'Bob", Value::Bytes(b"O'Bob"), "'O''Bob'");
    check(254, 0, b"\x03a\\b", Value::Bytes(b"a\\b"), r"'a\\b'");
    check(252, 0, b"\x02\xff\x00", Value::Bytes(b"\xff\x00"), "0xFF00");
    check(246, 0, b"\x0412.5", Value::Bytes(b"12.5"), "'12.5'");
    check(15, 0, b"\x03a\x1b\n", Value::Bytes(b"a\x1b\n"), r"'a\u{1b}\n'");
    check(245, 0, b"\xfc\x02\x00{}", Value::Bytes(b"{}"), "'{}'");
    check(242, 0, b"\x00", Value::Bytes(b""), "''");
}

#[test]
fn dates_and_times_of_every_length_are_read() {
    let date = Value::Date { year: 2026, month: 11, day: 21 };
    check(10, 0, b"\x04\xea\x07\x0b\x15", date, "'2026-11-21'");
    check(12, 0, b"\x00", Value::Date { year: 0, month: 0, day: 0 }, "'0000-00-00'");
    let date_time =
        |microsecond| Value::DateTime { year: 2026, month: 11, day: 21, hour: 3, minute: 4, second: 5, microsecond };
    check(12, 0, b"\x07\xea\x07\x0b\x15\x03\x04\x05", date_time(0), "'2026-11-21 03:04:05'");
    check(7, 0, b"\x0b\xea\x07\x0b\x15\x03\x04\x05\x07\0\0\0", date_time(7), "'2026-11-21 03:04:05.000007'");
    let time = |negative, days, hours, microseconds| Value::Time {
        negative,
        days,
        hours,
        minutes: 2,
        seconds: 3,
        microseconds,
    };
    check(11, 0, b"\x08\0\0\0\0\0\x01\x02\x03", time(false, 0, 1, 0), "'01:02:03'");
    check(11, 0, b"\x0c\x01\x01\0\0\0\x01\x02\x03\x20\xa1\x07\0", time(true, 1, 1, 500_000), "'-25:02:03.500000'");
    let zero = Value::Time { negative: false, days: 0, hours: 0, minutes: 0, seconds: 0, microseconds: 0 };
    check(11, 0, b"\x00", zero, "'00:00:00'");
}

#[test]
fn a_length_that_no_date_has_is_refused() {
    for (column_type, bytes) in [(10, &[5_u8; 6][..]), (12, &[12; 13]), (11, &[9; 10]), (11, &[7; 8])] {
        let body = [&[0, 1, column_type, 0], bytes].concat();
        assert!(read(&body, 1, &[]).is_err(), "type {column_type}, {bytes:?}");
    }
}

#[test]
fn null_has_no_bytes() {
    // Nine parameters take two bytes of bitmap; the first and the last are NULL.
    let mut body = vec![0b0000_0001, 0b0000_0001, 1];
    body.extend_from_slice(&[1, 0].repeat(9));
    body.extend_from_slice(&[1, 2, 3, 4, 5, 6, 7]);
    let values = read(&body, 9, &[]).unwrap().values;
    assert_eq!((values[0], values[1], values[7], values[8]), (Value::Null, Value::Int(1), Value::Int(7), Value::Null));
    let by_type_too = [1, 1, 6, 0];
    assert_eq!(read(&by_type_too, 1, &[]).unwrap().values, [Value::Null]);
}

#[test]
fn types_are_remembered_when_none_are_bound() {
    let first = read(&[0, 1, 3, 0x80, 1, 0, 0, 0], 1, &[]).unwrap();
    let types = first.bound.unwrap();
    assert_eq!(types, [ParameterType { column_type: ColumnType::MYSQL_TYPE_LONG, unsigned: true }]);
    let second = read(&[0, 0, 0xFF, 0xFF, 0xFF, 0xFF], 1, &types).unwrap();
    assert_eq!(second, unbound(vec![Value::UInt(u64::from(u32::MAX))]));
    assert!(read(&[0, 0, 1, 0, 0, 0], 1, &[]).is_err(), "no types were ever bound");
    assert!(read(&[0, 0, 1, 0, 0, 0], 1, &types.repeat(2)).is_err(), "types of another statement");
}

#[test]
fn long_data_has_no_bytes_even_when_marked_null() {
    for nulls in [0b00, 0b01] {
        let body = [nulls, 1, 252, 0, 1, 0, 42];
        let values = plain(&body).parameters(2, &[], &BTreeSet::from([0])).unwrap().values;
        assert_eq!(values, [Value::LongData, Value::Int(42)]);
        assert_eq!(values[0].to_string(), "<long data>");
    }
}

#[test]
fn types_that_no_client_binds_are_refused() {
    for (column_type, flags) in [(14, 0), (17, 0), (18, 0), (19, 0), (20, 0), (243, 0), (244, 0), (100, 0), (3, 0x01)] {
        let refusal = Err(Execute::invalid("parameter type"));
        assert_eq!(read(&[0, 1, column_type, flags, 0, 0, 0, 0], 1, &[]), refusal, "type {column_type}");
    }
    // Any flag but 0 binds.
    assert_eq!(read(&[0, 2, 3, 0, 7, 0, 0, 0], 1, &[]).unwrap().values, [Value::Int(7)]);
}

#[test]
fn a_huge_parameter_count_needs_its_bytes() {
    assert!(read(&[0, 1, 3, 0], u16::MAX, &[]).is_err());
    let mut body = vec![0xFF; 8192];
    body.push(1);
    body.extend_from_slice(&[6, 0].repeat(65_535));
    assert_eq!(read(&body, u16::MAX, &[]).unwrap().values.len(), 65_535);
}

#[test]
fn an_execution_without_parameters_has_an_empty_body() {
    assert_eq!(read(&[], 0, &[]), Ok(unbound(Vec::new())));
    // mysql2 for Node sends a number of parameters under a flag that was not negotiated.
    assert_eq!(read(&[0], 0, &[]), Ok(unbound(Vec::new())));
}

#[test]
fn the_fixed_part_is_read() {
    let payload = b"\x17\x02\0\0\0\x01\x01\0\0\0\0\x01\x03\0\x05\0\0\0";
    let negotiated = Capabilities::CLIENT_PROTOCOL_41.into();
    let Ok(Command::StmtExecute(execute)) = Command::parse(payload, negotiated) else { panic!("no execute") };
    assert_eq!((execute.statement, execute.flags, execute.cursor()), (StatementId::Id(2), 1, true));
    assert_eq!(execute.parameters(1, &[], &BTreeSet::new()).unwrap().values, [Value::Int(5)]);
}

fn counted(flags: u8, body: &[u8], count: u16, remembered: &[ParameterType]) -> Result<Vec<String>, ProtocolError> {
    let execute = Execute { statement: StatementId::Id(1), flags, query_attributes: true, body };
    let parameters = execute.parameters(count, remembered, &BTreeSet::new())?;
    let values = parameters.values.iter().map(ToString::to_string);
    let attributes = parameters.attributes.iter().map(|attribute| {
        let name = String::from_utf8_lossy(attribute.name);
        format!("{name}={}", attribute.value)
    });
    Ok(values.chain(attributes).collect())
}

/// All as seen on MySQL 9.7.
#[test]
fn under_query_attributes_parameters_are_counted_and_named() {
    let long = [ParameterType { column_type: ColumnType::MYSQL_TYPE_LONG, unsigned: false }];
    for (flags, count, body, values) in [
        (0, 1, &b"\x01\0\x01\x03\0\0\x01\0\0\0"[..], &["1"][..]),
        (8, 1, b"\x01\0\x01\x03\0\0\x01\0\0\0", &["1"]),
        (8, 1, b"\x02\0\x01\x03\0\0\x03\0\x01n\x01\0\0\0\x02\0\0\0", &["1", "n=2"]),
        (8, 1, b"\x01\0\0\x02\0\0\0", &["2"]),
        (8, 1, b"\x02\x02\0\x02\0\0\0", &["2", "=NULL"]),
        (0, 0, b"", &[]),
        (8, 0, b"\0", &[]),
        (8, 0, b"\x01\0\x01\x03\0\x01n\x02\0\0\0", &["n=2"]),
        (0, 0, b"\x01\0\x01\x03\0\x01n\x02\0\0\0", &[]),
    ] {
        let remembered = if count == 1 { &long[..] } else { &[] };
        assert_eq!(counted(flags, body, count, remembered).unwrap(), values, "flags {flags}, {body:?}");
    }
    for (flags, count, body) in [
        (0, 1, &b"\0\x01\x03\0\x01\0\0\0"[..]),
        (8, 1, b"\0"),
        (8, 1, b"\x02\0\0\x02\0\0\0\x02\0\0\0"),
        (8, 0, b""),
        (8, 0, b"\x01\0\0\x02\0\0\0"),
        (8, 1, b"\xfd\0\0\x01"),
    ] {
        let remembered = if count == 1 { &long[..] } else { &[] };
        assert!(counted(flags, body, count, remembered).is_err(), "flags {flags}, {body:?}");
    }
}

#[test]
fn only_the_statements_own_types_are_remembered() {
    let body = b"\x02\0\x01\x03\0\0\x01\0\x01n\x01\0\0\0\x02";
    let execute = Execute { statement: StatementId::Id(1), flags: 8, query_attributes: true, body };
    let bound = execute.parameters(1, &[], &BTreeSet::new()).unwrap().bound.unwrap();
    assert_eq!(bound, [ParameterType { column_type: ColumnType::MYSQL_TYPE_LONG, unsigned: false }]);
}

#[test]
fn types_of_rows_only_bind_nothing_but_null() {
    for column_type in [6, 9, 13] {
        assert!(read(&[0, 1, column_type, 0, 4, b'a', b'b', b'c', b'd'], 1, &[]).is_err());
        assert_eq!(read(&[1, 1, column_type, 0], 1, &[]).unwrap().values, [Value::Null]);
    }
}
