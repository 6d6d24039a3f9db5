//! Which labels do the series of a metric have, and how many values?

use std::collections::{BTreeMap, BTreeSet};

use tool::ToolError;

use crate::{
    backends::prometheus::{Inquiry, Prometheus, Scope},
    grid::Grid,
    labels::{Labels, short},
};

/// With more series the system counts, and no values are told.
const SERIES_MAX: u64 = 2_000;
/// Most labels told.
const LABELS_MAX: usize = 12;
/// A label with so many values or fewer is told with all of them.
const VALUES_MAX: usize = 5;
/// Of a label with more, so many are told.
const VALUES_SHOWN: usize = 2;
const VALUE_MAX: usize = 40;

/// `code: 200, 500; service (6): cart-api, catalog, …`, fewest values first.
pub(super) async fn tell(
    prometheus: &Prometheus,
    scope: &Scope,
    series: u64,
    hour: Grid,
    inquiry: &Inquiry,
) -> Result<String, ToolError> {
    let mut told: Vec<(usize, String)> = Vec::new();
    if series > SERIES_MAX {
        for (label, count) in prometheus.label_counts(scope, series, hour, inquiry).await? {
            // What could not be counted comes last.
            told.push(count.map_or((usize::MAX, label.clone()), |it| (it, format!("{label} ({it})"))));
        }
    } else {
        for (label, values) in by_label(prometheus.series(scope, hour, inquiry).await?) {
            told.push((values.len(), one(&label, &values)));
        }
    }
    told.sort();
    let left = told.len().saturating_sub(LABELS_MAX);
    let mut told: Vec<String> = told.into_iter().take(LABELS_MAX).map(|it| it.1).collect();
    if left > 0 {
        told.push(format!("and {left} more labels"));
    }
    Ok(told.join("; "))
}

fn by_label(series: Vec<Labels>) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (label, value) in series.into_iter().flatten().filter(|it| it.0 != "__name__") {
        found.entry(label).or_default().insert(value);
    }
    found
}

fn one(label: &str, values: &BTreeSet<String>) -> String {
    let shown = if values.len() <= VALUES_MAX { values.len() } else { VALUES_SHOWN };
    let texts: Vec<String> = values.iter().take(shown).map(|it| short(it, VALUE_MAX)).collect();
    match values.len() <= VALUES_MAX {
        true => format!("{label}: {}", texts.join(", ")),
        false => format!("{label} ({}): {}, …", values.len(), texts.join(", ")),
    }
}
