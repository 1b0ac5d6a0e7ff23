//! Every limit of the session file, with its unit.

/// Bytes of the file header.
pub const HEADER_LEN: usize = 64;

/// Bytes of a frame before its payload: length, checksum, chain, reserved.
pub const FRAME_HEADER_LEN: usize = 48;

/// Frames and payloads begin at multiples of this many bytes in the file, so that a mapped payload is read in place.
pub const FRAME_ALIGN: usize = 16;

/// Bytes of the longest payload that is written or read. A reader allocates at most this much for a frame.
pub const PAYLOAD_LEN_MAX: usize = 4 * 1024 * 1024;

/// Bytes that reading one frame takes at most: its payload, and the copy that owns its texts.
pub const FRAME_MEMORY_MAX: usize = 8 * PAYLOAD_LEN_MAX;

/// Bytes of one statement or parameter that are kept; the rest is cut and the text marked as truncated.
pub const TEXT_KEPT_MAX: usize = 1024 * 1024;

/// Bytes of a name (user, schema, attribute, message) that [`crate::clip`] keeps.
pub const NAME_KEPT_MAX: usize = 4096;

/// Bytes that a [`crate::Stream`] asks of its file at a time.
pub const STREAM_CHUNK_LEN: usize = 64 * 1024;

/// Frames after which a checkpoint is due. A signature takes some 20 µs, so that this is nothing per statement.
pub const CHECKPOINT_FRAMES: u64 = 4096;

/// Bytes of frames after which a checkpoint is due.
pub const CHECKPOINT_BYTES: u64 = 4 * 1024 * 1024;

/// Nanoseconds after which a checkpoint is due, as soon as something is recorded.
pub const CHECKPOINT_NS: u64 = 10_000_000_000;

/// Actions, and resources, that one record of facts names. One with so many of either is followed by another.
pub const FACTS_NAMES_MAX: usize = 128;

/// Rows of one answer that are recorded; the last record of them is marked as truncated where there were more.
pub const ROWS_KEPT_MAX: u64 = 1000;

/// Bytes of one answer's rows that are recorded, with 64 for each value and name. No record of them is longer, as a piece of
/// the answer is recorded before it is forwarded.
pub const ROWS_KEPT_BYTES_MAX: usize = 1024 * 1024;

/// Bytes at the end of a file among which [`crate::Stream::skip_near_end`] looks for frames. What a writer allocates ahead is less.
pub const NEAR_END_LEN: usize = 16 * 1024 * 1024;

/// Bytes from a file's beginning within which its first signature stands: a checkpoint is due after [`CHECKPOINT_BYTES`], behind the
/// record that is written then.
pub const FIRST_SIGNATURE_WITHIN: u64 = CHECKPOINT_BYTES + 2 * PAYLOAD_LEN_MAX as u64;

/// Signatures that it checks at most: each takes some 50 µs, and a made-up file could be full of them.
pub const NEAR_END_SIGNATURES_MAX: u32 = 64;

/// Bytes that it checks at most while it looks: a made-up file could have it check the same ones again and again.
pub const NEAR_END_CHECKED_MAX: usize = 16 * NEAR_END_LEN;

const _: () = {
    assert!(HEADER_LEN.is_multiple_of(FRAME_ALIGN));
    assert!(FRAME_HEADER_LEN.is_multiple_of(FRAME_ALIGN));
    assert!(PAYLOAD_LEN_MAX.is_multiple_of(FRAME_ALIGN));
    // One statement at its limit fits a frame with room for the names beside it.
    assert!(TEXT_KEPT_MAX * 2 <= PAYLOAD_LEN_MAX);
    // A value of a row is kept whole, and a record of them fits a frame.
    assert!(ROWS_KEPT_BYTES_MAX <= TEXT_KEPT_MAX && ROWS_KEPT_BYTES_MAX * 2 <= PAYLOAD_LEN_MAX);
    assert!(PAYLOAD_LEN_MAX <= i32::MAX as usize, "rkyv's relative pointers are 32 bits wide");
    // Behind what is allocated ahead there is a checkpoint.
    assert!(
        NEAR_END_LEN.is_multiple_of(FRAME_ALIGN) && NEAR_END_LEN as u64 > CHECKPOINT_BYTES + 2 * PAYLOAD_LEN_MAX as u64
    );
    assert!(STREAM_CHUNK_LEN >= HEADER_LEN + FRAME_HEADER_LEN);
};
