//! How is a number shown to a model: few digits, none that matters lost.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// A number that becomes a JSON number of at most four significant digits, unless it is whole: then every digit stays.
/// What JSON has no number for becomes `"NaN"`, `"+Inf"` or `"-Inf"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figure(pub(crate) f64);

/// Beyond this a double holds no whole number exactly.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

impl Figure {
    /// The number with the digits that are shown.
    fn rounded(self) -> f64 {
        let number = self.0;
        if number.abs() >= 1000.0 && number.abs() < WHOLE_MAX {
            return number.round();
        }
        // By way of text, so that the result is the double nearest to what is written.
        format!("{number:.3e}").parse().unwrap_or(number)
    }

    /// As a cell of a table.
    pub(crate) fn cell(self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            it if it.is_nan() => serializer.serialize_str("NaN"),
            f64::INFINITY => serializer.serialize_str("+Inf"),
            f64::NEG_INFINITY => serializer.serialize_str("-Inf"),
            it if it.fract() == 0.0 && it.abs() < WHOLE_MAX => serializer.serialize_i64(whole(it)),
            _ => match self.rounded() {
                it if it.fract() == 0.0 && it.abs() < WHOLE_MAX => serializer.serialize_i64(whole(it)),
                it => serializer.serialize_f64(it),
            },
        }
    }
}

/// For text: the same digits as in JSON.
impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.cell() {
            Value::String(word) => f.write_str(&word),
            number => write!(f, "{number}"),
        }
    }
}

impl JsonSchema for Figure {
    fn schema_name() -> Cow<'static, str> {
        "Figure".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "string"] })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
fn whole(number: f64) -> i64 {
    number as i64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_numbers_keep_their_digits_and_fractions_keep_four() {
        for (number, shown) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1_732_240_123.0, "1732240123"),
            (220_123_456.7, "220123457"),
            (12.345_678, "12.35"),
            (0.000_012_345_6, "0.00001235"),
            (999.96, "1000"),
            (1e300, "1e+300"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(Figure(number).to_string(), shown);
        }
        assert_eq!(Figure(f64::NAN).cell(), Value::from("NaN"));
    }

    proptest! {
        #[test]
        fn rounding_stays_within_a_thousandth(number in any::<f64>().prop_filter("finite", |it| it.is_finite())) {
            let shown: f64 = Figure(number).to_string().parse().expect("a number");
            prop_assert!((shown - number).abs() <= number.abs() * 0.000_501);
        }
    }
}
