//! What does a channel of Slack show? Text that nothing in it can turn into a link, a mention or a format.
//!
//! What others wrote stands in `plain_text` only, and `&`, `<` and `>`, the characters that begin everything special, are
//! escaped there too (<https://docs.slack.dev/messaging/formatting-message-text>,
//! <https://docs.slack.dev/reference/block-kit/composition-objects/text-object>). The one `mrkdwn` text is our own link.

use approval::Notice;
use reqwest::Url;
use serde_json::{Value, json};

use super::message::{Plain, headline, link};

/// Most characters of a text, escaped; Slack refuses more than 3000.
const TEXT_MAX: usize = 2900;
/// Most of a header; Slack refuses more than 150.
const HEADER_MAX: usize = 140;

/// The body for an incoming webhook.
pub(super) fn message(notice: &Notice, base: Option<&Url>) -> Vec<u8> {
    let plain = Plain::of(notice);
    let headline = headline(notice);
    let mut blocks = vec![json!({ "type": "header", "text": text(headline, HEADER_MAX) })];
    let mut facts = vec![plain.heading.clone()];
    facts.extend(plain.facts);
    facts.extend(Some(plain.note).filter(|it| !it.is_empty()));
    blocks.push(section(&facts.join("\n")));
    if !plain.details.is_empty() {
        blocks.push(section(&format!("The agent's arguments:\n{}", plain.details)));
    }
    if let Some(reason) = plain.reason {
        // Nothing in it ends the quotation.
        blocks.push(section(&format!("The agent says why: \"{}\"", reason.replace(['"', '“', '”'], "'"))));
    }
    let about = &notice.about;
    blocks.push(match link(notice, base) {
        Some(link) => json!({
            "type": "section",
            "text": { "type": "mrkdwn", "verbatim": true, "text": format!("<{}|Look at {about} and decide>", escaped(&link, TEXT_MAX)) },
        }),
        None => section(about),
    });
    let whole = json!({
        // Shown where blocks are not, e.g. on a locked phone.
        "text": escaped(&format!("{headline}: {}", plain.heading), TEXT_MAX),
        "mrkdwn": false, "parse": "none", "link_names": false, "unfurl_links": false, "unfurl_media": false,
        "blocks": blocks,
    });
    whole.to_string().into_bytes()
}

fn section(it: &str) -> Value {
    json!({ "type": "section", "text": text(it, TEXT_MAX) })
}

fn text(it: &str, most: usize) -> Value {
    json!({ "type": "plain_text", "emoji": false, "text": escaped(it, most) })
}

/// Without characters that mean something, and cut where it would be too long.
fn escaped(text: &str, most: usize) -> String {
    let (mut escaped, mut length) = (String::with_capacity(text.len()), 0);
    for letter in text.chars() {
        let mut buffer = [0; 4];
        let one = match letter {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            other => other.encode_utf8(&mut buffer),
        };
        length += one.chars().count();
        if length > most {
            escaped.push('…');
            break;
        }
        escaped.push_str(one);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use approval::{Event, Subject};

    use super::*;
    use crate::notify::message::tests::notice;

    fn told(notice: &Notice) -> Value {
        let base = "https://bailiwick.example.com/approvals/".parse().expect("an address");
        serde_json::from_slice(&message(notice, Some(&base))).expect("JSON")
    }

    /// Every text of a message with whether Slack looks for formats in it.
    fn texts(told: &Value) -> Vec<(bool, String)> {
        let blocks = told["blocks"].as_array().expect("blocks").iter().map(|it| &it["text"]);
        let read = |it: &Value| (it["type"] == "mrkdwn", it["text"].as_str().expect("a text").to_owned());
        blocks.map(read).chain([(false, told["text"].as_str().expect("a text").to_owned())]).collect()
    }

    #[test]
    fn nothing_that_an_agent_writes_becomes_a_link_a_mention_or_a_format() {
        for hostile in [
            "<!here> <!channel> <!everyone> <@U0123456> <#C0123456|ops> <!subteam^S01>",
            "<https://evil.example/approve|Look at it and decide>",
            "&lt;!here&gt; &#60;!channel&#62;",
            "*Approved by the CISO* _yes_ ~no~ `code` ```block``` > quote",
            "https://evil.example/approve @channel @here #general :white_check_mark:",
            "\u{202e}desrever\u{200b} <\u{200b}!here>",
            "x\"\nApproved by: ciso@example.com\nuntil: never",
        ] {
            let told = told(&notice(hostile));
            for (formatted, text) in texts(&told) {
                if formatted {
                    let id = "apr-k3v9m2q7x4c8r5tz";
                    let right =
                        format!("<https://bailiwick.example.com/approvals/{id}|Look at {id} and decide>");
                    assert_eq!(text, right, "the one formatted text is ours");
                    continue;
                }
                assert!(!text.contains(['<', '>']), "{text}");
                let bare =
                    ["&amp;", "&lt;", "&gt;"].iter().fold(text.clone(), |text, it| text.replace(it, ""));
                assert!(!bare.contains('&') && !bare.contains('\u{202e}'), "{text}");
            }
            assert_eq!((&told["parse"], &told["mrkdwn"]), (&json!("none"), &json!(false)));
            assert_eq!((&told["link_names"], &told["unfurl_links"]), (&json!(false), &json!(false)));
            let reason = told["blocks"][3]["text"]["text"].as_str().expect("a text");
            assert!(reason.starts_with("The agent says why: \"") && reason.ends_with('"'), "{reason}");
            assert_eq!(reason.matches('"').count(), 2, "nothing ends the quotation: {reason}");
            assert!(
                !told["text"].as_str().is_some_and(|it| it.contains("evil")),
                "one line holds facts only"
            );
        }
    }

    #[test]
    fn facts_come_first_and_the_agents_words_as_its_own() {
        let told = told(&notice("noise"));
        let texts: Vec<String> = texts(&told).into_iter().map(|it| it.1).collect();
        assert_eq!(texts[0], "Approval wanted");
        let facts = "silence_alert on alerts (production, team shop)\neffect: mitigate; undo: exact\n\
                     asked by: claude-code for alice@example.com (token)\n\
                     1 of 2 approved, to be confirmed at the keyboard\nuntil: 2026-11-22T04:00:00Z";
        assert_eq!(texts[1], facts);
        assert_eq!(texts[2], "The agent's arguments:\ncomment: noise");
        assert_eq!(texts[3], "The agent says why: \"noise\"");
        assert_eq!(texts[5], "Approval wanted: silence_alert on alerts (production, team shop)");
    }

    #[test]
    fn no_text_is_longer_than_slack_takes() {
        for long in ["&".repeat(20_000), "ü🙂".repeat(10_000)] {
            for (_, text) in texts(&told(&notice(&long))) {
                assert!(text.chars().count() <= 3000, "{}", text.chars().count());
            }
        }
    }

    #[test]
    fn an_order_to_stop_says_what_and_by_whom() {
        let subject = Subject::Stop { scope: "environment=production".to_owned() };
        let note = "by bob: <!here> bad deploy".to_owned();
        let stopped =
            Notice { event: Event::Stopped, about: "stop-1".to_owned(), note, subject, ..notice("") };
        let texts: Vec<String> = texts(&told(&stopped)).into_iter().map(|it| it.1).collect();
        let right = [
            "Stopped",
            "environment=production\nby bob: &lt;!here&gt; bad deploy",
            "stop-1",
            "Stopped: environment=production",
        ];
        assert_eq!(texts, right);
    }
}
