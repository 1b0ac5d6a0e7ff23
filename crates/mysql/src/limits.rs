//! Every bound of the protocol crate, with its unit.

/// Bytes of a packet header: three of length, one of sequence id.
pub const HEADER_LEN: usize = 4;

/// Bytes of payload in one physical packet; a payload of exactly this length is continued by the next one.
pub const PACKET_PAYLOAD_MAX: usize = 0xFF_FFFF;

/// Bytes of one reassembled payload: the ceiling of the server's own `max_allowed_packet`.
pub const LOGICAL_PACKET_MAX: usize = 1024 * 1024 * 1024;

/// Bytes of a login nonce, on both legs and for both plugins (`SCRAMBLE_LENGTH` in the server).
pub const NONCE_LEN: usize = 20;

/// Bytes of the nonces of `client_ed25519` and `parsec`, and of the one that a `parsec` client adds.
pub const LONG_NONCE_LEN: usize = 32;

/// Bytes of chance that one login at a server may need: an OAEP seed, and the client's nonce of `parsec`.
pub const LOGIN_SEED_LEN: usize = 20 + LONG_NONCE_LEN;

/// Bytes of connection attributes accepted from a client, lengths included; the server's own ceiling is the same.
pub const CONNECT_ATTRS_LEN_MAX: usize = 64 * 1024;

/// Bytes kept of an error packet, header fields and message together.
pub const ERROR_MESSAGE_KEPT_MAX: usize = 512;

/// Parameters of one execution, query attributes included: MySQL's own ceiling, and what 16 bits of a prepare's answer hold.
pub const PARAMETERS_MAX: u64 = 65_535;

/// Bytes of an OK, EOF or ERR packet of a server: they are held until they are whole. Session tracking is bounded by the
/// variables that exist; the longest is `sql_mode` or a transaction's characteristics, a few KiB.
pub const HELD_PACKET_MAX: usize = 1024 * 1024;

/// Bytes of a row or a column's definition while values in it are concealed: such are the rows of SHOW VARIABLES.
pub const CONCEALED_PACKET_MAX: usize = 4 * 1024 * 1024;

/// Bytes of the file name in a `LOAD DATA LOCAL` request (`FN_REFLEN` in the servers is 512, with the NUL).
pub const LOCAL_INFILE_NAME_MAX: usize = 511;

/// Columns of one result set; the servers stop at 4096, the wire's prepared statements at this.
pub const COLUMNS_MAX: u64 = 65_535;

/// Bytes of a column's definition, where rows are taken for a recording: it is held whole.
pub const COLUMN_DEFINITION_MAX: usize = 64 * 1024;

/// Bytes of a column's name that are taken.
pub const COLUMN_NAME_KEPT_MAX: usize = 256;

/// Bytes that a value or name counts for beside its own, where rows are taken: what a record has around it, and what a binary
/// value grows by as text.
pub const TAKEN_VALUE_LEN: usize = 64;

/// Times a server may switch the plugin in one login: MariaDB asks once for each alternative of `IDENTIFIED VIA … OR …`.
pub const AUTH_SWITCHES_MAX: u8 = 4;

/// Bytes of a server's RSA public key in PEM form; one of 16384 bits takes under 3 KiB.
pub const PUBLIC_KEY_PEM_LEN_MAX: usize = 8 * 1024;

/// Bits of a server's RSA modulus: smaller ones are broken, larger ones only cost time.
pub const PUBLIC_KEY_BITS_MIN: usize = 2048;
/// See [`PUBLIC_KEY_BITS_MIN`].
pub const PUBLIC_KEY_BITS_MAX: usize = 16_384;

/// Bytes of a plugin's name shown in an error.
pub const PLUGIN_NAME_SHOWN_MAX: usize = 64;

/// Payload bytes under which a packet is sent uncompressed (`MIN_COMPRESS_LENGTH` in the servers).
pub const COMPRESSED_LEN_MIN: usize = 50;

/// Payload bytes that the gateway puts into one compressed packet: more would only be held for longer by its reader.
pub const COMPRESSED_CHUNK_MAX: usize = 256 * 1024;

/// Bytes of packets that go into one compressed packet together: the servers' `net_buffer_length`.
pub const COMPRESSED_GATHERED_MAX: usize = 16 * 1024;

/// Bytes that one step of decompression appends at most, whatever a packet claims to hold.
pub const DECOMPRESSED_STEP_MAX: usize = 64 * 1024;

// What is rewritten stays one physical packet: no sequence id moves.
const _: () = assert!(HELD_PACKET_MAX < PACKET_PAYLOAD_MAX && CONCEALED_PACKET_MAX < PACKET_PAYLOAD_MAX);
const _: () = assert!(LOCAL_INFILE_NAME_MAX < HELD_PACKET_MAX && ERROR_MESSAGE_KEPT_MAX < HELD_PACKET_MAX);
const _: () = assert!(PACKET_PAYLOAD_MAX < LOGICAL_PACKET_MAX);
const _: () = assert!(CONNECT_ATTRS_LEN_MAX < PACKET_PAYLOAD_MAX);
