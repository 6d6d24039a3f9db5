//! What may be drawn? Lines that policy shows, under texts that are fit to leave: nothing else reaches a pixel, because only
//! what comes out of the way out is drawn.

use plot::Chart;
use tool::Plot;

use super::{Frame, outlet::Outlet};
use crate::Masked;

/// A picture for people.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    /// Media type.
    pub mime: &'static str,
    /// The file, at most 256 KiB.
    pub bytes: Vec<u8>,
}

/// Drawn only where it holds for every chart.
const BYTES_MAX: usize = 256 * 1024;
const _: () = assert!(plot::BYTES_MAX <= BYTES_MAX);

/// Draws what policy shows of a plot, and says what was masked in it; nothing when no line is left. Texts are masked whole,
/// before the drawing shortens them: half a secret is known by nothing.
pub(super) fn draw(plot: Plot, frame: &Frame) -> Option<(Image, Masked)> {
    let mut outlet = Outlet::new(frame.reveal_pii);
    let Plot { title, unit, from, to, step, lines } = plot;
    let title = outlet.text(title);
    let shown = lines.into_iter().filter(|it| it.target.as_ref().is_none_or(frame.shows));
    let lines: Vec<plot::Line> =
        shown.map(|it| plot::Line { label: outlet.text(it.label), points: it.points }).collect();
    if lines.is_empty() {
        return None;
    }
    let bytes = plot::draw(&Chart { title, unit: unit.to_owned(), from, to, step, lines });
    Some((Image { mime: plot::MIME, bytes }, outlet.masked()))
}

/// Without the pixels, which nobody reads in a log.
impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image").field("mime", &self.mime).field("bytes", &self.bytes.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};
    use tool::{Body, Line, RawAnswer};

    use super::*;
    use crate::shape::{Shaped, shape};

    /// Assembled here, so that no scanner takes this file for a leak.
    fn token() -> String {
        format!("ghp_{}", "a1B2c3D4e5F6g7H8i9J0".repeat(2).get(..36).expect("long enough"))
    }

    fn line(label: &str, hidden: bool) -> Line {
        let unknown = || "unknown".to_owned();
        let target = policy::Target {
            kind: "metrics".into(),
            id: if hidden { "hidden" } else { "open" }.to_owned(),
            connection: "metrics".to_owned(),
            environment: unknown(),
            region: unknown(),
            team: unknown(),
            tier: unknown(),
        };
        // A line that is not shown would stretch the scale.
        let height = if hidden { 1_000.0 } else { 1.0 };
        Line { label: label.to_owned(), points: vec![(0.0, 0.0), (60.0, height)], target: Some(target) }
    }

    fn shaped(title: &str, lines: Vec<Line>) -> Shaped {
        let plot = Plot { title: title.to_owned(), unit: "", from: 0, to: 60, step: 60, lines };
        let facts = Map::from_iter([("time".to_owned(), json!("now"))]);
        let answer = RawAnswer { facts, body: Body::None, not_looked_at: Vec::new(), plot: Some(plot) };
        let shows = |it: &policy::Target| it.id == "open";
        shape(answer, &Frame { tool: "plot_metrics", max_tokens: 2000, shows: &shows, reveal_pii: false })
    }

    #[test]
    fn a_secret_in_a_label_or_a_title_is_masked_before_it_is_drawn() {
        let told =
            shaped(&format!("up{{t={:?}}}", token()), vec![line(&format!("token={}", token()), false)]);
        let again =
            shaped("up{t=\"[secret: github token]\"}", vec![line("token=[secret: github token]", false)]);
        assert!(told.image.is_some());
        assert_eq!(told.image, again.image, "pixel by pixel what a masked text gives");
        assert_eq!(told.masked.total(), 2);
        assert_eq!(told.untrusted, ["image"]);
        assert!(
            !told.text.contains("image") && !told.structured.contains_key("image"),
            "a picture is no fact"
        );
    }

    #[test]
    fn a_secret_that_the_drawing_would_cut_in_half_is_masked_whole() {
        let long = |secret: &str| format!("pod={},token={secret}", "p".repeat(30));
        let told = shaped("up", vec![line(&long(&token()), false)]);
        let again = shaped("up", vec![line(&long("[secret: github token]"), false)]);
        assert_eq!(told.image, again.image);
    }

    #[test]
    fn a_secret_broken_up_by_characters_that_nobody_sees_is_masked() {
        let (start, end) = (token()[..9].to_owned(), token()[9..].to_owned());
        let told = shaped("up", vec![line(&format!("t={start}\u{200b}{end}"), false)]);
        let again = shaped("up", vec![line("t=[secret: github token]", false)]);
        assert_eq!(told.image, again.image);
    }

    #[test]
    fn a_line_that_policy_hides_leaves_no_trace_in_the_picture() {
        let told = shaped("up", vec![line("a", false), line("b", true), line("c", false)]);
        let without = shaped("up", vec![line("a", false), line("c", false)]);
        assert_eq!(told.image, without.image, "neither a line nor the scale nor a colour");
        assert!(shaped("up", vec![line("b", true)]).image.is_none());
    }
}
