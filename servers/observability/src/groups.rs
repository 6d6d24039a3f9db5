//! Which label explains most of the differences between many series?

use std::collections::BTreeMap;

use crate::{figure::Figure, labels::Labels, statistics::Distribution};

/// Labels with more values than this explain by naming nearly every series.
const VALUES_MAX: usize = 50;
/// Most groups said.
const GROUPS_MAX: usize = 6;
/// A label that explains less of the differences than this is left out.
const EXPLAINED_MIN: f64 = 0.05;

/// A label, and what stands under each of its values.
#[derive(Debug, PartialEq)]
pub(crate) struct Grouping {
    /// The label.
    pub(crate) label: String,
    /// `checkout-api: 12 series, min 0.1, p50 3, max 99`, highest first.
    pub(crate) groups: Vec<String>,
}

/// The label whose groups differ most from each other and least within, judged on ranks so that one outlier does not
/// decide, and adjusted for the number of groups so that many small ones do not win by being many.
pub(crate) fn explain<'a>(series: impl Iterator<Item = (&'a Labels, f64)>) -> Option<Grouping> {
    let mut series: Vec<(&Labels, f64)> = series.filter(|it| it.1.is_finite()).collect();
    series.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut names: Vec<&str> =
        series.iter().take(100).flat_map(|it| it.0.keys()).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let explained = names.into_iter().filter_map(|it| Some((explained(it, &series)?, it)));
    let (_, label) = explained.filter(|it| it.0 >= EXPLAINED_MIN).max_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(Grouping { label: label.to_owned(), groups: describe(label, &series) })
}

/// Share of the variance of ranks that lies between the groups of a label, adjusted.
fn explained(label: &str, series: &[(&Labels, f64)]) -> Option<f64> {
    let mut groups: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (rank, (labels, _)) in ranks(series).zip(series) {
        let group = groups.entry(labels.get(label).map_or("", String::as_str)).or_default();
        group.0 += rank;
        group.1 += 1.0;
        if groups.len() > VALUES_MAX {
            return None;
        }
    }
    let count = series.len() as f64;
    if groups.len() < 2 || groups.len() * 2 > series.len() {
        return None;
    }
    let mean = (count - 1.0) / 2.0;
    let total: f64 = ranks(series).map(|it| (it - mean).powi(2)).sum();
    let between: f64 = groups.values().map(|(sum, size)| size * (sum / size - mean).powi(2)).sum();
    if total == 0.0 {
        return None;
    }
    Some(1.0 - (1.0 - between / total) * (count - 1.0) / (count - groups.len() as f64))
}

/// Places of sorted values; equal values share the mean of their places.
fn ranks<'a>(series: &'a [(&Labels, f64)]) -> impl Iterator<Item = f64> + 'a {
    series
        .chunk_by(|a, b| a.1 == b.1)
        .scan(0.0, |before, equal| {
            let size = equal.len() as f64;
            let rank = *before + (size - 1.0) / 2.0;
            *before += size;
            Some(std::iter::repeat_n(rank, equal.len()))
        })
        .flatten()
}

fn describe(label: &str, series: &[(&Labels, f64)]) -> Vec<String> {
    let mut groups: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (labels, value) in series {
        groups.entry(labels.get(label).map_or("(none)", String::as_str)).or_default().push(*value);
    }
    let mut groups: Vec<(&str, usize, Distribution)> = groups
        .into_iter()
        .filter_map(|(name, values)| Some((name, values.len(), Distribution::of(values.into_iter())?)))
        .collect();
    groups.sort_by(|a, b| b.2.p50.total_cmp(&a.2.p50));
    let more = groups.len().saturating_sub(GROUPS_MAX);
    let said = groups.iter().take(GROUPS_MAX).map(|(name, count, it)| {
        let name = crate::labels::short(name, 60);
        let [min, p50, max] = [it.min, it.p50, it.max].map(Figure);
        format!("{name}: {count} series, min {min}, p50 {p50}, max {max}")
    });
    said.chain((more > 0).then(|| format!("and {more} more"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_that_explains_is_found_among_noise() {
        let series: Vec<(Labels, f64)> = (0..400)
            .map(|at| {
                let service = at % 4;
                let labels = [
                    ("service", format!("s{service}")),
                    ("zone", format!("z{}", at / 4 % 3)),
                    ("pod", format!("p{at}")),
                ];
                let labels = labels.map(|(name, value)| (name.to_owned(), value)).into();
                (labels, f64::from(service * 100) + f64::from(at % 7))
            })
            .collect();
        let found = explain(series.iter().map(|it| (&it.0, it.1))).expect("a label");
        assert_eq!(found.label, "service");
        assert_eq!(found.groups[0], "s3: 100 series, min 300, p50 303, max 306");
        assert_eq!(found.groups.len(), 4);
    }

    #[test]
    fn nothing_is_said_when_nothing_explains() {
        let labels: Labels = [("a".to_owned(), "b".to_owned())].into();
        assert_eq!(explain([(&labels, 1.0), (&labels, 2.0)].into_iter()), None);
        assert_eq!(explain(std::iter::empty()), None);
        let two = |it: u32| Labels::from([("zone".to_owned(), format!("z{}", it % 2))]);
        let same: Vec<Labels> = (0..10).map(two).collect();
        assert_eq!(explain(same.iter().map(|it| (it, 5.0))), None);
    }
}
