//! What holds for every query?

use std::{sync::LazyLock, time::Duration};

use proptest::prelude::*;

use crate::{
    promql::{Moments, Outcome, Parsed, evaluate},
    store::{Labels, Store},
};

use super::{
    expressions::EXPRESSIONS,
    samples::{END_S, Samples},
};

/// The same for every case.
static STORE: LazyLock<Store> = LazyLock::new(|| Samples::made().store());
const TIMEOUT: Duration = Duration::from_secs(60);

/// Rows with a value at the moment of this number, by labels.
fn at(outcome: Outcome, number: usize) -> Vec<(Labels, f64)> {
    let mut rows: Vec<(Labels, f64)> = match outcome {
        Outcome::Scalar(values) => vec![(Labels::default(), values[number])],
        Outcome::Vector(rows) => {
            rows.into_iter().filter_map(|it| Some((it.labels, it.values[number]?))).collect()
        }
        Outcome::Matrix(_) | Outcome::Text(_) => Vec::new(),
    };
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    rows
}

fn asked(query: &Parsed, moments: Moments) -> Outcome {
    evaluate(&STORE, query, moments, TIMEOUT).expect("these queries have answers")
}

#[test]
fn a_range_is_what_its_moments_are() {
    let moments = Moments::over((END_S - 1_800) * 1_000, END_S * 1_000, 90_000);
    // What these mean depends on the range itself.
    let alike = EXPRESSIONS.iter().filter(|it| !it.contains("start()") && !it.contains("end()"));
    for text in alike {
        let query = Parsed::new(text).expect(text);
        let range = asked(&query, moments);
        for (number, moment) in moments.iter().enumerate().step_by(4) {
            let instant = asked(&query, Moments::at(moment));
            let (a, b) = (at(range.clone(), number), at(instant, 0));
            assert_eq!(format!("{a:?}"), format!("{b:?}"), "{text} at {moment}");
        }
    }
}

/// Pieces of queries that mean something, and some that mean nothing.
const PIECES: [&str; 30] = [
    "up",
    "odd",
    "{job=\"app\"}",
    "[5m]",
    "[10m:1m]",
    "rate(",
    "sum(",
    "topk(2,",
    "by (service)",
    "on (job)",
    "group_left",
    "(",
    ")",
    "+",
    "/",
    "and",
    "unless",
    "-",
    "1e308",
    "0",
    "NaN",
    "offset 5m",
    "@ 0",
    "bool",
    ">",
    "label_replace(",
    "\"a\"",
    ",",
    "histogram_quantile(0.9,",
    "absent(",
];

proptest! {
    #[test]
    fn no_query_breaks_the_evaluation(pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 1..12)) {
        if let Ok(query) = Parsed::new(&pieces.join(" ")) {
            let _ = evaluate(&STORE, &query, Moments::over(END_S * 1_000 - 60_000, END_S * 1_000, 30_000), TIMEOUT);
        }
    }

    #[test]
    fn no_text_breaks_the_parser(text in "\\PC{0,200}") {
        let _ = Parsed::new(&text);
    }
}
