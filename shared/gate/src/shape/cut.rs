//! How does a long value become a short one? With a mark in it that says how much is missing.

use serde_json::Value;

use crate::tokens::{hundredths, prefix};

/// Tokens below which no value is shortened further.
pub(super) const CAP_MIN: u64 = 12;

/// Shortens a value that takes more tokens than the cap, and says in it how much was left out. Lists lose their last
/// elements, everything else becomes text.
pub(super) fn shorten(value: &mut Value, cap: u64) -> Option<()> {
    let whole = match &*value {
        Value::Null | Value::Bool(_) | Value::Number(_) => return None,
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let escaped = Value::String(whole.clone()).to_string();
    if tokens_of(&escaped) <= cap {
        return None;
    }
    if let Value::Array(values) = value
        && values.len() > 1
    {
        let mut left = cap.saturating_sub(CAP_MIN);
        let fits = |it: &&Value| {
            let cost = tokens_of(&it.to_string());
            let fits = cost <= left;
            left = left.saturating_sub(cost);
            fits
        };
        let kept = values.iter().take_while(fits).count();
        let gone = values.len() - kept;
        if kept > 0 {
            values.truncate(kept);
            values.push(format!("…[+{gone} more]").into());
            return Some(());
        }
    }
    // What a prefix costs once it is escaped is found by trying.
    let mut length = prefix(&whole, cap.saturating_sub(CAP_MIN));
    while length > 0 && tokens_of(&Value::String(whole[..length].to_owned()).to_string()) > cap {
        length = whole.floor_char_boundary(length * 3 / 4);
    }
    let gone = whole[length..].chars().count();
    *value = format!("{}…[+{} characters]", &whole[..length], grouped(gone)).into();
    Some(())
}

/// A number with its thousands apart: `1,234`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut result = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            result.push(',');
        }
        result.push(digit);
    }
    result
}

fn tokens_of(text: &str) -> u64 {
    hundredths(text).div_ceil(100) + 1
}
