//! Parameters: as many as the statement has, printable, and the types bound once serve the next execution.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use portreeve_mysql::command::Command;
use portreeve_mysql::execute::{Execute, Value};

fn parsed(payload: &[u8]) -> Option<Execute<'_>> {
    match Command::parse(payload) {
        Ok(Command::StmtExecute(execute)) => Some(execute),
        _ => None,
    }
}

fuzz_target!(|data: &[u8]| {
    let [count, long_data, body @ ..] = data else { return };
    // Few parameters mostly; now and then very many.
    let count = if *count == 0xFF { u16::MAX } else { u16::from(count % 40) };
    let long_data: BTreeSet<u16> = (0..8).filter(|bit| long_data >> bit & 1 == 1).collect();
    let head = b"\x17\x01\0\0\0\0\x01\0\0\0";
    let payload = [head, body].concat();
    let Some(execute) = parsed(&payload) else { panic!("the fixed part is well-formed") };
    let Ok(parameters) = execute.parameters(count, &[], &long_data) else { return };
    assert_eq!(parameters.values.len(), usize::from(count));
    for (index, value) in (0..count).zip(&parameters.values) {
        assert_eq!(*value == Value::LongData, long_data.contains(&index));
        assert!(!value.to_string().chars().any(char::is_control));
    }
    // The same values without the types read the same with the types remembered.
    let Some(types) = parameters.bound.as_deref() else { return };
    let bitmap_len = usize::from(count).div_ceil(8);
    let unbound = [head, &body[..bitmap_len], &[0], &body[bitmap_len + 1 + 2 * types.len()..]].concat();
    let Some(execute) = parsed(&unbound) else { panic!("the fixed part is well-formed") };
    let again = execute.parameters(count, types, &long_data).expect("the same values");
    // Compared as texts, for a NaN is not equal to itself.
    assert_eq!(format!("{:?}", again.values), format!("{:?}", parameters.values));
});
