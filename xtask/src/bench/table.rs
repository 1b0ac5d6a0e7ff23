//! Medians and ratios, for people and for programs.

use super::{connects::Connects, load::Sample, recording::Recording, target::Lane, verdicts::Verdict};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write as _};

/// One load in every lane.
pub(super) struct Row {
    load: String,
    unit: &'static str,
    cells: BTreeMap<Lane, Cell>,
}

struct Cell {
    median: f64,
    latency_ms: Option<f64>,
    samples: Vec<Sample>,
}

impl Row {
    pub(super) fn of(load: &str, unit: &'static str, samples: &BTreeMap<Lane, Vec<Sample>>) -> Self {
        let cell = |samples: &Vec<Sample>| Cell {
            median: median(samples.iter().map(|sample| sample.value)).unwrap_or(f64::NAN),
            latency_ms: median(samples.iter().filter_map(|sample| sample.latency_ms)),
            samples: samples.clone(),
        };
        let cells = samples.iter().map(|(lane, samples)| (*lane, cell(samples))).collect();
        Self { load: load.to_owned(), unit, cells }
    }

    fn median(&self, lane: Lane) -> Option<f64> {
        self.cells.get(&lane).map(|cell| cell.median)
    }

    /// Portreeve's median over another lane's.
    fn ratio(&self, to: Lane) -> Option<f64> {
        Some(self.median(Lane::Portreeve)? / self.median(to)?)
    }

    fn json(&self) -> Value {
        let lanes = self.cells.iter().map(|(lane, cell)| {
            let value = json!({ "median": cell.median, "latency_ms": cell.latency_ms, "samples": cell.samples });
            (lane.to_string(), value)
        });
        json!({
            "load": self.load,
            "unit": self.unit,
            "lanes": lanes.collect::<serde_json::Map<_, _>>(),
            "portreeve_to_direct": self.ratio(Lane::Direct),
            "portreeve_to_haproxy": self.ratio(Lane::HaProxy),
        })
    }
}

pub(super) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get(values.len().checked_sub(1)? / 2)?;
    Some((upper + lower) / 2.0)
}

/// A table of fixed width: medians, and Portreeve's ratio to no proxy and to HAProxy.
pub(super) fn text(rows: &[Row]) -> String {
    let mut text = format!("{:<26}{:<15}", "load", "unit");
    for lane in Lane::ALL {
        let _ = write!(text, "{lane:>11}");
    }
    text.push_str("   /direct  /haproxy\n");
    for row in rows {
        let _ = write!(text, "{:<26}{:<15}", row.load, row.unit);
        for lane in Lane::ALL {
            text.push_str(
                &row.median(lane)
                    .map_or(format!("{:>11}", "-"), |median| format!("{median:>11.digits$}", digits = digits(median))),
            );
        }
        for lane in [Lane::Direct, Lane::HaProxy] {
            text.push_str(&row.ratio(lane).map_or(format!("{:>10}", "-"), |ratio| format!("{ratio:>10.2}")));
        }
        text.push('\n');
    }
    text
}

/// Three figures or so: more would pretend.
fn digits(value: f64) -> usize {
    usize::from(value.abs() < 100.0)
}

/// Everything that was measured; empty where it was not.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) rows: Vec<Row>,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) connects: Option<Connects>,
    pub(super) recording: Option<Recording>,
}

/// The same with every sample.
pub(super) fn json(measured: &Measured, machine: &str, rounds: u32, seconds: u32) -> Result<String> {
    let Measured { rows, verdicts, connects, recording } = measured;
    let rows: Vec<_> = rows.iter().map(Row::json).collect();
    let value = json!({
        "machine": machine, "rounds": rounds, "seconds": seconds, "rows": rows, "verdicts": verdicts, "connects": connects,
        "recording": recording,
    });
    let mut text = serde_json::to_string_pretty(&value).context("cannot write JSON")?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[(Lane, &[f64])]) -> Row {
        let sample = |value: &f64| Sample { value: *value, latency_ms: None };
        Row::of(
            "load",
            "unit",
            &values.iter().map(|(lane, values)| (*lane, values.iter().map(sample).collect())).collect(),
        )
    }

    #[test]
    fn medians_are_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[test]
    fn the_table_has_ratios_and_shows_what_was_not_measured() {
        let row = row(&[(Lane::HaProxy, &[200.0]), (Lane::Portreeve, &[90.0, 100.0, 110.0])]);
        assert_eq!(row.ratio(Lane::HaProxy), Some(0.5));
        assert_eq!(row.ratio(Lane::Direct), None);
        let text = text(&[row]);
        let cells: Vec<_> = text.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(cells, ["load", "unit", "-", "200", "-", "100", "-", "0.50"]);
    }

    #[test]
    fn json_holds_the_samples() {
        let measured = Measured { rows: vec![row(&[(Lane::Direct, &[1.0, 2.0])])], ..Measured::default() };
        let text = json(&measured, "a machine", 2, 1).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["rows"][0]["lanes"]["direct"]["samples"][1]["value"], 2.0);
        assert_eq!(value["rows"][0]["portreeve_to_direct"], Value::Null);
    }
}
