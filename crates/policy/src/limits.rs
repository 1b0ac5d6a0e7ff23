//! Every limit of the analysis, named once. What is over a limit is not read: it becomes `unparsed`, which is denied
//! unless a policy permits it by name.

/// Longest text that is looked at, in bytes (MySQL's own `max_allowed_packet` default is 64 MiB).
pub const TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Longest text that the full parser reads, in bytes. Beyond it only `INSERT`/`REPLACE … VALUES` of plain literals are
/// read, by a streaming recogniser that keeps nothing.
pub const PARSED_BYTES_MAX: usize = 1024 * 1024;

/// From this length on an `INSERT`/`REPLACE` is first shown to the streaming recogniser, in bytes: it is some ten times
/// faster than the parser, and a statement of this length is nearly always plain values.
pub const BULK_BYTES_MIN: usize = 4 * 1024;

/// Longest text that has a normal form, in bytes: up to here one reader reads a text whatever its literals are.
pub const NORMAL_BYTES_MAX: usize = BULK_BYTES_MIN - 1;

/// Longest text that is remembered with its verdict, in bytes: longer ones are rarely asked twice, and would fill the memory.
pub const REMEMBERED_BYTES_MAX: usize = 8 * 1024;

/// Most texts, and most normal forms, that are remembered for one way of asking.
pub const REMEMBERED_MAX: usize = 2048;

/// Most tokens that the full parser reads.
pub const TOKENS_MAX: usize = 256 * 1024;

/// Most statements in one text.
pub const STATEMENTS_MAX: usize = 64;

/// Deepest nesting of parentheses.
pub const PARENTHESES_DEPTH_MAX: usize = 40;

/// Deepest nesting of what a walk recurses into: queries, parentheses, calls, `CASE`, blocks of routines. Deeper than
/// [`PARENTHESES_DEPTH_MAX`], as a call or subquery is more than one level of it.
pub const NESTING_MAX: usize = 160;

/// Deepest nesting of blocks in the body of a routine.
pub const BLOCKS_MAX: usize = 40;

/// Most operators (symbols and words) in one statement. A chain such as `1+1+…` is built by a loop but dropped by
/// recursion: some ten thousand links overflow a stack of 2 MiB and end the whole process.
pub const OPERATORS_MAX: usize = 2_000;

/// Most joins in one statement. The parser nests joins without conditions by recursion; the server itself stops at 61
/// tables (manual, "Limits on Joins").
pub const JOINS_MAX: usize = 64;

/// Stack for reading a statement that is not small, in bytes; mapped for the statement, touched as needed. In a debug
/// build [`JOINS_MAX`] joins without conditions overflow 2 MiB; everything at its limit stays within 8 MiB.
pub const STACK_BYTES: usize = 32 * 1024 * 1024;

/// Up to so many joins, operators and levels of parentheses a statement is read on the caller's stack (which has 2 MiB in the
/// daemon's threads).
pub const SMALL_JOINS_MAX: usize = 4;
/// See [`SMALL_JOINS_MAX`].
pub const SMALL_OPERATORS_MAX: usize = 100;
/// See [`SMALL_JOINS_MAX`].
pub const SMALL_DEPTH_MAX: usize = 8;

/// Most requests that one statement may give rise to.
pub const REQUESTS_MAX: usize = 1_000;

/// Most names of columns, counted in each block of a query, that are resolved in one statement. Beyond it every column of its
/// tables counts as read.
pub const COLUMN_NAMES_MAX: usize = 4_096;

/// Most tables, counted each time that one is named, among which columns are looked for. See [`COLUMN_NAMES_MAX`].
pub const COLUMN_SOURCES_MAX: usize = 256;

/// Longest name of a schema or table, in bytes (manual, "Identifier Length Limits": 64 characters).
pub const NAME_BYTES_MAX: usize = 256;

/// Longest name of a group in an `@approval`, in bytes: as in the configuration.
pub const GROUP_BYTES_MAX: usize = 128;

/// Most texts that a suggestion keeps because it does not cover them.
pub const LEFT_OUT_MAX: usize = 1_000;

/// Most of them that its comments list.
pub const LEFT_OUT_SHOWN_MAX: usize = 50;

/// Most policies that one import makes.
pub const GUARDRAIL_RULES_MAX: usize = 1_000;

/// Most views and routines read for one statement. Servers allow 61 tables in a join; what is behind each counts here.
pub const DEFINITIONS_MAX: usize = 256;

/// Deepest chain of views and routines that is followed: a view over a view over a view …
pub const DEFINITIONS_DEPTH_MAX: usize = 32;

/// Text of views and routines read for one statement, in bytes.
pub const DEFINITIONS_BYTES_MAX: usize = 1024 * 1024;

/// Longest chain of foreign keys that is followed: a row that changes one that changes one … (InnoDB itself stops at 15).
pub const CASCADES_DEPTH_MAX: usize = 32;

/// Where less stack is left than this, the next definition is read on a stack of its own, in bytes.
pub const DEFINITION_STACK_BYTES_MIN: usize = 1024 * 1024;

const _: () = assert!(DEFINITIONS_DEPTH_MAX < DEFINITIONS_MAX);
const _: () = assert!(DEFINITION_STACK_BYTES_MIN < STACK_BYTES);
const _: () = assert!(PARSED_BYTES_MAX < TEXT_BYTES_MAX);
const _: () = assert!(NORMAL_BYTES_MAX < REMEMBERED_BYTES_MAX);
const _: () = assert!(BULK_BYTES_MIN < PARSED_BYTES_MAX);
const _: () = assert!(SMALL_JOINS_MAX < JOINS_MAX && SMALL_OPERATORS_MAX < OPERATORS_MAX);
const _: () = assert!(JOINS_MAX < OPERATORS_MAX);
