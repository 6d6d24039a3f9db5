//! The bound against the tokenizers themselves.

use proptest::{prelude::*, string::string_regex};

use super::*;
use crate::tokens::real::tokens;

const PROSE: &str = include_str!("../../../redact/src/clean.rs");
const CODE: &str = include_str!("../../../redact/src/rules.rs");
const PROMQL: &str = r#"sum by (service) (rate(http_requests_total{code=~"5..",namespace="checkout"}[5m])) / sum by (service) (rate(http_requests_total{namespace="checkout"}[5m]))
histogram_quantile(0.99, sum by (le, job) (rate(http_request_duration_seconds_bucket{job="api",route!~"/healthz|/metrics"}[5m]))) > 0.25
topk(10, count by (__name__) ({__name__=~".+"})) or label_replace(up, "host", "$1", "instance", "(.*):.*")"#;

fn commits() -> String {
    let subjects = [
        "Fix a race in the retry of payment capture",
        "Bump serde from 1.0.210 to 1.0.219",
        "Revert \"Raise the pool size to 64\"",
        "Return 429 when the queue is full (#4812)",
    ];
    let row = |number: usize| {
        let sha = format!("{:010x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 24);
        let at = format!("2026-03-{:02}T{:02}:{:02}:11Z", number % 28 + 1, number % 24, number * 7 % 60);
        serde_json::json!([
            &sha[..10],
            at,
            "alice",
            subjects[number % 4],
            number * 37 % 400,
            "src/payments/capture.rs"
        ])
    };
    let rows: Vec<_> = (0..60).map(row).collect();
    serde_json::json!({
        "connection": "shop", "window": "2026-03-01T00:00:00Z/2026-03-28T00:00:00Z", "seen": 500, "shown": 60,
        "omitted": "440 commits left out to stay within 2000 tokens",
        "columns": ["sha", "at", "author", "subject", "changed_lines", "largest_file"], "rows": rows,
    })
    .to_string()
}

fn series() -> String {
    let row = |number: usize| {
        format!(
            "{{service=\"checkout\",pod=\"checkout-{:x}-x{}k2p\",instance=\"10.4.{}.{}:9090\"}} | {}.{} | 0.{:04} | ▁▂▂▃▅▇█▆",
            number * 7_919_777,
            number % 10,
            number % 255,
            number * 7 % 255,
            number * 31 % 100,
            number % 10,
            number * 917 % 10_000,
        )
    };
    (0..60).map(row).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_tools_answer_is_overestimated_by_little() {
    for (name, text) in [
        ("prose", PROSE.to_owned()),
        ("code", CODE.to_owned()),
        ("commits", commits()),
        ("series", series()),
        ("promql", PROMQL.repeat(3)),
    ] {
        let (bound, real) = (upper_bound(&text), tokens(&text));
        let ratio = bound as f64 / real as f64;
        assert!((1.0..=1.6).contains(&ratio), "{name}: {bound} / {real} = {ratio:.2}");
    }
}

#[test]
fn runs_of_one_character_are_bounded() {
    for it in (0..=127_u8).map(char::from).chain("é漢🙂\u{301}\u{a0}▁ßЖ\u{200d}".chars()) {
        for length in [1, 2, 3, 7, 40, 500, 3000] {
            let text: String = std::iter::repeat_n(it, length).collect();
            assert!(
                upper_bound(&text) >= tokens(&text),
                "{it:?} × {length}: {} {}",
                upper_bound(&text),
                tokens(&text)
            );
        }
    }
}

#[test]
fn a_prefix_is_within_its_tokens_to_one_and_the_whole_text_when_that_is() {
    let text = commits();
    for limit in [0, 1, 50, 500] {
        let part = &text[..prefix(&text, limit)];
        assert!(upper_bound(part) <= limit + upper_bound("") + 1);
    }
    assert_eq!(prefix(&text, 100_000), text.len());
    assert_eq!(prefix("漢字", 4), 3);
}

fn alphabet() -> impl Strategy<Value = String> {
    let classes = [
        "[ -~]{0,3000}",
        "[a-z]{0,3000}",
        "[A-Z]{0,3000}",
        "[A-Za-z]{0,3000}",
        "[0-9a-f]{0,3000}",
        "[0-9A-F-]{0,3000}",
        "[A-Za-z0-9+/]{0,3000}",
        "[A-Za-z0-9_-]{0,3000}",
        "[0-9]{0,3000}",
        "[0-9.,: -]{0,3000}",
        "[!-/:-@\\[-`{-~]{0,3000}",
        "[ \n\t\r]{0,3000}",
        "[ \n]{0,300}",
        "[a-z \n]{0,3000}",
        "[{}\\[\\]\":, a-b1]{0,3000}",
        "\\PC{0,1500}",
        "[\u{4e00}-\u{9fff}]{0,1000}",
        "[\u{1f300}-\u{1faff}\u{200d}\u{fe0f}]{0,700}",
        "[a-z\u{300}-\u{36f}]{0,1500}",
        "[\u{400}-\u{4ff} ]{0,1500}",
        "[\u{2000}-\u{203f}\u{2500}-\u{25ff}]{0,900}",
        "([\u{2581}-\u{2588}]{1,12}[ |a-z,\"]){0,90}",
        "[\u{2000}-\u{25ff} é]{0,900}",
        "([a-z]{2,9}[ _.]){0,300}",
        "(\"[a-z_]{2,12}\":\"[A-Za-z0-9 ]{0,20}\",){0,80}",
        "([0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{12} ){0,60}",
        "([a-z_]{3,12}\\{[a-z]{2,8}=~\"[a-z.*]{2,10}\"\\}\\[[0-9]m\\] [+*/-] ){0,60}",
        "(    [a-z]{2,8}\\([a-z]{1,6}, &[a-z]{1,6}\\);\n){0,80}",
    ];
    proptest::sample::select(classes.to_vec()).prop_flat_map(|it| string_regex(it).expect("a pattern"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_tokenizer_makes_more_tokens_than_the_bound(text in alphabet(), bytes in prop::collection::vec(any::<u8>(), 0..1500)) {
        for text in [text, String::from_utf8_lossy(&bytes).into_owned()] {
            prop_assert!(upper_bound(&text) >= tokens(&text), "{} < {}", upper_bound(&text), tokens(&text));
            prop_assert!(ceiling(text.len()) >= upper_bound(&text));
        }
    }

    #[test]
    fn words_in_whatever_order_and_case_are_bounded(picks in prop::collection::vec((0..900_usize, 0..4_u8), 0..300)) {
        let words: Vec<&str> = std::str::from_utf8(WORDS).expect("words").lines().collect();
        let text: String = picks.iter().map(|(pick, form)| match (words[pick % words.len()], form) {
            (word, 0) => format!("{word} "),
            (word, 1) => format!("{}{}", word[..1].to_uppercase(), &word[1..]),
            (word, 2) => format!("{} ", word.to_uppercase()),
            (word, _) => format!("{word}_"),
        }).collect();
        prop_assert!(upper_bound(&text) >= tokens(&text));
    }
}
