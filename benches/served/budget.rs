//! What does a client pay for the definitions? Tokens of each as it goes over the wire.

use std::fmt::Write;

use anyhow::Context;
use serde_json::{Value, json};

use crate::{client::Prepared, start::Machine};

pub(crate) fn measure() -> anyhow::Result<String> {
    let machine = Machine::new();
    let mut peer = machine.start(&["code", "observability"])?;
    peer.greet()?;
    peer.ask(&Prepared::new("tools/list", &json!({})))?;
    let answer = peer.answer()?;
    let mut tools = answer["result"]["tools"].as_array().context("no list of tools")?.clone();
    // It is for the client, which searches tools by it: no model is shown it.
    tools.iter_mut().filter_map(Value::as_object_mut).for_each(|it| drop(it.remove("_meta")));
    let mut out = "| definition | tokens (o200k) |\n| --- | --- |\n".to_owned();
    let mut total = 0;
    for tool in &tools {
        let tokens = testkit::tokens(&tool.to_string());
        total += tokens;
        writeln!(out, "| {} | {tokens} |", tool["name"].as_str().unwrap_or_default())?;
    }
    writeln!(out, "| all | {total} |")?;
    let schemas: usize = tools.iter().map(|it| testkit::tokens(&output(it))).sum();
    writeln!(out, "| of which output schemas | {schemas} |")?;
    peer.leave()?;
    Ok(out)
}

fn output(tool: &Value) -> String {
    tool.get("outputSchema").map(Value::to_string).unwrap_or_default()
}
