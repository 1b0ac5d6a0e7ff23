//! What is framed takes no more than is there, and is written back byte for byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve_mysql::packet::{Framed, frame, write_packet};

fuzz_target!(|data: &[u8]| {
    match frame(data, 1024) {
        Ok(Framed::Incomplete { wanted }) => assert!(wanted > data.len()),
        Ok(Framed::Packet(packet)) => {
            assert!(packet.payload.len() <= 1024);
            let mut sequence_id = packet.first_sequence_id;
            let mut wire = Vec::new();
            write_packet(&mut wire, &mut sequence_id, &packet.payload);
            assert_eq!(Some(&wire[..]), data.get(..packet.wire_len));
            assert_eq!(sequence_id, packet.last_sequence_id.wrapping_add(1));
        }
        Err(_) => {}
    }
});
