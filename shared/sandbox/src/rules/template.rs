//! What does an annotation say of this alert? The part of Prometheus' templates that the rules here use.

use crate::store::Labels;

/// Puts labels and value where the text asks for them: `{{ $labels.service }}`, `{{ $value | humanizePercentage }}`.
pub(super) fn expand(text: &str, labels: &Labels, value: f64) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        expanded.push_str(before);
        let (asked, behind) = after.split_once("}}").unwrap_or((after, ""));
        match asked.trim().split_once('|').map(|(what, how)| (what.trim(), how.trim())) {
            Some(("$value", "humanizePercentage")) => expanded += &format!("{}%", digits(value * 100.0)),
            Some(("$value", "humanizeDuration")) => expanded += &duration(value),
            Some(("$value", _)) => expanded += &digits(value),
            _ => {
                let name = asked.trim().strip_prefix("$labels.").unwrap_or_default();
                expanded.push_str(labels.get(name));
            }
        }
        rest = behind;
    }
    expanded + rest
}

/// Four of them that say something: `12.34`, `0.0123`.
fn digits(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return crate::promql::number(value);
    }
    let size = value.abs().log10().floor() as i32;
    let decimals = usize::try_from((3 - size).max(0)).unwrap_or(0);
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// `2d 3h 4m 5s`, `250ms`.
fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return digits(seconds);
    }
    if seconds.abs() < 1.0 {
        return if seconds == 0.0 { "0s".to_owned() } else { format!("{}ms", digits(seconds * 1_000.0)) };
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    let whole = seconds.abs() as i64;
    let (days, hours, minutes, rest) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", digits(seconds.abs())),
        (0, 0, _) => format!("{sign}{minutes}m {rest}s"),
        (0, _, _) => format!("{sign}{hours}h {minutes}m {rest}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_prometheus_writes_them() {
        let labels = Labels::new([("service", "cart")]);
        let text = "{{ $labels.service }}: {{ $value | humanizePercentage }}, {{ $value | humanizeDuration }}{{ $labels.none }}";
        for (value, expected) in [
            (0.123_456, "cart: 12.35%, 123.5ms"),
            (1.5, "cart: 150%, 1.5s"),
            (93_784.0, "cart: 9378400%, 1d 2h 3m 4s"),
            (-75.0, "cart: -7500%, -1m 15s"),
            (0.0, "cart: 0%, 0s"),
        ] {
            assert_eq!(expand(text, &labels, value), expected);
        }
    }
}
