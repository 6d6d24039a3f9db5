//! What does a chart look like? Lines over time with axes and a legend, as a PNG for people.
//!
//! * **Invariant:** every chart is drawn, whatever its numbers and texts are: nothing here panics or fails.
//! * **Invariant:** a PNG holds nothing but the pixels: no text chunks, no time of its making.
//! * **Invariant:** this crate masks nothing. Whoever calls it has made the texts fit to leave.

mod axis;
mod canvas;

use canvas::{Canvas, INK_AXIS, INK_GRID, INK_TEXT, LETTER_WIDTH};

/// A chart whose texts are fit to be seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// What is drawn.
    pub title: String,
    /// Of the values; empty when it is not known.
    pub unit: String,
    /// First moment, Unix seconds.
    pub from: i64,
    /// Last moment, Unix seconds.
    pub to: i64,
    /// Distance of the points, seconds: what lies further apart is not joined.
    pub step: i64,
    /// The first [`LINES_MAX`] are drawn, the rest is counted in the legend.
    pub lines: Vec<Line>,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// For the legend.
    pub label: String,
    /// Moments in Unix seconds and values, earliest first.
    pub points: Vec<(f64, f64)>,
}

/// A rectangle of pixels, its edges included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// First column.
    pub left: i32,
    /// First row.
    pub top: i32,
    /// Last column.
    pub right: i32,
    /// Last row.
    pub bottom: i32,
}

/// Most lines that an eye tells apart.
pub const LINES_MAX: usize = 8;
/// Width and height in pixels.
pub const SIZE: (u32, u32) = (800, 400);
/// Where the lines are.
pub const AREA: Area = Area { left: 76, top: 42, right: 784, bottom: 304 };
/// Media type of what [`draw`] gives.
pub const MIME: &str = "image/png";
/// Most bytes of what [`draw`] gives: two pixels in a byte, even if none could be packed, and what stands around them.
pub const BYTES_MAX: usize = (SIZE.0 as usize / 2 + 1) * SIZE.1 as usize + 8 * 1024;

/// Rows of the texts above and below the lines, and the distance of rows in the legend.
const TITLE_ROW: i32 = 6;
const ABOUT_ROW: i32 = 22;
const LEGEND_ROW: i32 = 330;
const LEGEND_STEP: i32 = 17;
/// Widths of the mark beside a label, and of a column of the legend.
const MARK: i32 = 22;
const LEGEND_WIDTH: i32 = 392;
/// Free pixels at the left and right edge.
const EDGE: i32 = 8;

/// The colour of a line, as red, green and blue.
pub fn colour(line: usize) -> [u8; 3] {
    canvas::PALETTE[usize::from(canvas::ink_of_line(line))]
}

/// Draws a chart as a PNG of [`SIZE`].
pub fn draw(chart: &Chart) -> Vec<u8> {
    let mut canvas = Canvas::white();
    let lines = &chart.lines[..chart.lines.len().min(LINES_MAX)];
    let values = lines.iter().flat_map(|it| &it.points).filter(|it| seen(chart, it)).map(|it| it.1);
    let scale = axis::Scale::over(values);
    headings(&mut canvas, chart);
    axes(&mut canvas, chart, &scale);
    for (at, line) in lines.iter().enumerate() {
        course(&mut canvas, chart, &scale, &line.points, canvas::ink_of_line(at));
    }
    legend(&mut canvas, chart, lines);
    canvas.png()
}

/// Whether a point lies within the window and has a place.
fn seen(chart: &Chart, (at, value): &(f64, f64)) -> bool {
    value.is_finite() && *at >= chart.from as f64 && *at <= chart.to as f64
}

fn headings(canvas: &mut Canvas, chart: &Chart) {
    let room = canvas::letters(SIZE.0.cast_signed() - 2 * EDGE);
    canvas.text(EDGE, TITLE_ROW, &canvas::shown(&chart.title, room), INK_TEXT);
    let window = format!("{} to {} UTC", axis::moment(chart.from), axis::moment(chart.to));
    let unit = if chart.unit.is_empty() { String::new() } else { format!("{}; ", chart.unit) };
    let about = format!("{unit}{window}, every {} s", chart.step);
    canvas.text(EDGE, ABOUT_ROW, &canvas::shown(&about, room), INK_AXIS);
}

fn axes(canvas: &mut Canvas, chart: &Chart, scale: &axis::Scale) {
    for (value, label) in scale.ticks() {
        let y = row(scale, value);
        canvas.line((AREA.left, y), (AREA.right, y), 1, INK_GRID);
        let label = canvas::shown(&label, canvas::letters(AREA.left - 2 * EDGE));
        let width = LETTER_WIDTH * i32::try_from(label.chars().count()).unwrap_or(0);
        canvas.text(AREA.left - EDGE - width, y - 6, &label, INK_TEXT);
    }
    for (at, label) in axis::moments(chart.from, chart.to) {
        let x = column(chart, at as f64);
        canvas.line((x, AREA.top), (x, AREA.bottom), 1, INK_GRID);
        let width = LETTER_WIDTH * i32::try_from(label.chars().count()).unwrap_or(0);
        let start = (x - width / 2).min(SIZE.0.cast_signed() - width - 1);
        canvas.text(start, AREA.bottom + 6, &label, INK_TEXT);
    }
    canvas.line((AREA.left, AREA.top), (AREA.left, AREA.bottom), 1, INK_AXIS);
    canvas.line((AREA.left, AREA.bottom), (AREA.right, AREA.bottom), 1, INK_AXIS);
}

/// Joins points that follow one another; a point without neighbours is a dot.
fn course(canvas: &mut Canvas, chart: &Chart, scale: &axis::Scale, points: &[(f64, f64)], ink: u8) {
    let gap = 1.5 * chart.step.max(1) as f64;
    let mut before: Option<(f64, (i32, i32))> = None;
    for point in points {
        if !seen(chart, point) {
            // Between two values that have a place there was one that has none.
            before = None;
            continue;
        }
        let here = (column(chart, point.0), row(scale, point.1));
        match before.filter(|it| point.0 - it.0 <= gap) {
            Some((_, there)) => canvas.line(there, here, 2, ink),
            None => canvas.line(here, (here.0 + 1, here.1), 2, ink),
        }
        before = Some((point.0, here));
    }
}

fn legend(canvas: &mut Canvas, chart: &Chart, lines: &[Line]) {
    let room = canvas::letters(LEGEND_WIDTH - MARK - EDGE);
    let rows = i32::try_from(LINES_MAX.div_ceil(2)).unwrap_or(1);
    for (at, line) in (0..).zip(lines) {
        let (x, y) = (EDGE + LEGEND_WIDTH * (at / rows), LEGEND_ROW + LEGEND_STEP * (at % rows));
        canvas.line((x, y + 6), (x + MARK - 6, y + 6), 4, canvas::ink_of_line(at.unsigned_abs() as usize));
        canvas.text(x + MARK, y, &canvas::shown(&line.label, room), INK_TEXT);
    }
    let word = match (lines.len(), chart.lines.len() - lines.len()) {
        (0, _) => "nothing to draw".to_owned(),
        (_, 0) => return,
        (_, more) => format!("+{more} not drawn"),
    };
    let width = LETTER_WIDTH * i32::try_from(word.len()).unwrap_or(0);
    canvas.text(SIZE.0.cast_signed() - EDGE - width, ABOUT_ROW, &word, INK_TEXT);
}

/// The column of a moment.
fn column(chart: &Chart, at: f64) -> i32 {
    let whole = chart.to as f64 - chart.from as f64;
    let part = if whole > 0.0 { (at - chart.from as f64) / whole } else { 0.5 };
    AREA.left + pixels(part, AREA.right - AREA.left)
}

/// The row of a value.
fn row(scale: &axis::Scale, value: f64) -> i32 {
    AREA.bottom - pixels(scale.part(value), AREA.bottom - AREA.top)
}

/// A part of a length, never beyond it.
fn pixels(part: f64, length: i32) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and the length")]
    let pixels = (part.clamp(0.0, 1.0) * f64::from(length)).round() as i32;
    pixels
}

#[cfg(test)]
mod tests;
