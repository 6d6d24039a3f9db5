//! Below which bound does a share of what was observed lie?
//!
//! Source: `bucketQuantile` of Prometheus' `promql/quantile.go`.

use std::collections::HashMap;

use promql_parser::parser::Call;

use crate::store::Labels;

use super::{Evaluated, Evaluation, Moments, QueryError, Row};

const BOUND: &str = "le";

/// Upper bound and how many lay below it.
type Bucket = (f64, f64);

pub(super) fn evaluate(evaluation: &Evaluation<'_>, call: &Call, moments: Moments) -> Evaluated<Vec<Row>> {
    let [share, buckets] = call.args.args.as_slice() else {
        return Err(QueryError::Wrong("histogram_quantile takes a share and a vector".to_owned()));
    };
    let shares = evaluation.scalar(share, moments)?;
    let rows = evaluation.vector(buckets, moments)?;
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut groups: Vec<(Labels, Vec<(f64, &Row)>)> = Vec::new();
    for row in &rows {
        let Ok(bound) = row.labels.get(BOUND).parse::<f64>() else { continue };
        let labels = row.labels.only(|it| it != BOUND);
        let at = *places.entry(labels.clone()).or_insert_with(|| {
            groups.push((labels.unnamed(), Vec::new()));
            groups.len() - 1
        });
        groups[at].1.push((bound, row));
    }
    let quantiles = groups.into_iter().map(|(labels, members)| {
        let value = |at: usize| {
            let buckets = members.iter().filter_map(|(bound, row)| Some((*bound, row.values[at]?)));
            let buckets: Vec<Bucket> = buckets.collect();
            (!buckets.is_empty()).then(|| quantile(shares[at], buckets))
        };
        Row { labels, values: (0..moments.count).map(value).collect() }
    });
    Ok(quantiles.collect())
}

fn quantile(share: f64, mut buckets: Vec<Bucket>) -> f64 {
    if share.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&share) {
        return if share < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    if buckets.last().is_none_or(|it| it.0 != f64::INFINITY) {
        return f64::NAN;
    }
    buckets.dedup_by(|later, first| {
        let same = later.0 == first.0;
        if same {
            first.1 += later.1;
        }
        same
    });
    // Buckets are scraped and summed one by one, so that a wider one may seem to hold less.
    for at in 1..buckets.len() {
        buckets[at].1 = buckets[at].1.max(buckets[at - 1].1);
    }
    let observed = buckets[buckets.len() - 1].1;
    if buckets.len() < 2 || observed == 0.0 || observed.is_nan() {
        return f64::NAN;
    }
    let rank = share * observed;
    let within = buckets[..buckets.len() - 1].partition_point(|it| it.1 < rank);
    match within {
        it if it == buckets.len() - 1 => buckets[buckets.len() - 2].0,
        0 if buckets[0].0 <= 0.0 => buckets[0].0,
        0 => buckets[0].0 * (rank / buckets[0].1),
        it => {
            let ((low, below), (high, count)) = (buckets[it - 1], buckets[it]);
            low + (high - low) * ((rank - below) / (count - below))
        }
    }
}
