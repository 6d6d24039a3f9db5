//! Looked at with the eyes of a decoder.

use proptest::prelude::*;

use super::*;

/// Inks of all pixels.
fn inks(bytes: &[u8]) -> Vec<u8> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("a PNG");
    let mut packed = vec![0; reader.output_buffer_size().expect("small")];
    reader.next_frame(&mut packed).expect("pixels");
    assert_eq!((reader.info().width, reader.info().height), SIZE);
    assert!(reader.info().uncompressed_latin1_text.is_empty() && reader.info().utf8_text.is_empty());
    packed.iter().flat_map(|it| [it >> 4, it & 15]).collect()
}

/// Places inside of the area that have an ink: column and row from its left and top.
fn places(bytes: &[u8], ink: u8) -> Vec<(i32, i32)> {
    let width = SIZE.0 as usize;
    let inks = inks(bytes);
    let places = inks.iter().enumerate().filter(|it| *it.1 == ink);
    let places = places.map(|(at, _)| ((at % width) as i32, (at / width) as i32));
    let inside = |it: &(i32, i32)| {
        (AREA.left..=AREA.right).contains(&it.0) && (AREA.top..=AREA.bottom).contains(&it.1)
    };
    places.filter(inside).map(|(x, y)| (x - AREA.left, y - AREA.top)).collect()
}

fn line(label: &str, points: &[(i64, f64)]) -> Line {
    Line { label: label.to_owned(), points: points.iter().map(|it| (it.0 as f64, it.1)).collect() }
}

fn chart(lines: Vec<Line>) -> Chart {
    Chart {
        title: "sum by (service) (rate(http_requests_total[5m]))".to_owned(),
        unit: "1/s".to_owned(),
        from: 1_769_839_200,
        to: 1_769_860_800,
        step: 300,
        lines,
    }
}

/// A line that is 10 but for one moment.
fn peaked(peak: i64) -> Line {
    let points = (0..=72).map(|it| (1_769_839_200 + it * 300, if it == peak { 100.0 } else { 10.0 }));
    line("service=checkout", &points.collect::<Vec<_>>())
}

#[test]
fn a_peak_is_where_it_was() {
    for peak in [1, 24, 54, 71] {
        let bytes = draw(&chart(vec![peaked(peak)]));
        let places = places(&bytes, canvas::ink_of_line(0));
        let top = places.iter().min_by_key(|it| it.1).expect("a line");
        let right = (AREA.right - AREA.left) * i32::try_from(peak).expect("small") / 72;
        assert!((top.0 - right).abs() <= 2, "{top:?}, not {right}");
        assert!(top.1 <= 2, "the peak is the top of the scale: {top:?}");
        let bottom = places.iter().map(|it| it.1).max().expect("a line");
        assert!((bottom - (AREA.bottom - AREA.top) * 9 / 10).abs() <= 3, "10 of 100 from below: {bottom}");
    }
}

#[test]
fn a_gap_stays_open_and_a_lone_point_is_seen() {
    let points = [(0, 5.0), (300, 5.0), (600, f64::NAN), (900, 5.0), (6_000, 5.0)];
    let points: Vec<_> = points.iter().map(|it| (1_769_839_200 + it.0, it.1)).collect();
    let bytes = draw(&chart(vec![line("a", &points)]));
    let columns: Vec<i32> = places(&bytes, canvas::ink_of_line(0)).iter().map(|it| it.0).collect();
    let seen = |minute: i32| columns.contains(&(((AREA.right - AREA.left) * minute + 180) / 360));
    assert!(seen(2) && seen(15) && seen(100), "{columns:?}");
    assert!(!seen(10) && !seen(50) && !seen(200), "{columns:?}");
}

#[test]
fn every_line_has_its_own_colour_in_the_chart_and_in_the_legend() {
    let flat = |at: i64| {
        let points = [(1_769_839_200, at as f64), (1_769_839_500, at as f64)];
        line(&format!("pod=\"p{at}\""), &points)
    };
    let bytes = draw(&chart((1..=10).map(flat).collect()));
    let inks = inks(&bytes);
    let legend = inks.len() / SIZE.1 as usize * LEGEND_ROW as usize;
    for at in 0..LINES_MAX {
        let ink = canvas::ink_of_line(at);
        assert!(inks[..legend].contains(&ink) && inks[legend..].contains(&ink), "{at}");
    }
    let colours: std::collections::BTreeSet<_> = (0..LINES_MAX).map(colour).collect();
    assert_eq!(colours.len(), LINES_MAX);
}

#[test]
fn a_text_that_does_not_fit_is_shortened_and_stays_on_its_line() {
    assert_eq!(canvas::shown("a\nb\tc ü€", 20), "a b c ü?");
    assert_eq!(canvas::shown("abcdefgh", 6), "abc...");
    assert_eq!(canvas::shown("abcdef", 6), "abcdef");
    assert_eq!(canvas::shown("abcdef", 0), "");
}

#[test]
fn marks_at_the_axes_are_round() {
    let ticks = |low: f64, high: f64| -> Vec<String> {
        axis::Scale::over([low, high].into_iter()).ticks().into_iter().map(|it| it.1).collect()
    };
    assert_eq!(ticks(10.0, 100.0), ["0", "20", "40", "60", "80", "100"]);
    assert_eq!(ticks(0.0, 0.3), ["0.0", "0.1", "0.2", "0.3"]);
    assert_eq!(ticks(1.2e9, 1.4e9), ["1.20G", "1.25G", "1.30G", "1.35G", "1.40G"]);
    assert_eq!(ticks(-5.0, 5.0), ["-6", "-4", "-2", "0", "2", "4", "6"]);
    assert_eq!(ticks(7.0, 7.0).len(), 5);
    let moments: Vec<_> = axis::moments(1_769_839_200, 1_769_860_800).into_iter().map(|it| it.1).collect();
    assert_eq!(moments, ["06:00", "07:00", "08:00", "09:00", "10:00", "11:00", "12:00"]);
    let night: Vec<_> = axis::moments(1_769_810_400, 1_769_832_000).into_iter().map(|it| it.1).collect();
    assert!(night.contains(&"01-31".to_owned()), "{night:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_chart_is_drawn_within_its_bytes(
        title in ".*", unit in ".{0,9}", label in ".*", from in any::<i64>(), length in -9_i64..9_999_999,
        step in any::<i64>(), values in prop::collection::vec((any::<f64>(), any::<f64>()), 0..40), lines in 0_usize..10,
    ) {
        let to = from.saturating_add(length);
        let points: Vec<(f64, f64)> = values.iter().map(|it| (from as f64 + it.0.abs() % 1e7, it.1)).collect();
        let lines = vec![Line { label, points }; lines];
        let bytes = draw(&Chart { title, unit, from, to, step, lines });
        prop_assert!(bytes.len() <= BYTES_MAX);
        prop_assert_eq!(inks(&bytes).len(), (SIZE.0 * SIZE.1) as usize);
    }

    #[test]
    fn the_noisiest_chart_is_small(seed in any::<u64>()) {
        let mut state = seed | 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64
        };
        let mut noise = |at: usize| {
            let points = (0..=120).map(|it| (1_769_839_200 + it * 180, next())).collect::<Vec<_>>();
            line(&format!("service=\"{at}\",pod=\"checkout-api-7d9c6b5f4-{at}x2bz\""), &points)
        };
        let bytes = draw(&chart((0..8).map(&mut noise).collect()));
        prop_assert!(bytes.len() <= 60 * 1024, "{} bytes", bytes.len());
    }
}
