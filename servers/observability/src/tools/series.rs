//! How do many series become few rows?

use serde_json::{Value, json};
use tool::{Column, Line, Row, Table};

use crate::{
    backends::prometheus::{InstantSeries, RangeSeries},
    figure::Figure,
    grid::Grid,
    groups,
    labels::{self, Labels},
    statistics::{Distribution, Point, Summary, sparkline},
};

/// Rows, and what they have in common.
pub(super) struct Shown {
    pub(super) table: Table,
    pub(super) common: Labels,
    pub(super) notes: Vec<String>,
}

/// More than this many series are summed up as well as shown.
const PLAIN_MAX: usize = 20;
/// Of the rows of a long instant answer, this many are its lowest.
const BOTTOM: usize = 4;
/// Fewer values need no distribution: they stand there.
const DISTRIBUTION_MIN: usize = 6;
/// Blocks of a sparkline in a short and in a long table.
const WIDTHS: (usize, usize) = (24, 12);
const SHORT_TABLE: usize = 8;
/// Most points of one series shown.
const POINTS_MAX: usize = 240;

/// Series at one moment, highest first unless the query orders them itself. Of many the top and the bottom are
/// shown and all are summed up.
pub(super) fn instant(found: Vec<InstantSeries>, most: usize, ordered: bool) -> Shown {
    let all = found.len();
    let mut series: Vec<(Labels, f64)> =
        found.into_iter().filter_map(|it| Some((it.metric, it.value?.0.1))).collect();
    let mut notes = Vec::new();
    if series.len() < all {
        let left = all - series.len();
        notes.push(format!("{left} native histograms left out: take `histogram_quantile()` of them"));
    }
    if !ordered {
        series.sort_by(|a, b| descending(a.1, b.1));
    }
    let count = series.len();
    let common = labels::common(series.iter().map(|it| &it.0));
    let long = count > PLAIN_MAX;
    let summary = if count >= DISTRIBUTION_MIN {
        spread(series.iter().map(|it| (&it.0, it.1)), "")
    } else {
        Vec::new()
    };
    let mut columns = vec![Column::untrusted("labels"), Column::new("value")];
    let mut rows: Vec<Row> = Vec::new();
    let bottom = if long && !ordered { BOTTOM } else { 0 };
    let top = most.min(count - bottom);
    let cells =
        |(labels, value): &(Labels, f64)| vec![json!(labels::text(labels, &common)), Figure(*value).cell()];
    rows.extend(series[..top].iter().map(|it| row(cells(it))));
    if bottom > 0 {
        columns.push(Column::new("end"));
        rows.iter_mut().for_each(|it| it.cells.push(json!("top")));
        // After the first few of the top, so that a short budget shows both ends.
        let at = rows.len().min(BOTTOM);
        let lowest = series[count - bottom..].iter().rev().map(|it| {
            let mut cells = cells(it);
            cells.push(json!("bottom"));
            row(cells)
        });
        rows.splice(at..at, lowest.collect::<Vec<_>>());
    }
    Shown { table: table(columns, rows, count), common, notes: summary.into_iter().chain(notes).collect() }
}

/// Series over time, what moved most first.
pub(super) fn range(found: Vec<RangeSeries>, most: usize, grid: Option<Grid>, points: bool) -> Shown {
    let (series, mut notes) = by_movement(found);
    let count = series.len();
    let (from, to) = ends(grid, &series);
    if let Some(grid) = grid {
        notes.extend(ended(&series, grid));
    }
    let common = labels::common(series.iter().map(|it| &it.0));
    let summary = match count > PLAIN_MAX {
        true => spread(series.iter().map(|it| (&it.0, it.2.last)), "last: "),
        false => Vec::new(),
    };
    let kept = &series[..count.min(most)];
    let (columns, rows) = match points {
        true => in_points(kept, &common, grid),
        false => in_statistics(kept, &common, (from, to)),
    };
    let newest = |points: &[Point]| newest(points, grid).len();
    if points && kept.iter().any(|it| newest(&it.1) < it.1.len()) {
        notes
            .push(format!("only the newest {POINTS_MAX} points of a series are shown: raise `step_seconds`"));
    }
    Shown { table: table(columns, rows, count), common, notes: summary.into_iter().chain(notes).collect() }
}

/// Series over time as the lines of a plot, what moved most first, and a row for each.
pub(super) fn drawn(found: Vec<RangeSeries>, most: usize, grid: Grid) -> (Shown, Vec<Line>) {
    let (mut series, mut notes) = by_movement(found);
    let count = series.len();
    notes.extend(ended(&series, grid));
    let common = labels::common(series.iter().map(|it| &it.0));
    series.truncate(most);
    let gaps = series.iter().flat_map(|it| &it.1).filter(|it| !it.1.is_finite()).count();
    if gaps > 0 {
        notes.push(format!("each of {gaps} points without a finite value is a gap"));
    }
    let columns =
        vec![Column::untrusted("labels"), Column::new("min"), Column::new("max"), Column::new("last")];
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    for (labels, points, summary) in series {
        let text = labels::text(&labels, &common);
        let figures = [summary.min, summary.max, summary.last].map(|it| Figure(it).cell());
        rows.push(row([json!(text)].into_iter().chain(figures).collect()));
        let label = if text.is_empty() { "value".to_owned() } else { text };
        lines.push(Line { label, points, target: None });
    }
    (Shown { table: table(columns, rows, count), common, notes }, lines)
}

type Summed = (Labels, Vec<Point>, Summary);

/// Series with plain values, what moved most first, and a word on those without.
fn by_movement(found: Vec<RangeSeries>) -> (Vec<Summed>, Vec<String>) {
    let all = found.len();
    let mut series: Vec<Summed> = found
        .into_iter()
        .filter_map(|it| Summary::of(&it.values).map(|summary| (it.metric, it.values, summary)))
        .collect();
    let scale = series.iter().map(|it| it.2.size()).fold(0.0, f64::max);
    series.sort_by(|a, b| b.2.movement(scale).total_cmp(&a.2.movement(scale)));
    let left = all - series.len();
    let notes =
        if left > 0 { vec![format!("{left} series without plain values left out")] } else { Vec::new() };
    (series, notes)
}

/// A word on series that ended. The newest sample may be missing for a scrape or two; more than that is an end.
fn ended(series: &[Summed], grid: Grid) -> Option<String> {
    let late = grid.to as f64 - 2.0 * grid.step as f64;
    let ended = series.iter().filter(|it| it.1.last().is_some_and(|it| it.0 < late)).count();
    (ended > 0).then(|| format!("{ended} series ended before the window did"))
}

fn in_statistics(series: &[Summed], common: &Labels, (from, to): (f64, f64)) -> (Vec<Column>, Vec<Row>) {
    let names = ["first", "last", "min", "max", "mean", "change"];
    let mut columns = vec![Column::untrusted("labels")];
    columns.extend(names.map(Column::new));
    columns.push(Column::new("spark"));
    let width = if series.len() <= SHORT_TABLE { WIDTHS.0 } else { WIDTHS.1 };
    let cells = |(labels, points, it): &Summed| {
        let mut cells = vec![json!(labels::text(labels, common))];
        cells.extend([it.first, it.last, it.min, it.max, it.mean, it.change].map(|it| Figure(it).cell()));
        cells.push(json!(sparkline(points, from, to, width)));
        cells
    };
    (columns, series.iter().map(|it| row(cells(it))).collect())
}

/// On a grid the moments follow from `time` and `step_seconds`; otherwise each value comes with its own.
fn in_points(series: &[Summed], common: &Labels, grid: Option<Grid>) -> (Vec<Column>, Vec<Row>) {
    let columns = vec![Column::untrusted("labels"), Column::new("first_at_s"), Column::new("values")];
    let cells = |(labels, points, _): &Summed| {
        let points = newest(points, grid);
        let first = points.first().map_or(0.0, |it| it.0);
        let values: Vec<Value> = match grid {
            Some(grid) => on_grid(points, grid.step as f64),
            None => {
                points.iter().map(|it| json!([Figure(it.0 - first).cell(), Figure(it.1).cell()])).collect()
            }
        };
        vec![json!(labels::text(labels, common)), Figure(first).cell(), json!(values)]
    };
    (columns, series.iter().map(|it| row(cells(it))).collect())
}

/// The newest points that there is room for, gaps between them included.
fn newest(points: &[Point], grid: Option<Grid>) -> &[Point] {
    let room = grid.zip(points.last()).map(|(grid, last)| last.0 - POINTS_MAX as f64 * grid.step as f64);
    // Half a step: moments are whole steps, but for rounding.
    let late = |it: &Point| room.zip(grid).is_none_or(|(room, grid)| it.0 > room + 0.5 * grid.step as f64);
    let first = points.iter().position(late).unwrap_or(points.len());
    &points[first.max(points.len().saturating_sub(POINTS_MAX))..]
}

/// Values in steps from the first, null where there is none.
fn on_grid(points: &[Point], step: f64) -> Vec<Value> {
    let mut values = Vec::new();
    let first = points.first().map_or(0.0, |it| it.0);
    for (at, value) in points {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let place = ((at - first) / step).round() as usize;
        // A point out of order, or of no step, has no place.
        if place >= POINTS_MAX || place < values.len() {
            continue;
        }
        values.resize(place, Value::Null);
        values.push(Figure(*value).cell());
    }
    values
}

fn ends(grid: Option<Grid>, series: &[Summed]) -> (f64, f64) {
    if let Some(grid) = grid {
        return (grid.from as f64, grid.to as f64);
    }
    let firsts = series.iter().filter_map(|it| it.1.first());
    let lasts = series.iter().filter_map(|it| it.1.last());
    (
        firsts.map(|it| it.0).fold(f64::INFINITY, f64::min),
        lasts.map(|it| it.0).fold(f64::NEG_INFINITY, f64::max),
    )
}

/// The distribution of many values, and when they are very many the label that explains it.
fn spread<'a>(values: impl Iterator<Item = (&'a Labels, f64)> + Clone, of: &str) -> Vec<String> {
    let distribution = Distribution::of(values.clone().map(|it| it.1)).map(|it| {
        let [min, p50, p90, p99, max, sum] = [it.min, it.p50, it.p90, it.p99, it.max, it.sum].map(Figure);
        format!("{of}min {min}, p50 {p50}, p90 {p90}, p99 {p99}, max {max}, sum {sum}")
    });
    let explained = if values.clone().count() > PLAIN_MAX { groups::explain(values) } else { None };
    let groups = explained.map(|found| {
        let label = format!("by {}", found.label);
        std::iter::once(label).chain(found.groups)
    });
    distribution.into_iter().chain(groups.into_iter().flatten()).collect()
}

/// A scalar or a string.
pub(super) fn single(value: Value) -> Shown {
    let columns = vec![Column::untrusted("value")];
    Shown { table: table(columns, vec![row(vec![value])], 1), common: Labels::new(), notes: Vec::new() }
}

fn table(columns: Vec<Column>, rows: Vec<Row>, count: usize) -> Table {
    Table { columns, rows, seen: count as u64, noun: "series", next: None }
}

fn row(cells: Vec<Value>) -> Row {
    Row { cells, target: None }
}

/// Highest first; NaN last.
fn descending(a: f64, b: f64) -> std::cmp::Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) => b.total_cmp(&a),
        (a, b) => a.cmp(&b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::prometheus::Sample;

    fn at_once(values: &[f64]) -> Vec<InstantSeries> {
        let series = |(at, value): (usize, &f64)| InstantSeries {
            metric: [("job".to_owned(), "app".to_owned()), ("pod".to_owned(), format!("p{at}"))].into(),
            value: Some(Sample((0.0, *value))),
        };
        values.iter().enumerate().map(series).collect()
    }

    fn cells(shown: &Shown) -> Vec<String> {
        shown.table.rows.iter().map(|it| Value::from(it.cells.clone()).to_string()).collect()
    }

    #[test]
    fn a_short_answer_shows_every_series_highest_first() {
        let shown = instant(at_once(&[1.0, f64::NAN, 3.0]), 200, false);
        assert_eq!(cells(&shown), [r#"["pod=p2",3]"#, r#"["pod=p0",1]"#, r#"["pod=p1","NaN"]"#]);
        assert_eq!((shown.common.len(), shown.notes.len()), (1, 0));
        let shown = instant(at_once(&[1.0, 3.0]), 200, true);
        assert_eq!(cells(&shown)[0], r#"["pod=p0",1]"#, "an order of the query's own is kept");
    }

    #[test]
    fn a_long_answer_shows_both_ends_and_sums_up_the_rest() {
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let shown = instant(at_once(&values), 8, false);
        assert_eq!(shown.table.seen, 100);
        let ends: Vec<String> = cells(&shown);
        assert_eq!(ends.len(), 8 + BOTTOM);
        assert_eq!(ends[0], r#"["pod=p99",99,"top"]"#);
        assert!(ends.contains(&r#"["pod=p0",0,"bottom"]"#.to_owned()), "{ends:?}");
        assert_eq!(shown.notes[0], "min 0, p50 49, p90 89, p99 98, max 99, sum 4950");
    }

    #[test]
    fn what_moved_most_comes_first_and_an_end_is_noted() {
        let over = |pod: &str, values: &[(i64, f64)]| RangeSeries {
            metric: [("pod".to_owned(), pod.to_owned())].into(),
            values: values.iter().map(|(at, value)| (*at as f64, *value)).collect(),
        };
        let grid = Grid { from: 0, to: 100, step: 10 };
        let found = || {
            vec![
                over("flat", &[(0, 5.0), (50, 5.0), (100, 5.0)]),
                over("risen", &[(0, 1.0), (10, 1.0), (100, 9.0)]),
                over("gone", &[(0, 5.0), (20, 6.0)]),
            ]
        };
        let shown = range(found(), 200, Some(grid), false);
        assert_eq!(cells(&shown)[0], r#"["pod=risen",1,9,1,9,3.667,8,"▁·▁····················█"]"#);
        assert_eq!(shown.notes, ["1 series ended before the window did"]);
        let shown = range(found(), 1, Some(grid), true);
        assert_eq!(cells(&shown), [r#"["pod=risen",0,[1,1,null,null,null,null,null,null,null,null,9]]"#]);
        assert_eq!(shown.table.seen, 3);
    }

    #[test]
    fn points_after_a_long_gap_stand_at_their_own_times() {
        let last = 100 * 1_000;
        let values = [0.0, 100.0, last as f64 - 100.0, last as f64].map(|at| (at, at)).to_vec();
        let found = || vec![RangeSeries { metric: Labels::new(), values: values.clone() }];
        let shown = range(found(), 10, Some(Grid { from: 0, to: last, step: 100 }), true);
        assert_eq!(cells(&shown), [r#"["",99900,[99900,100000]]"#], "the two old ones have no room");
        assert!(shown.notes[0].starts_with("only the newest 240 points"), "{:?}", shown.notes);
        let values = [0.0, 1_000.0, 99_000.0, 100_000.0].map(|at| (at, at)).to_vec();
        let found = || vec![RangeSeries { metric: Labels::new(), values: values.clone() }];
        let shown = range(found(), 10, Some(Grid { from: 0, to: last, step: 1_000 }), true);
        let told = shown.table.rows[0].cells[2].as_array().expect("values").len();
        assert!(shown.table.rows[0].cells[1] == json!(0) && told == 101, "{told}");
        assert!(shown.notes.is_empty(), "{:?}", shown.notes);
    }
}
