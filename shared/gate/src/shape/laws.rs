//! What holds for every answer.

use proptest::prelude::*;
use redact::{hides, redact_value};
use tool::{Body, Column, Lines, Row, Table};

use super::*;
use crate::tokens::real::tokens;

const COLUMNS: [Column; 4] =
    [Column::new("id"), Column::untrusted("message"), Column::new("value"), Column::untrusted("labels")];

fn target(hidden: bool) -> Target {
    let unknown = || "unknown".to_owned();
    Target {
        kind: "alerts".into(),
        id: if hidden { "hidden" } else { "open" }.to_owned(),
        connection: "alerts".to_owned(),
        environment: unknown(),
        region: unknown(),
        team: unknown(),
        tier: unknown(),
    }
}

fn shows(target: &Target) -> bool {
    target.id != "hidden"
}

fn cell() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => "[ -~]{0,60}".prop_map(Value::from),
        3 => "([a-z]{2,9} ){0,12}".prop_map(Value::from),
        2 => "\\PC{0,40}".prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
        1 => "[a-z0-9\u{200b}\u{202e}\n\"\\\\|]{0,400}".prop_map(Value::from),
        1 => "[A-Za-z0-9+/]{2000,6000}".prop_map(Value::from),
        2 => any::<i64>().prop_map(Value::from),
        1 => prop::collection::vec(any::<u16>(), 0..40).prop_map(Value::from),
        1 => Just(Value::Null),
        1 => ("[a-z]{1,5}", ".{0,20}").prop_map(|(name, text)| json!({ (name): text })),
    ]
}

type Rows = Vec<(Vec<Value>, Option<bool>)>;

fn rows() -> impl Strategy<Value = Rows> {
    let hidden = prop_oneof![2 => Just(None), 2 => Just(Some(false)), 1 => Just(Some(true))];
    let size = prop_oneof![Just(0..3_usize), Just(0..30), Just(30..120)];
    size.prop_flat_map(move |it| {
        prop::collection::vec((prop::collection::vec(cell(), 4), hidden.clone()), it)
    })
}

fn facts() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec(("[a-z_]{1,12}", cell()), 0..8).prop_map(|it| it.into_iter().collect())
}

fn table(rows: &Rows, beyond: u64) -> Body {
    let row = |(cells, hidden): &(Vec<Value>, Option<bool>)| Row {
        cells: cells.clone(),
        target: hidden.map(target),
    };
    Body::Table(Table {
        columns: COLUMNS.to_vec(),
        rows: rows.iter().map(row).collect(),
        seen: rows.len() as u64 + beyond,
        noun: "alerts",
        next: Some(Box::new(|shown| Some(json!({ "skip": shown })))),
    })
}

fn shaped(facts: &Map<String, Value>, body: Body, max_tokens: u64) -> Shaped {
    let answer = RawAnswer {
        facts: facts.clone(),
        body,
        not_looked_at: vec!["staging: timed out".to_owned()],
        plot: None,
    };
    shape(answer, &Frame { tool: "list_alerts", max_tokens, shows: &shows, reveal_pii: false })
}

fn within(shaped: &Shaped, max_tokens: u64) -> Result<(), TestCaseError> {
    let structured = tokens(&Value::Object(shaped.structured.clone()).to_string());
    prop_assert!(tokens(&shaped.text) <= max_tokens, "{}", shaped.text);
    prop_assert!(structured <= max_tokens, "{structured} of {max_tokens}: {}", shaped.text);
    Ok(())
}

fn number(shaped: &Shaped, name: &str) -> u64 {
    shaped.structured.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn strings(value: &Value, check: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => check(text),
        Value::Array(values) => values.iter().for_each(|it| strings(it, check)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            check(name);
            strings(value, check);
        }),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn text_and_structure_are_each_within_the_budget(facts in facts(), rows in rows(), beyond in 0..3_u64, max_tokens in 200..8000_u64) {
        within(&shaped(&facts, table(&rows, beyond), max_tokens), max_tokens)?;
    }

    #[test]
    fn every_row_given_is_shown_omitted_or_hidden_and_the_first_are_kept(facts in facts(), rows in rows(), beyond in 0..3_u64, max_tokens in 300..4000_u64) {
        let shaped = shaped(&facts, table(&rows, beyond), max_tokens);
        let hidden = rows.iter().filter(|it| it.1 == Some(true)).count() as u64;
        let given = rows.len() as u64;
        prop_assert_eq!(number(&shaped, "shown") + shaped.omitted + shaped.hidden, given);
        prop_assert_eq!(shaped.hidden, hidden);
        prop_assert_eq!(number(&shaped, "hidden_by_policy"), hidden);
        prop_assert_eq!(number(&shaped, "seen"), given + beyond - hidden);
        prop_assert!(given == hidden || number(&shaped, "shown") > 0, "the first row is kept: {}", shaped.text);
        let left_out = shaped.omitted + beyond > 0;
        prop_assert!(!left_out || shaped.text.contains("omitted: ") && shaped.structured.contains_key("omitted"));
    }

    #[test]
    fn a_hidden_row_leaves_no_trace_but_its_count(facts in facts(), rows in rows(), max_tokens in 300..4000_u64) {
        let open: Rows = rows.iter().filter(|it| it.1 != Some(true)).cloned().collect();
        let mut given = shaped(&facts, table(&rows, 0), max_tokens);
        let mut without = shaped(&facts, table(&open, 0), max_tokens);
        for it in [&mut given, &mut without] {
            it.hidden = 0;
            it.structured.shift_remove("hidden_by_policy");
            it.text = it.text.lines().filter(|it| !it.starts_with("hidden_by_policy: ")).collect();
        }
        prop_assert_eq!(given, without);
    }

    #[test]
    fn lines_are_consecutive_and_within_the_budget(lines in prop::collection::vec("[ -~]{0,120}|\\PC{0,30}|[a-z ]{900,3000}", 0..120), first in 1..900_u64, max_tokens in 200..4000_u64) {
        let seen = first - 1 + lines.len() as u64;
        let body = Body::Lines(Lines { lines: lines.clone(), first, seen, next: None });
        let shaped = shaped(&Map::new(), body, max_tokens);
        within(&shaped, max_tokens)?;
        let text = shaped.structured["text"].as_str().unwrap_or_default();
        let numbers: Vec<u64> = text.lines().map(|it| it.split(' ').next().unwrap_or_default().parse().unwrap_or_default()).collect();
        prop_assert_eq!(&numbers, &(first..first + number(&shaped, "shown")).collect::<Vec<_>>());
        prop_assert_eq!(numbers.len() as u64 + shaped.omitted, lines.len() as u64);
    }

    #[test]
    fn nothing_that_hides_and_no_secret_is_in_any_string(facts in facts(), rows in rows(), key in any::<String>()) {
        let token = format!("ghp_{}", "aB3dE5gH7jK9mN1pQ2sT4vW6yZ8bC0fL3hR5");
        let mut facts = facts;
        facts.insert(key, json!({ "\u{202e}note": token.replace('d', "d\u{200b}") }));
        let shaped = shaped(&facts, table(&rows, 0), 3000);
        let mut value = Value::Object(shaped.structured.clone());
        let mut hidden = 0;
        strings(&value, &mut |it| hidden += it.chars().filter(|it| hides(*it)).count());
        prop_assert_eq!(hidden + shaped.text.chars().filter(|it| hides(*it)).count(), 0);
        prop_assert!(!value.to_string().contains(&token) && !shaped.text.contains(&token));
        let mut again = Masked::default();
        redact_value(&mut value, false, &mut again);
        prop_assert_eq!(again.total(), 0, "{}", shaped.text);
    }

    #[test]
    fn a_refusal_is_within_the_budget_and_keeps_its_code(message in ".{0,3000}", fields in facts(), query in "[a-z{}=\"]{0,900}", names in prop::collection::vec("[a-z-]{1,60}", 0..200), max_tokens in 200..2000_u64) {
        let mut fields = fields;
        fields.insert("next".to_owned(), json!({ "tool": "x", "arguments": { "query": query } }));
        let suggestions = names.into_iter().map(|text| Suggestion { text, target: None }).collect();
        let refusal = RefusalText { code: "not_found", message, fields, suggestions, untrusted: false };
        let shaped = refuse(refusal, &Frame { tool: "", max_tokens, shows: &shows, reveal_pii: false });
        within(&shaped, max_tokens)?;
        if let Some(next) = shaped.structured.get("next") {
            prop_assert_eq!(&next["arguments"]["query"], &json!(query), "a call is whole or not there");
        }
        prop_assert_eq!(&shaped.structured["error"], "not_found");
        prop_assert!(shaped.text.starts_with("error: not_found\nmessage: ") && shaped.is_error);
    }
}
