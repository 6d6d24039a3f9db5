//! How are numbers, durations and moments written?

/// A value as the API writes it: `0.25`, `1e+21`, `+Inf`, `NaN`.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    match size != 0.0 && !(1e-6..1e21).contains(&size) {
        true => number_e(value),
        false => number_f(value),
    }
}

/// Without an exponent, as `count_values` names what it counted.
pub(super) fn number_f(value: f64) -> String {
    match value {
        it if it.is_nan() => "NaN".to_owned(),
        it if it.is_infinite() => if it > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
        it => it.to_string(),
    }
}

/// With an exponent of two digits at least, as alerts have their value: `1e+00`.
pub(crate) fn number_e(value: f64) -> String {
    if !value.is_finite() {
        return number_f(value);
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(it) => ('-', it),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

/// `90s`, `1h30m`, `100ms`, `0`: units once each, largest first.
pub(crate) fn duration_ms(text: &str) -> Option<i64> {
    const UNITS: [(&str, i64); 7] = [
        ("y", 31_536_000_000),
        ("w", 604_800_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    if text == "0" {
        return Some(0);
    }
    let (mut rest, mut next, mut total) = (text, 0, 0_i64);
    while !rest.is_empty() {
        let digits = rest.find(|it: char| !it.is_ascii_digit())?;
        let count: i64 = rest[..digits].parse().ok()?;
        let unit = &rest[digits..];
        let unit = &unit[..unit.find(|it: char| it.is_ascii_digit()).unwrap_or(unit.len())];
        let at = UNITS[next..].iter().position(|it| it.0 == unit)? + next;
        total = total.checked_add(count.checked_mul(UNITS[at].1)?)?;
        (rest, next) = (&rest[digits + unit.len()..], at + 1);
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_prometheus_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e-7, "1.5e-07"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!(number_e(1.0), "1e+00");
        assert_eq!(number_e(0.0312), "3.12e-02");
        assert_eq!(number_e(0.0), "0e+00");
    }

    #[test]
    fn durations_have_each_unit_once_and_the_largest_first() {
        for (text, expected) in [
            ("1h30m", Some(5_400_000)),
            ("100ms", Some(100)),
            ("1m5s10ms", Some(65_010)),
            ("0", Some(0)),
            ("", None),
            ("5", None),
            ("1m1h", None),
            ("1x", None),
            ("m", None),
            ("99999999999y", None),
        ] {
            assert_eq!(duration_ms(text), expected, "{text}");
        }
    }
}
