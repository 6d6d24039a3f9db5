//! What stands in an answer: rows by column, and times?

use jiff::Timestamp;
use serde_json::{Map, Value};

/// Rows of an answer, each by the names of its columns.
pub(super) fn rows(answer: &Value) -> Vec<Map<String, Value>> {
    let list = |name: &str| answer[name].as_array().cloned().unwrap_or_default();
    let columns: Vec<String> =
        list("columns").iter().filter_map(|it| it.as_str().map(str::to_owned)).collect();
    let row = |cells: &Value| {
        let cells = cells.as_array().cloned().unwrap_or_default();
        columns.iter().cloned().zip(cells).collect()
    };
    list("rows").iter().map(row).collect()
}

/// A cell as text; empty when there is none.
pub(super) fn cell(row: &Map<String, Value>, column: &str) -> String {
    match row.get(column) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The value of a label in `service=cart,code=500`; empty when it is not there.
pub(super) fn label<'a>(labels: &'a str, name: &str) -> &'a str {
    let pairs = labels.split([',', ' ']).filter_map(|it| it.split_once('='));
    pairs.filter(|it| it.0 == name).map(|it| it.1.trim_matches('"')).next().unwrap_or_default()
}

/// `14:05`, in UTC.
pub(super) fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M").to_string()
}

/// Few digits: `0.42`, `13.0`, `1250`, `190M`.
pub(super) fn figure(value: f64) -> String {
    match value.abs() {
        it if it >= 1e6 => format!("{:.0}M", value / 1e6),
        it if it >= 100.0 || it == 0.0 => format!("{value:.0}"),
        it if it >= 10.0 => format!("{value:.1}"),
        it if it >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_are_found_by_the_names_of_their_columns() {
        let answer = json!({ "columns": ["alert", "count"], "rows": [["Slow", 2], ["Odd", null]] });
        let rows = rows(&answer);
        assert_eq!((cell(&rows[0], "alert"), cell(&rows[0], "count")), ("Slow".to_owned(), "2".to_owned()));
        assert_eq!((cell(&rows[1], "count"), cell(&rows[1], "no")), (String::new(), String::new()));
    }

    #[test]
    fn a_label_is_found_by_its_whole_name() {
        let labels = "upstream_service=a,service=cart job=app";
        assert_eq!(
            (label(labels, "service"), label(labels, "job"), label(labels, "up")),
            ("cart", "app", "")
        );
    }
}
