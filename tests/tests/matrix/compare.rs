//! Two runs of one program, line by line.

use serde_json::Value;
use std::collections::BTreeMap;

/// Characters shown on either side of the first difference.
const AROUND: usize = 150;

/// What a program printed: lines by step.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) steps: Vec<String>,
    lines: BTreeMap<String, Value>,
}

impl Run {
    /// Panics on a line that is not of a step, and on a step that comes twice.
    pub(crate) fn parse(stdout: &str) -> Self {
        let (mut steps, mut lines) = (Vec::new(), BTreeMap::new());
        for text in stdout.lines() {
            let line: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
            let step = line["step"].as_str().unwrap_or_else(|| panic!("no step: {text}")).to_owned();
            steps.push(step.clone());
            assert!(lines.insert(step, line).is_none(), "a step comes twice: {text}");
        }
        Self { steps, lines }
    }

    pub(crate) fn line(&self, step: &str) -> &Value {
        &self.lines[step]
    }
}

/// How the lines of a step differ, if they do.
pub(crate) fn difference(step: &str, direct: &Value, through: &Value) -> Option<String> {
    if direct == through {
        return None;
    }
    let (direct, through): (Vec<_>, Vec<_>) =
        (direct.to_string().chars().collect(), through.to_string().chars().collect());
    let at = direct.iter().zip(&through).take_while(|(one, other)| one == other).count();
    let around = |text: &[char]| text.iter().skip(at.saturating_sub(AROUND)).take(2 * AROUND).collect::<String>();
    Some(format!("`{step}` differs at {at}\n  direct:  {}\n  through: {}", around(&direct), around(&through)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_difference_is_shown() {
        let direct = json!({ "step": "text", "rows": ["x".repeat(1000), "a"] });
        let through = json!({ "step": "text", "rows": ["x".repeat(1000), "b"] });
        assert_eq!(difference("text", &direct, &direct), None);
        let shown = difference("text", &direct, &through).unwrap();
        assert!(shown.contains("xxx\",\"a\"") && shown.contains("xxx\",\"b\"") && shown.len() < 1000, "{shown}");
    }

    #[test]
    #[should_panic(expected = "a step comes twice")]
    fn a_step_comes_once() {
        Run::parse("{\"step\":\"a\"}\n{\"step\":\"a\"}\n");
    }
}
