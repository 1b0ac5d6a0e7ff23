//! The TOML tree with the place of each value, walked by hand: deserialising would stop at the first problem.

use super::problem::{Findings, Spot};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) spot: Spot,
}

impl Located<u64> {
    fn try_into_u32(self) -> Option<Located<u32>> {
        Some(Located { value: u32::try_from(self.value).ok()?, spot: self.spot })
    }
}

/// A table of the document. It remembers which keys it was asked for: any other key is unknown.
#[derive(Debug)]
pub(super) struct Section<'d> {
    table: &'d DeTable<'d>,
    spot: Spot,
    known: Vec<&'static str>,
}

impl<'d> Section<'d> {
    pub(super) fn root(table: &'d DeTable<'d>) -> Self {
        Self { table, spot: Spot { key: String::new(), offset: 0 }, known: Vec::new() }
    }

    /// Where the table's header stands.
    pub(super) fn spot(&self) -> &Spot {
        &self.spot
    }

    /// The place for a problem about a key that is not there.
    pub(super) fn spot_of(&self, key: &str) -> Spot {
        Spot { key: self.path_of(key), offset: self.spot.offset }
    }

    /// Whether the key is there; it is a known one either way.
    pub(super) fn has(&mut self, key: &'static str) -> bool {
        self.know(key);
        self.table.contains_key(key)
    }

    /// `None` when the key is absent, or not a string (which is reported).
    pub(super) fn string(&mut self, key: &'static str, findings: &mut Findings<'_>) -> Option<Located<&'d str>> {
        let value = self.value(key)?;
        string(value, findings)
    }

    /// As [`Section::string`], and absence is reported with `what` to write.
    pub(super) fn required(
        &mut self,
        key: &'static str,
        what: &str,
        findings: &mut Findings<'_>,
    ) -> Option<Located<&'d str>> {
        if !self.has(key) {
            findings.error(&self.spot_of(key), format!("`{key}` is missing: write {what}"));
        }
        self.string(key, findings)
    }

    /// `None` when the key is absent or not an array; an element that is not a string is reported and left out.
    pub(super) fn strings(
        &mut self,
        key: &'static str,
        findings: &mut Findings<'_>,
    ) -> Option<Located<Vec<Located<&'d str>>>> {
        let elements = self.elements(key, "strings", findings)?;
        let value = elements.value.into_iter().filter_map(|element| string(element, findings)).collect();
        Some(Located { value, spot: elements.spot })
    }

    /// `None` when the key is absent, or not a boolean (which is reported).
    pub(super) fn boolean(&mut self, key: &'static str, findings: &mut Findings<'_>) -> Option<Located<bool>> {
        let found = self.value(key)?;
        match found.value.get_ref() {
            DeValue::Boolean(value) => Some(Located { value: *value, spot: found.spot }),
            other => {
                findings.error(&found.spot, format!("is {}: write `true` or `false` without quotes", kind(other)));
                None
            }
        }
    }

    /// A port number, 0 included.
    pub(super) fn port(&mut self, key: &'static str, findings: &mut Findings<'_>) -> Option<Located<u16>> {
        let value = self.value(key)?;
        port(value, findings)
    }

    /// As [`Section::strings`], of port numbers.
    pub(super) fn number(&mut self, key: &'static str, findings: &mut Findings<'_>) -> Option<Located<u32>> {
        number(self.value(key)?, u32::MAX.into(), findings)?.try_into_u32()
    }

    /// A number that may be larger, such as of bytes.
    pub(super) fn long_number(&mut self, key: &'static str, findings: &mut Findings<'_>) -> Option<Located<u64>> {
        number(self.value(key)?, i64::MAX.unsigned_abs(), findings)
    }

    /// Those elements of a list that are numbers; the others are reported.
    pub(super) fn numbers(
        &mut self,
        key: &'static str,
        findings: &mut Findings<'_>,
    ) -> Option<Located<Vec<Located<u32>>>> {
        let found = self.elements(key, "numbers", findings)?;
        let numbers =
            found.value.into_iter().filter_map(|element| number(element, u32::MAX.into(), findings)?.try_into_u32());
        Some(Located { value: numbers.collect(), spot: found.spot })
    }

    pub(super) fn ports(
        &mut self,
        key: &'static str,
        findings: &mut Findings<'_>,
    ) -> Option<Located<Vec<Located<u16>>>> {
        let elements = self.elements(key, "port numbers", findings)?;
        let value = elements.value.into_iter().filter_map(|element| port(element, findings)).collect();
        Some(Located { value, spot: elements.spot })
    }

    /// The table `[key]`.
    pub(super) fn section(&mut self, key: &'static str, findings: &mut Findings<'_>) -> Option<Section<'d>> {
        let found = self.value(key)?;
        match found.value.get_ref() {
            DeValue::Table(table) => Some(Section { table, spot: found.spot, known: Vec::new() }),
            other => {
                findings.error(&found.spot, format!("is {}: write a table `[{}]`", kind(other), found.spot.key));
                None
            }
        }
    }

    /// The tables `[[key]]`; none when the key is absent.
    pub(super) fn sections(&mut self, key: &'static str, findings: &mut Findings<'_>) -> Vec<Section<'d>> {
        let header = self.path_of(key).replace(|c: char| c.is_ascii_digit() || c == '[' || c == ']', "");
        let Some(found) = self.value(key) else { return Vec::new() };
        let DeValue::Array(array) = found.value.get_ref() else {
            findings.error(&found.spot, format!("is {}: write `[[{header}]]`", kind(found.value.get_ref())));
            return Vec::new();
        };
        let elements = array.iter().enumerate().map(|(index, element)| within(&found.spot.key, index, element));
        elements
            .filter_map(|element| match element.value.get_ref() {
                DeValue::Table(table) => Some(Section { table, spot: element.spot, known: Vec::new() }),
                other => {
                    findings.error(&element.spot, format!("is {}: write `[[{header}]]`", kind(other)));
                    None
                }
            })
            .collect()
    }

    /// Reports each key that nobody asked for, with the nearest that exists.
    pub(super) fn finish(self, findings: &mut Findings<'_>) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if !self.known.contains(&name) {
                let spot = Spot { key: self.path_of(name), offset: key.span().start };
                findings.error(&spot, format!("unknown key `{name}`: {}", advice(name, &self.known)));
            }
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.spot.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.spot.key) }
    }

    fn know(&mut self, key: &'static str) {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
    }

    fn value(&mut self, key: &'static str) -> Option<Located<&'d Spanned<DeValue<'d>>>> {
        self.know(key);
        let value = self.table.get(key)?;
        Some(Located { value, spot: Spot { key: self.path_of(key), offset: value.span().start } })
    }

    fn elements(
        &mut self,
        key: &'static str,
        of: &str,
        findings: &mut Findings<'_>,
    ) -> Option<Located<Vec<Located<&'d Spanned<DeValue<'d>>>>>> {
        let found = self.value(key)?;
        let DeValue::Array(array) = found.value.get_ref() else {
            findings.error(&found.spot, format!("is {}: write a list of {of}", kind(found.value.get_ref())));
            return None;
        };
        let elements = array.iter().enumerate().map(|(index, element)| within(&found.spot.key, index, element));
        Some(Located { value: elements.collect(), spot: found.spot.clone() })
    }
}

fn within<'d>(array: &str, index: usize, element: &'d Spanned<DeValue<'d>>) -> Located<&'d Spanned<DeValue<'d>>> {
    let spot = Spot { key: format!("{array}[{}]", index + 1), offset: element.span().start };
    Located { value: element, spot }
}

fn string<'d>(found: Located<&'d Spanned<DeValue<'d>>>, findings: &mut Findings<'_>) -> Option<Located<&'d str>> {
    match found.value.get_ref() {
        DeValue::String(text) => Some(Located { value: text, spot: found.spot }),
        other => {
            findings.error(&found.spot, format!("is {}: write a string in double quotes", kind(other)));
            None
        }
    }
}

fn port(found: Located<&Spanned<DeValue<'_>>>, findings: &mut Findings<'_>) -> Option<Located<u16>> {
    let DeValue::Integer(integer) = found.value.get_ref() else {
        findings.error(&found.spot, format!("is {}: write a port number without quotes", kind(found.value.get_ref())));
        return None;
    };
    let Ok(value) = u16::from_str_radix(integer.as_str(), integer.radix()) else {
        findings.error(&found.spot, format!("`{integer}` is not a port: write a number from 1 to 65535"));
        return None;
    };
    Some(Located { value, spot: found.spot })
}

/// From 0 to `max`.
fn number(found: Located<&Spanned<DeValue<'_>>>, max: u64, findings: &mut Findings<'_>) -> Option<Located<u64>> {
    let DeValue::Integer(integer) = found.value.get_ref() else {
        findings.error(&found.spot, format!("is {}: write a number without quotes", kind(found.value.get_ref())));
        return None;
    };
    let value = u64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|value| *value <= max);
    let Some(value) = value else {
        findings.error(&found.spot, format!("`{integer}` is out of range: write a number from 0 to {max}"));
        return None;
    };
    Some(Located { value, spot: found.spot })
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The nearest known key when it is near enough to be meant, else all of them.
fn advice(name: &str, known: &[&str]) -> String {
    let nearest = known.iter().min_by_key(|key| strsim::damerau_levenshtein(name, key));
    let near = |key: &&&str| strsim::damerau_levenshtein(name, key) <= name.chars().count().div_ceil(3);
    match nearest.filter(near) {
        Some(key) => format!("did you mean `{key}`?"),
        None => format!("the keys here are {}", known.join(", ")),
    }
}
