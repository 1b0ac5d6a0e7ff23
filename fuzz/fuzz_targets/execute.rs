//! Parameters: as many as the statement has, printable, and the types bound once serve the next execution.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use portreeve_mysql::capabilities::Capabilities;
use portreeve_mysql::command::Command;
use portreeve_mysql::execute::{Execute, Value};

fn parsed(payload: &[u8], capabilities: Capabilities) -> Execute<'_> {
    match Command::parse(payload, capabilities.into()) {
        Ok(Command::StmtExecute(execute)) => execute,
        other => panic!("the fixed part is well-formed: {other:?}"),
    }
}

fuzz_target!(|data: &[u8]| {
    let [count, long_data, flags, body @ ..] = data else { return };
    // Few parameters mostly; now and then very many.
    let count = if *count == 0xFF { u16::MAX } else { u16::from(count % 40) };
    let long_data: BTreeSet<u16> = (0..8).filter(|bit| long_data >> bit & 1 == 1).collect();
    let mut capabilities = Capabilities::CLIENT_PROTOCOL_41;
    capabilities.set(Capabilities::CLIENT_QUERY_ATTRIBUTES, flags & 0x80 != 0);
    let head = [0x17, 1, 0, 0, 0, flags & 0x7F, 1, 0, 0, 0];
    let payload = [&head, body].concat();
    let execute = parsed(&payload, capabilities);
    assert_eq!(execute.cursor(), flags & 7 != 0);
    let Ok(parameters) = execute.parameters(count, &[], &long_data) else { return };
    assert_eq!(parameters.values.len(), usize::from(count));
    for (index, value) in (0..count).zip(&parameters.values) {
        assert_eq!(*value == Value::LongData, long_data.contains(&index));
        assert!(!value.to_string().chars().any(char::is_control));
    }
    let Some(types) = parameters.bound.as_deref() else { return };
    assert_eq!(types.len(), usize::from(count));
    if flags & 0x80 != 0 {
        return;
    }
    // The same values without the types read the same with the types remembered.
    assert!(parameters.attributes.is_empty());
    let bitmap_len = usize::from(count).div_ceil(8);
    let unbound = [&head, &body[..bitmap_len], &[0], &body[bitmap_len + 1 + 2 * types.len()..]].concat();
    let again = parsed(&unbound, capabilities).parameters(count, types, &long_data).expect("the same values");
    // Compared as texts, for a NaN is not equal to itself.
    assert_eq!(format!("{:?}", again.values), format!("{:?}", parameters.values));
});
