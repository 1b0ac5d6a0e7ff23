//! Moments as they are given on the command line.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::cli::Usage;

/// A moment, a day, or a duration before now, in nanoseconds since 1970.
///
/// # Errors
/// When the text is none of them; with what to write.
pub(in crate::cli) fn since(text: &str) -> anyhow::Result<u64> {
    let moment = match text.parse::<Timestamp>() {
        Ok(moment) => Some(moment),
        Err(_) => match (text.parse::<jiff::civil::Date>(), ago(text)) {
            (Ok(day), _) => day.to_zoned(TimeZone::UTC).ok().map(|start| start.timestamp()),
            (Err(_), Some(ago)) => Timestamp::now().checked_sub(ago).ok(),
            (Err(_), None) => None,
        },
    };
    let moment = moment.ok_or_else(|| {
        Usage(format!("`{text}` is no time: write 2026-11-24T03:00:00Z, 2026-11-24, or 90m, 24h, 7d for so long ago"))
    })?;
    Ok(u64::try_from(moment.as_nanosecond()).unwrap_or(0))
}

fn ago(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().next_back()?;
    let count: i64 = text.strip_suffix(unit)?.parse().ok().filter(|count| *count >= 0)?;
    let seconds: i64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return None,
    };
    Some(SignedDuration::from_secs(count.checked_mul(seconds)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_days_and_durations_are_read() {
        assert_eq!(since("2026-11-21T03:25:54Z").unwrap(), 1_795_231_554_000_000_000);
        assert_eq!(since("2026-11-21").unwrap(), 1_795_219_200_000_000_000);
        assert!(since("10m").unwrap() - since("1h").unwrap() > 49 * 60 * 1_000_000_000);
        for wrong in ["yesterday", "", "10", "-1m", "m", "10y"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }
}
