//! What seals and checkpoints prove, against somebody who can write the file but has no key.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that panics has failed")]

use portreeve_recording::limits::{CHECKPOINT_BYTES, CHECKPOINT_FRAMES, CHECKPOINT_NS, HEADER_LEN};
use portreeve_recording::{
    Abandoned, Audit, Closed, Encoder, End, Entry, Fault, Header, Kind, Proof, PublicKey, Reader, Record, Signature,
    Signed, SigningKey,
};

const START_NS: u64 = 1_795_231_554_000_000_000;

fn header(id: u8) -> Header {
    Header::new(Kind::Session, [id; 16], START_NS)
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn said(number: u64) -> Record<'static> {
    Record::Abandoned(Abandoned { number, killed: false, detail: "a record".into() })
}

fn closed() -> Record<'static> {
    Record::Closed(Closed { reason: "client quit".into(), statements: 0, bytes_to_client: 0, bytes_to_server: 0 })
}

/// What a file is made of.
enum Part {
    Record(Record<'static>),
    Sign(Signed, u8),
}

use Part::Sign;
use Signed::{Checkpoint, Seal};

fn file(id: u8, parts: Vec<Part>) -> Vec<u8> {
    let (mut encoder, header) = Encoder::new(&header(id));
    let mut bytes = header.to_vec();
    for part in parts {
        match part {
            Part::Record(record) => encoder.encode(&Entry { at_unix_ns: START_NS, record }, &mut bytes).unwrap(),
            Sign(signed, seed) => encoder.sign(signed, &key(seed), &mut bytes).unwrap(),
        }
    }
    bytes
}

/// Two records, a checkpoint, one more, closed and sealed, all by key 1.
fn sealed() -> Vec<u8> {
    let record = |number| Part::Record(said(number));
    file(1, vec![record(1), record(2), Sign(Checkpoint, 1), record(3), Part::Record(closed()), Sign(Seal, 1)])
}

/// What an audit says, and the frame of the fault.
fn audit(bytes: &[u8], trusted: &[PublicKey]) -> (Proof, Option<(u64, Fault)>, End) {
    let mut reader = Reader::open(bytes).unwrap();
    let mut audit = Audit::new(trusted);
    let mut fault = None;
    while let Some(frame) = reader.next_frame() {
        if let Err(why) = audit.take(&frame) {
            fault = fault.or(Some((frame.index, why)));
        }
    }
    (audit.proof(), fault, reader.end().unwrap())
}

#[test]
fn a_sealed_file_is_proved_by_its_key_alone() {
    let trusted = [key(2).public(), key(1).public()];
    assert_eq!(audit(&sealed(), &trusted), (Proof::Sealed, None, End::Closed));
    assert_eq!(audit(&sealed(), &[]), (Proof::Sealed, None, End::Closed));
    let (_, fault, _) = audit(&sealed(), &trusted[..1]);
    assert_eq!(fault, Some((2, Fault::OtherKey(key(1).public()))));
}

#[test]
fn a_file_that_was_cut_is_proved_up_to_its_last_checkpoint() {
    let mut reader_starts = vec![HEADER_LEN];
    let bytes = sealed();
    let mut reader = Reader::open(&bytes).unwrap();
    while reader.next_frame().is_some() {
        reader_starts.push(usize::try_from(reader.position().offset).unwrap());
    }
    let proofs = [Proof::None, Proof::None, Proof::None, Proof::Checkpoint { frames: 3 }];
    for (frames, &end) in reader_starts.iter().enumerate() {
        let proof = proofs.get(frames).copied().unwrap_or(Proof::Checkpoint { frames: 3 });
        let expected = if frames == 6 { Proof::Sealed } else { proof };
        assert_eq!(audit(&bytes[..end], &[]).0, expected, "{frames} frames");
    }
}

/// Whoever alters a file can compute checksums and chain anew, and put the old signature where it was.
#[test]
fn a_chain_made_anew_does_not_fit_the_signature() {
    let signature = |bytes: &[u8], at: u64| {
        let mut reader = Reader::open(bytes).unwrap();
        loop {
            let frame = reader.next_frame().unwrap();
            if frame.index == at {
                return frame.to_entry().unwrap().record;
            }
        }
    };
    let old = sealed();
    let forged = |first: u64| {
        let parts = [said(first), said(2), signature(&old, 2), said(3), closed(), signature(&old, 5)];
        file(1, parts.into_iter().map(Part::Record).collect())
    };
    assert!(forged(1) == old, "the forger's tools do work");
    assert_eq!(audit(&forged(9), &[]).1, Some((2, Fault::Signature)));

    // Only the end is altered.
    let parts = [said(1), said(2), signature(&old, 2), said(4), closed(), signature(&old, 5)];
    let bytes = file(1, parts.into_iter().map(Part::Record).collect());
    assert_eq!(audit(&bytes, &[]).1, Some((5, Fault::Signature)));
    // The same frames as another session, or a checkpoint as a seal.
    let parts = [said(1), said(2), signature(&old, 2)];
    assert_eq!(audit(&file(2, parts.into_iter().map(Part::Record).collect()), &[]).1, Some((2, Fault::Signature)));
    let Record::Checkpoint(checkpoint) = signature(&old, 2) else { panic!("a checkpoint") };
    let bytes = file(1, [said(1), said(2), Record::Sealed(checkpoint)].into_iter().map(Part::Record).collect());
    assert_eq!(audit(&bytes, &[]).1, Some((2, Fault::Signature)));
    // A frame before the checkpoint is gone, so that it is another's frame.
    let bytes = file(1, [said(1), signature(&old, 2)].into_iter().map(Part::Record).collect());
    assert_eq!(audit(&bytes, &[]).1, Some((1, Fault::Signature)));
}

#[test]
fn a_file_signed_anew_from_the_middle_is_told_by_its_second_key() {
    let record = |number| Part::Record(said(number));
    let parts = vec![record(1), Sign(Checkpoint, 1), record(2), Part::Record(closed()), Sign(Seal, 2)];
    assert_eq!(audit(&file(1, parts), &[]).1, Some((4, Fault::SecondKey(key(2).public()))));
    // No signature at all proves nothing, and is no fault of a frame.
    assert_eq!(audit(&file(1, vec![record(1), Part::Record(closed())]), &[]), (Proof::None, None, End::Closed));
    // A key of all zeros verifies anything in a library that is not strict.
    let weak = Record::Checkpoint(Signature { key: [0; 32], signature: [0; 64] });
    assert_eq!(audit(&file(1, vec![Part::Record(weak)]), &[]).1, Some((0, Fault::Signature)));
}

#[test]
fn the_time_of_a_seal_is_signed_as_well() {
    let (mut encoder, start) = Encoder::new(&header(1));
    let mut bytes = start.to_vec();
    encoder.encode(&Entry { at_unix_ns: START_NS, record: closed() }, &mut bytes).unwrap();
    let (mut forger, before) = (encoder.clone(), bytes.clone());
    encoder.sign(Seal, &key(1), &mut bytes).unwrap();
    let mut reader = Reader::open(&bytes).unwrap();
    reader.next_frame().unwrap();
    let sealed = reader.next_frame().unwrap().to_entry().unwrap();
    assert_eq!(sealed.at_unix_ns, START_NS);
    let mut forged = before;
    forger.encode(&Entry { at_unix_ns: START_NS + 1, ..sealed }, &mut forged).unwrap();
    assert_eq!(audit(&forged, &[]).1, Some((1, Fault::Signature)));
}

#[test]
fn checkpoints_are_due_by_frames_by_bytes_and_by_time() {
    let (mut encoder, _) = Encoder::new(&header(1));
    let mut out = Vec::new();
    let mut add = |encoder: &mut Encoder, at_unix_ns, length: usize| {
        let record = Record::Abandoned(Abandoned { number: 1, killed: false, detail: "x".repeat(length).into() });
        encoder.encode(&Entry { at_unix_ns, record }, &mut out).unwrap();
        encoder.is_checkpoint_due()
    };
    for _ in 1..CHECKPOINT_FRAMES {
        assert!(!add(&mut encoder, START_NS, 1));
    }
    assert!(add(&mut encoder, START_NS, 1));
    encoder.sign(Checkpoint, &key(1), &mut Vec::new()).unwrap();
    assert!(!add(&mut encoder, START_NS, 1));
    let half = usize::try_from(CHECKPOINT_BYTES / 2).unwrap();
    assert!(!add(&mut encoder, START_NS, half));
    assert!(add(&mut encoder, START_NS, half));
    encoder.sign(Checkpoint, &key(1), &mut Vec::new()).unwrap();
    assert!(!add(&mut encoder, START_NS + CHECKPOINT_NS - 1, 1));
    assert!(add(&mut encoder, START_NS + CHECKPOINT_NS, 1));
    // A clock that goes back is no reason.
    encoder.sign(Checkpoint, &key(1), &mut Vec::new()).unwrap();
    assert!(!add(&mut encoder, START_NS, 1));
}
