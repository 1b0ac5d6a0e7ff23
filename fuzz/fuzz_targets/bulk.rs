//! Bulk execution: rows of as many values as there are parameters, never more rows than bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve_mysql::capabilities::{Capabilities, MariaDbCapabilities, Negotiated};
use portreeve_mysql::command::Command;

fuzz_target!(|data: &[u8]| {
    let [count, body @ ..] = data else { return };
    let count = if *count == 0xFF { u16::MAX } else { u16::from(count % 40) };
    let negotiated = Negotiated {
        standard: Capabilities::CLIENT_PROTOCOL_41,
        mariadb: MariaDbCapabilities::MARIADB_CLIENT_STMT_BULK_OPERATIONS,
    };
    let payload = [&[0xFA, 1, 0, 0, 0], body].concat();
    let Ok(Command::StmtBulkExecute(bulk)) = Command::parse(&payload, negotiated) else { return };
    let Ok(mut rows) = bulk.rows(count, &[]) else { return };
    let types = rows.bound().expect("nothing was remembered").to_vec();
    let (mut read, mut values) = (0, Vec::new());
    while let Ok(true) = rows.next_row(&mut values) {
        assert_eq!(values.len(), usize::from(count));
        read += 1;
        assert!(read * usize::from(count) <= body.len());
    }
    // The same rows without the types read the same with the types remembered.
    let unbound = [&[0xFA, 1, 0, 0, 0, 0, 0], &body[2 + 2 * types.len()..]].concat();
    let Ok(Command::StmtBulkExecute(bulk)) = Command::parse(&unbound, negotiated) else { panic!("no bulk") };
    let mut rows = bulk.rows(count, &types).expect("as many types as parameters");
    let mut again = 0;
    while let Ok(true) = rows.next_row(&mut values) {
        again += 1;
    }
    assert_eq!(again, read);
});
