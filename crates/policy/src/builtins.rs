//! Names that the servers build in: functions, variables, modes, character sets. What is not listed is not harmless.

use crate::action::Action;

/// Scopes of `@@scope.name` that reach beyond the session.
pub(crate) const SCOPES_GLOBAL: [&str; 3] = ["global", "persist", "persist_only"];
/// Scopes of `@@scope.name` that stay in the session.
pub(crate) const SCOPES_SESSION: [&str; 2] = ["session", "local"];

/// What calling a function needs, `None` for a harmless built-in. `name` in lower case.
///
/// A name that is not listed may be a stored or loadable function: `execute`.
pub(crate) fn function_action(name: &str) -> Option<Action> {
    match name {
        "sleep" | "master_pos_wait" | "source_pos_wait" | "master_gtid_wait" | "wait_for_executed_gtid_set" => {
            Some(Action::Sleep)
        }
        "benchmark" => Some(Action::Benchmark),
        "get_lock" | "release_lock" | "release_all_locks" | "is_free_lock" | "is_used_lock" => Some(Action::GetLock),
        "load_file" => Some(Action::LoadFile),
        _ if FUNCTIONS.binary_search(&name).is_ok() => None,
        _ => Some(Action::Execute),
    }
}

/// Whether a function's argument names a table (MariaDB sequences), which this version does not read.
pub(crate) fn takes_a_table(name: &str) -> bool {
    matches!(name, "nextval" | "lastval" | "setval" | "previous_value" | "next_value")
}

/// Whether reading the variable needs no more than `inspect`. `name` in lower case, without scope.
pub(crate) fn is_harmless_variable(name: &str) -> bool {
    HARMLESS_VARIABLES.contains(&name)
        || ["character_set_", "collation_", "net_", "sql_", "transaction_", "tx_"].iter().any(|p| name.starts_with(p))
            && name != "character_sets_dir"
}

/// Whether setting the variable for the session to a plain value cannot change how text is read or what is recorded.
pub(crate) fn is_session_variable(name: &str) -> bool {
    SESSION_VARIABLES.contains(&name)
}

/// Whether the variable holds a character set or collation that does not decide how the server reads text
/// (`character_set_client` does, and is not among them).
pub(crate) fn is_text_variable(name: &str) -> bool {
    matches!(name, "character_set_results" | "character_set_connection" | "collation_connection")
}

/// Character sets in which no byte of a longer character is an ASCII quote, backslash or letter.
pub(crate) fn is_known_charset(name: &str) -> bool {
    matches!(name, "utf8mb4" | "utf8mb3" | "utf8" | "ascii" | "latin1" | "binary")
}

/// Introducers (`_utf8mb4'…'`) that may stand before a string; they say nothing about where the string ends.
pub(crate) fn is_introducer(word: &str) -> bool {
    word.strip_prefix('_').is_some_and(|name| is_known_charset(&name.to_ascii_lowercase()))
}

/// Modes that do not change how text is read.
pub(crate) fn is_safe_sql_mode(mode: &str) -> bool {
    SAFE_SQL_MODES.iter().any(|safe| safe.eq_ignore_ascii_case(mode))
}

const SAFE_SQL_MODES: &[&str] = &[
    "ALLOW_INVALID_DATES",
    "ERROR_FOR_DIVISION_BY_ZERO",
    "HIGH_NOT_PRECEDENCE",
    "NO_AUTO_CREATE_USER",
    "NO_AUTO_VALUE_ON_ZERO",
    "NO_DIR_IN_CREATE",
    "NO_ENGINE_SUBSTITUTION",
    "NO_UNSIGNED_SUBTRACTION",
    "NO_ZERO_DATE",
    "NO_ZERO_IN_DATE",
    "ONLY_FULL_GROUP_BY",
    "PAD_CHAR_TO_FULL_LENGTH",
    "PIPES_AS_CONCAT",
    "REAL_AS_FLOAT",
    "STRICT_ALL_TABLES",
    "STRICT_TRANS_TABLES",
    "TIME_TRUNCATE_FRACTIONAL",
    "TRADITIONAL",
];

const HARMLESS_VARIABLES: &[&str] = &[
    "auto_increment_increment",
    "auto_increment_offset",
    "autocommit",
    "default_storage_engine",
    "error_count",
    "explicit_defaults_for_timestamp",
    "foreign_key_checks",
    "group_concat_max_len",
    "have_query_cache",
    "have_ssl",
    "identity",
    "idle_transaction_timeout",
    "in_transaction",
    "init_connect",
    "innodb_lock_wait_timeout",
    "innodb_version",
    "insert_id",
    "interactive_timeout",
    "last_insert_id",
    "lc_messages",
    "lc_time_names",
    "license",
    "lock_wait_timeout",
    "lower_case_file_system",
    "lower_case_table_names",
    "max_allowed_packet",
    "max_execution_time",
    "max_statement_time",
    "performance_schema",
    "port",
    "protocol_version",
    "pseudo_thread_id",
    "query_cache_size",
    "query_cache_type",
    "read_only",
    "rowcount",
    "session_track_schema",
    "session_track_system_variables",
    "storage_engine",
    "system_time_zone",
    "time_zone",
    "timestamp",
    "unique_checks",
    "version",
    "version_comment",
    "wait_timeout",
];

const SESSION_VARIABLES: &[&str] = &[
    "autocommit",
    "default_week_format",
    "div_precision_increment",
    "eq_range_index_dive_limit",
    "foreign_key_checks",
    "group_concat_max_len",
    "idle_transaction_timeout",
    "information_schema_stats_expiry",
    "innodb_lock_wait_timeout",
    "insert_id",
    "interactive_timeout",
    "join_buffer_size",
    "last_insert_id",
    "lc_time_names",
    "lock_wait_timeout",
    "max_execution_time",
    "max_heap_table_size",
    "max_join_size",
    "max_sort_length",
    "max_statement_time",
    "net_read_timeout",
    "net_write_timeout",
    "optimizer_switch",
    "sort_buffer_size",
    "sql_auto_is_null",
    "sql_big_selects",
    "sql_notes",
    "sql_quote_show_create",
    "sql_safe_updates",
    "sql_select_limit",
    "sql_warnings",
    "time_zone",
    "timestamp",
    "tmp_table_size",
    "transaction_isolation",
    "transaction_read_only",
    "tx_isolation",
    "tx_read_only",
    "unique_checks",
    "wait_timeout",
];

/// Built-in functions that read nothing but their arguments and the session.
const FUNCTIONS: &[&str] = &[
    "abs", "acos", "adddate", "addtime", "aes_decrypt", "aes_encrypt", "any_value", "ascii", "asin", "atan", "atan2",
    "avg", "bin", "bin_to_uuid", "bit_and", "bit_count", "bit_length", "bit_or", "bit_xor", "cast", "ceil", "ceiling",
    "char", "char_length", "character_length", "charset", "chr", "coalesce", "coercibility", "collation",
    "column_check", "column_create", "column_exists", "column_get", "column_json", "column_list", "compress", "concat",
    "concat_ws", "connection_id", "conv", "convert", "convert_tz", "cos", "cot", "count", "crc32", "crc32c",
    "cume_dist", "curdate", "current_date", "current_role", "current_time", "current_timestamp", "current_user",
    "curtime", "database", "date", "date_add", "date_format", "date_sub", "datediff", "day", "dayname", "dayofmonth",
    "dayofweek", "dayofyear", "default", "degrees", "dense_rank", "elt", "exp", "export_set", "extract",
    "extractvalue", "field", "find_in_set", "first_value", "floor", "format", "format_bytes", "format_pico_time",
    "found_rows", "from_base64", "from_days", "from_unixtime", "get_format", "greatest", "group_concat", "grouping",
    "gtid_subset", "gtid_subtract", "hex", "hour", "if", "ifnull", "inet6_aton", "inet6_ntoa", "inet_aton",
    "inet_ntoa", "insert", "instr", "interval", "is_ipv4", "is_ipv4_compat", "is_ipv4_mapped", "is_ipv6", "is_uuid",
    "isnull", "json_array", "json_array_append", "json_array_insert", "json_arrayagg", "json_compact",
    "json_contains", "json_contains_path", "json_depth", "json_detailed", "json_equals", "json_exists",
    "json_extract", "json_insert", "json_keys", "json_length", "json_loose", "json_merge", "json_merge_patch",
    "json_merge_preserve", "json_normalize", "json_object", "json_objectagg", "json_overlaps", "json_pretty",
    "json_query", "json_quote", "json_remove", "json_replace", "json_schema_valid", "json_schema_validation_report",
    "json_search", "json_set", "json_storage_free", "json_storage_size", "json_table", "json_type", "json_unquote",
    "json_valid", "json_value", "lag", "last_day", "last_insert_id", "last_value", "lcase", "lead", "least", "left",
    "length", "lengthb", "ln", "localtime", "localtimestamp", "locate", "log", "log10", "log2", "lower", "lpad",
    "ltrim", "make_set", "makedate", "maketime", "match", "max", "md5", "median", "microsecond", "mid", "min",
    "minute", "mod", "month", "monthname", "name_const", "natural_sort_key", "now", "nth_value", "ntile", "nullif",
    "nvl", "nvl2", "oct", "octet_length", "ord", "password", "percent_rank", "percentile_cont", "percentile_disc",
    "period_add", "period_diff", "pi", "position", "pow", "power", "quarter", "quote", "radians", "rand",
    "random_bytes", "rank", "regexp_instr", "regexp_like", "regexp_replace", "regexp_substr", "repeat", "replace",
    "reverse", "right", "roles_graphml", "round", "row", "row_count", "row_number", "rpad", "rtrim", "schema",
    "sec_to_time", "second", "session_user", "sformat", "sha", "sha1", "sha2", "sign", "sin", "soundex", "space",
    "sqrt", "st_area", "st_asgeojson", "st_astext", "st_aswkb", "st_aswkt", "st_buffer", "st_centroid", "st_contains",
    "st_distance", "st_distance_sphere", "st_geomfromgeojson", "st_geomfromtext", "st_geomfromwkb", "st_intersects",
    "st_isvalid", "st_latitude", "st_length", "st_longitude", "st_srid", "st_within", "st_x", "st_y",
    "statement_digest", "statement_digest_text", "std", "stddev", "stddev_pop", "stddev_samp", "str_to_date",
    "strcmp", "subdate", "substr", "substring", "substring_index", "subtime", "sum", "sysdate", "system_user", "tan",
    "time", "time_format", "time_to_sec", "timediff", "timestamp", "timestampadd", "timestampdiff", "to_base64",
    "to_char", "to_days", "to_seconds", "trim", "trim_oracle", "truncate", "ucase", "uncompress",
    "uncompressed_length", "unhex", "unix_timestamp", "updatexml", "upper", "user", "utc_date", "utc_time",
    "utc_timestamp", "uuid", "uuid_short", "uuid_to_bin", "value", "values", "var_pop", "var_samp", "variance",
    "version", "week", "weekday", "weekofyear", "weight_string", "year", "yearweek",
];
