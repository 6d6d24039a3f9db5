//! How does a person read what waits?

use std::process::ExitCode;

use serde_json::Value;

use super::LISTED_MAX;
use crate::say;

/// One line on a request.
pub(super) fn line(facts: &Value) -> String {
    let text = |path: &str| facts.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let votes = facts["votes"].as_array().into_iter().flatten();
    let count = |kind: &str| votes.clone().filter(|it| it["kind"] == kind).count();
    let mut needs = Vec::new();
    if facts["approvals"] != 0 {
        needs.push(match count("break_glass") {
            0 => format!("{} of {} approved", count("approve"), facts["approvals"]),
            _ => "approved by break-glass".to_owned(),
        });
    }
    if facts["confirm"] == true {
        needs.push(if count("confirm") > 0 { "confirmed".to_owned() } else { "to be confirmed".to_owned() });
    }
    let [id, state, at, tool] = ["/approval", "/state", "/asked_at", "/action/tool"].map(text);
    let (place, agent) = (text("/where"), text("/action/caller/agent"));
    format!("{id}  {state:<8}  {at}  {tool} on {place}  by {agent}  {}", needs.join(", "))
}

/// All of a request, for a person.
fn told(facts: &Value) -> String {
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    let mut out = format!("{}\n\n{}", line(facts), text(&facts["what"]));
    for vote in facts["votes"].as_array().into_iter().flatten() {
        let [kind, who, how, channel, at] =
            ["kind", "who", "assurance", "channel", "at"].map(|it| text(&vote[it]));
        let comment = text(&vote["comment"]);
        let comment = if comment.is_empty() { comment } else { format!(": {comment}") };
        out.push_str(&format!("{kind} by {who} ({how}, {channel}) at {at}{comment}\n"));
    }
    if facts["note"] != "" {
        out.push_str(&format!("{}: {}\n", text(&facts["state"]), text(&facts["note"])));
    }
    let [approve_by, until] = ["approve_by", "until"].map(|it| text(&facts[it]));
    out.push_str(&format!("to agree until {approve_by}; to carry out until {until}"));
    out
}

pub(super) fn print_all(requests: &[Value], as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        say::json(&requests)?;
        return Ok(ExitCode::SUCCESS);
    }
    for request in requests {
        say::line(&say::clean(&line(request)))?;
    }
    if requests.is_empty() {
        say::note("nothing waits for anybody");
    }
    if requests.len() >= LISTED_MAX as usize {
        say::note(&format!("only the newest {LISTED_MAX} are shown"));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn print_one(request: &Value, as_json: bool) -> anyhow::Result<ExitCode> {
    match as_json {
        true => say::json(request)?,
        false => say::line(&say::clean(&told(request)))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What was broken, and what was approved by it.
pub(super) fn print_glasses(glasses: &[Value], as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        say::json(&glasses)?;
        return Ok(ExitCode::SUCCESS);
    }
    for glass in glasses {
        let text = |it: &str| glass[it].as_str().unwrap_or_default();
        let (id, state, by) = (text("break_glass"), text("state"), text("by"));
        let when = match state {
            "open" => format!("until {}", text("until")),
            "reviewed" => format!("reviewed by {}", glass["review"]["by"].as_str().unwrap_or_default()),
            _ => format!("to be reviewed by {}", text("review_by")),
        };
        let line = format!("{id}  {state:<10}  {when}  {}  by {by}: {}", scope(glass), text("reason"));
        say::line(&say::clean(&line))?;
        for action in glass["approved"].as_array().into_iter().flatten() {
            let text = |it: &str| action[it].as_str().unwrap_or_default();
            let person = action["for"].as_str().map(|it| format!(" for {it}")).unwrap_or_default();
            let (approval, state, what) = (text("approval"), text("state"), text("what"));
            let line = format!("  {approval}  {state:<8}  {what}  asked by {}{person}", text("agent"));
            say::line(&say::clean(&line))?;
        }
    }
    if glasses.is_empty() {
        say::note("no glass is broken, and none waits for a review");
    }
    Ok(ExitCode::SUCCESS)
}

/// What it is about, in words.
fn scope(facts: &Value) -> String {
    let scope = facts["scope"].as_object().map(|it| {
        let named = it.iter().map(|(name, it)| format!("{name}={}", it.as_str().unwrap_or_default()));
        named.collect::<Vec<_>>().join(", ")
    });
    scope.filter(|it| !it.is_empty()).unwrap_or_else(|| "everything".to_owned())
}

pub(super) fn print_stops(stops: &[Value]) -> anyhow::Result<ExitCode> {
    for stop in stops {
        let text = |it: &str| stop[it].as_str().unwrap_or_default();
        let scope = scope(stop);
        let line =
            format!("{}  {}  {scope}  by {}: {}", text("stop"), text("at"), text("by"), text("reason"));
        say::line(&say::clean(&line))?;
    }
    if stops.is_empty() {
        say::note("nothing is stopped");
    }
    Ok(ExitCode::SUCCESS)
}
