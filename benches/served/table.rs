//! How are figures written? As medians beside the floor of the same run.

use std::fmt;

/// Figures in the order they were measured.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<[String; 5]>,
}

impl Table {
    /// A figure and its floor, measured in turns: medians, and the median of the ratios turn by turn, which what else the
    /// machine does disturbs least.
    pub(crate) fn compared(&mut self, figure: &str, unit: &str, measured: &[f64], floor: &[f64], aim: &str) {
        let ratios: Vec<f64> = measured.iter().zip(floor).map(|(measured, floor)| measured / floor).collect();
        let [measured, floor] = [measured, floor].map(|it| amount(median(it), unit));
        self.row(figure, &measured, &floor, &format!("{:.2}", median(&ratios)), aim);
    }

    /// How much more a figure is than its floor, in the median of turns.
    pub(crate) fn added(&mut self, figure: &str, unit: &str, measured: &[f64], floor: &[f64], aim: &str) {
        let added: Vec<f64> = measured.iter().zip(floor).map(|(measured, floor)| measured - floor).collect();
        self.row(figure, &amount(median(&added), unit), "", "", aim);
    }

    fn row(&mut self, figure: &str, measured: &str, floor: &str, ratio: &str, aim: &str) {
        self.rows.push([figure, measured, floor, ratio, aim].map(str::to_owned));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["figure", "measured", "floor", "ratio", "aim"].map(str::to_owned);
        let rows: Vec<_> = std::iter::once(&head).chain(&self.rows).collect();
        let widths: Vec<usize> =
            (0..5).map(|it| rows.iter().map(|row| row[it].chars().count()).max().unwrap_or(0)).collect();
        for (at, row) in rows.into_iter().enumerate() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            writeln!(out, "| {} |", cells.collect::<Vec<_>>().join(" | "))?;
            if at == 0 {
                writeln!(
                    out,
                    "| {} |",
                    widths.iter().map(|it| "-".repeat(*it)).collect::<Vec<_>>().join(" | ")
                )?;
            }
        }
        Ok(())
    }
}

fn amount(amount: f64, unit: &str) -> String {
    match amount {
        100.0.. => format!("{amount:.0} {unit}"),
        10.0.. => format!("{amount:.1} {unit}"),
        _ => format!("{amount:.2} {unit}"),
    }
}

/// The middle one.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}
