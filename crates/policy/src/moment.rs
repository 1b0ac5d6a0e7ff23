//! Time in policies: what the context says of it, and which policies depend on it.

use std::str::FromStr;

use cedar_policy::{Policy, PolicyId, PolicySet, RestrictedExpression};
use serde_json::Value;

/// The keys of the context that change by themselves.
const KEYS: [&str; 2] = ["now", "weekday"];

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// `now` and `weekday` as policies see them. `unix_ms` is milliseconds since 1970 UTC.
pub(crate) fn pairs(unix_ms: i64) -> [(&'static str, RestrictedExpression); 2] {
    [
        ("now", RestrictedExpression::new_datetime(datetime(unix_ms))),
        ("weekday", RestrictedExpression::new_long(weekday(unix_ms))),
    ]
}

/// 1 is Monday, 7 Sunday (ISO 8601), in UTC. 1 January 1970 was a Thursday.
fn weekday(unix_ms: i64) -> i64 {
    (unix_ms.div_euclid(DAY_MS) + 3).rem_euclid(7) + 1
}

/// The form that Cedar's `datetime` reads (RFC 80: `YYYY-MM-DDThh:mm:ss.SSSZ`).
fn datetime(unix_ms: i64) -> String {
    let (year, month, day) = date(unix_ms.div_euclid(DAY_MS));
    let ms = unix_ms.rem_euclid(DAY_MS);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
}

/// Year, month and day of a day since 1970 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `civil_from_days`).
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The policies of a set that depend on time, each as a permit with its scope alone: one that answers is one that a
/// verdict may depend on.
///
/// # Errors
/// When a policy cannot be taken apart, with its id.
pub(crate) fn timed(set: &PolicySet) -> Result<PolicySet, String> {
    let mut timed = PolicySet::new();
    for policy in set.policies() {
        let failed = |error: &dyn std::fmt::Display| format!("policy `{}`: {error}", policy.id());
        let mut json = policy.to_json().map_err(|error| failed(&error))?;
        if !json.get("conditions").is_some_and(depends) {
            continue;
        }
        if let Some(object) = json.as_object_mut() {
            object.insert("conditions".to_owned(), Value::Array(Vec::new()));
            object.insert("effect".to_owned(), "permit".into());
        }
        let id = PolicyId::from_str(policy.id().as_ref()).map_err(|error| failed(&error))?;
        let scope = Policy::from_json(Some(id), json).map_err(|error| failed(&error))?;
        timed.add(scope).map_err(|error| failed(&error))?;
    }
    Ok(timed)
}

/// Whether an expression in Cedar's JSON form looks at the time: it names an attribute so called, or takes the context as
/// a whole (`context == …`, `{c: context}`), in which the time is.
fn depends(expression: &Value) -> bool {
    match expression {
        Value::Object(object) => object.iter().any(|(key, value)| match key.as_str() {
            "." | "has" => {
                let attribute = value.get("attr").and_then(Value::as_str);
                let left = value.get("left");
                let of_context = left.is_some_and(is_context);
                attribute.is_none_or(|name| KEYS.contains(&name)) || (!of_context && left.is_none_or(depends))
            }
            "Var" => value == "context",
            _ => depends(value),
        }),
        Value::Array(items) => items.iter().any(depends),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn is_context(expression: &Value) -> bool {
    expression.get("Var").is_some_and(|name| name == "context")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_cedar_reads_them() {
        let check = |unix_ms: i64, text: &str, day: i64| {
            assert_eq!((datetime(unix_ms).as_str(), weekday(unix_ms)), (text, day));
        };
        check(0, "1970-01-01T00:00:00.000Z", 4);
        check(-1, "1969-12-31T23:59:59.999Z", 3);
        check(951_782_400_000, "2000-02-29T00:00:00.000Z", 2);
        check(1_795_552_745_678, "2026-11-24T20:39:05.678Z", 2);
        check(4_107_542_399_000, "2100-02-28T23:59:59.000Z", 7);
    }

    #[test]
    fn policies_that_look_at_the_time_are_found_however_they_are_written() {
        let count = |condition: &str| {
            let text = format!("permit (principal, action, resource) when {{ {condition} }};");
            timed(&PolicySet::from_str(&text).unwrap()).unwrap().policies().count()
        };
        for condition in [
            "context.now > datetime(\"2026-01-01\")",
            "context[\"now\"].toTime() < duration(\"2h\")",
            "context.weekday < 6",
            "context.has_where && !(context.has_limit || context.weekday == 1)",
            "context has now",
            "{c: context}.c.has_where",
            "[context].contains(context)",
            "if context.has_where then context.weekday == 2 else false",
        ] {
            assert_eq!(count(condition), 1, "{condition}");
        }
        for condition in
            ["context.has_where", "context has default_schema && context.default_schema == \"now\"", "true"]
        {
            assert_eq!(count(condition), 0, "{condition}");
        }
    }
}
