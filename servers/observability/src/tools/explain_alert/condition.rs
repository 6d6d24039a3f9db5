//! How far is one condition of a rule from holding, and how did it come there?

use futures::future::OptionFuture;
use jiff::Timestamp;
use serde_json::{Value, json};
use tool::{Column, Row, ToolError};

use crate::{
    backends::prometheus::{Inquiry, Moments, Outcome, Prometheus},
    figure::Figure,
    grid::Grid,
    labels::{Labels, short, text},
    promql::{Against, Confined, Query, Term, Test},
    statistics::{Distribution, Point, sparkline},
};

/// What a condition came to.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// Series for which it holds now.
    pub(super) holding: u64,
    /// Series that it is asked of; none when it only asks whether there is anything.
    of: Option<u64>,
    /// Of the series that is nearest to holding, or furthest beyond.
    value: Option<f64>,
    threshold: Option<f64>,
    /// Value less threshold; for `==` and `!=` without its sign.
    pub(super) distance: Option<f64>,
    nearest: Labels,
    /// Of what is nearest at each moment: the value, or where the threshold moves its distance.
    course: Vec<Point>,
}

/// Most series of a value that are looked through for the one whose distance is known.
const LOOKED_THROUGH_MAX: u64 = 50;
/// Blocks of a course.
const WIDTH: usize = 20;
const CONDITION_MAX: usize = 160;
const NEAREST_MAX: usize = 100;

/// How the series nearest to holding is found.
struct Search {
    measured: String,
    /// The aggregation over one moment, and over each of many.
    one: &'static str,
    each: &'static str,
}

impl Search {
    fn of(term: &Term) -> Search {
        let Test::Compare { value, relation, against } = &term.test else {
            return Search { measured: term.query.text().to_owned(), one: "topk", each: "count" };
        };
        let distance = match against {
            Against::Constant(number) => format!("({}) - ({number})", value.text()),
            Against::Moving(distance) => distance.text().to_owned(),
        };
        let plain = match against {
            Against::Constant(_) => value.text().to_owned(),
            Against::Moving(_) => distance.clone(),
        };
        let (measured, one, each) = match *relation {
            ">" | ">=" => (plain, "topk", "max"),
            "<" | "<=" => (plain, "bottomk", "min"),
            "==" => (format!("abs({distance})"), "bottomk", "min"),
            _ => (format!("abs({distance})"), "topk", "max"),
        };
        Search { measured, one, each }
    }
}

/// Measures a condition now and, on a grid, before.
pub(super) async fn measure(
    prometheus: &Prometheus,
    term: &Term,
    now: Timestamp,
    grid: Option<Grid>,
    inquiry: &Inquiry,
) -> Result<Measured, ToolError> {
    let search = Search::of(term);
    let Search { measured, one, each } = &search;
    let now = Moments::At(now);
    // A part of what is confined is, too; only saying so again makes it something that can be asked.
    let confined = |query: &Query| prometheus.compose(query.text());
    let condition = confined(&term.query)?;
    let value = match &term.test {
        Test::Compare { value, .. } => Some(confined(value)?),
        Test::Present => None,
    };
    let counted: Vec<&Confined> = std::iter::once(&condition).chain(&value).collect();
    let counts = prometheus.count_results(&counted, now, inquiry).await?;
    let of = counts.get(1).copied();
    // What cannot be put around it is not asked.
    let nearest = prometheus.compose(&format!("{one}(1, {measured})")).ok();
    let course = prometheus.compose(&format!("{each}({measured})")).ok();
    let moves = matches!(&term.test, Test::Compare { against: Against::Moving(_), .. });
    let looked_through = value.as_ref().filter(|_| moves && of <= Some(LOOKED_THROUGH_MAX));
    let (nearest, course, values) = tokio::join!(
        ask(prometheus, nearest.as_ref(), Some(now), inquiry),
        ask(prometheus, course.as_ref(), grid.map(Moments::Over), inquiry),
        ask(prometheus, looked_through, Some(now), inquiry),
    );
    let mut found = Measured { holding: counts.first().copied().unwrap_or(0), of, ..Measured::default() };
    let mut shown = None;
    if let Some(Outcome::Vector(series)) = nearest?
        && let Some(first) = series.into_iter().next()
    {
        shown = first.value.map(|it| it.0.1);
        found.nearest = first.metric;
    }
    found.place(&term.test, shown, values?);
    if let Some(Outcome::Matrix(series)) = course? {
        found.course = series.into_iter().next().map(|it| it.values).unwrap_or_default();
    }
    Ok(found)
}

async fn ask(
    prometheus: &Prometheus,
    query: Option<&Confined>,
    when: Option<Moments>,
    inquiry: &Inquiry,
) -> Result<Option<Outcome>, ToolError> {
    let asked = query.zip(when).map(|(query, when)| prometheus.query(query, when, inquiry));
    Ok(OptionFuture::from(asked).await.transpose()?.map(|it| it.outcome))
}

impl Measured {
    /// Fills in value, threshold and distance from what the search for the nearest series showed.
    fn place(&mut self, test: &Test, shown: Option<f64>, values: Option<Outcome>) {
        let Test::Compare { relation, against, .. } = test else {
            self.value = shown;
            return;
        };
        let ordered = !matches!(*relation, "==" | "!=");
        match against {
            Against::Constant(number) => {
                self.threshold = Some(*number);
                self.value = match ordered {
                    true => shown,
                    false => shown.filter(|it| *it == 0.0).map(|_| *number),
                };
                self.distance = if ordered { shown.map(|it| it - number) } else { shown };
            }
            Against::Moving(_) => {
                self.distance = shown;
                self.value = values.and_then(|it| value_of(it, &self.nearest));
                let threshold = self.value.zip(shown).map(|(value, distance)| value - distance);
                self.threshold = threshold.filter(|_| ordered);
            }
        }
    }

    /// `3 of 20 series`, or `no series` where there is nothing to compare.
    fn holds(&self) -> String {
        match self.of {
            Some(0) => "no series".to_owned(),
            Some(of) => format!("{} of {of} series", self.holding),
            None if self.holding == 0 => "no".to_owned(),
            None => format!("{} series", self.holding),
        }
    }

    /// Why it does not hold, in few words.
    pub(super) fn lacks(&self) -> String {
        match (self.of, self.value, self.threshold) {
            (Some(0), ..) => "has nothing to compare: no series".to_owned(),
            (_, Some(value), Some(threshold)) => {
                let share =
                    (threshold != 0.0).then(|| format!(" ({}% of it)", Figure(value / threshold * 100.0)));
                let share = share.unwrap_or_default();
                format!("does not hold: {} against {}{share}", Figure(value), Figure(threshold))
            }
            _ => "does not hold".to_owned(),
        }
    }

    /// One row under [`columns`].
    pub(super) fn row(&self, part: usize, term: &Term, grid: Option<Grid>) -> Row {
        let figure = |it: Option<f64>| it.map_or(Value::Null, |it| Figure(it).cell());
        let spread = Distribution::of(self.course.iter().map(|it| it.1));
        let spark = grid
            .filter(|_| !self.course.is_empty())
            .map(|grid| json!(sparkline(&self.course, grid.from as f64, grid.to as f64, WIDTH)));
        let cells = vec![
            json!(part),
            json!(short(term.query.text(), CONDITION_MAX)),
            json!(self.holds()),
            figure(self.value),
            figure(self.threshold),
            figure(self.distance),
            figure(spread.map(|it| it.min)),
            figure(spread.map(|it| it.max)),
            spark.unwrap_or_default(),
            json!(short(&text(&self.nearest, &Labels::new()), NEAREST_MAX)),
        ];
        Row { cells, target: None }
    }
}

/// Columns of the rows of conditions.
pub(super) fn columns() -> Vec<Column> {
    let mut columns = vec![Column::new("part"), Column::untrusted("condition")];
    columns.extend(["holds", "value", "threshold", "distance", "low", "high", "course"].map(Column::new));
    columns.push(Column::untrusted("nearest"));
    columns
}

/// The value of the series that a distance is of: it has all labels of the distance.
fn value_of(values: Outcome, distance: &Labels) -> Option<f64> {
    let Outcome::Vector(series) = values else { return None };
    let has = |labels: &Labels| distance.iter().all(|(name, value)| labels.get(name) == Some(value));
    let mut same = series.iter().filter(|it| has(&it.metric)).filter_map(|it| it.value);
    match (same.next(), same.next()) {
        (Some(only), None) => Some(only.0.1),
        _ => None,
    }
}
