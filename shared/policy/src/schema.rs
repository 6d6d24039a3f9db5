//! How do tools become the words of policies? The emitter of the family's Cedar schema.
//!
//! Whatever Cedar cannot hold exactly is an error: a policy must never decide on less than the tool is given.

use std::{collections::BTreeSet, fmt::Write};

use serde_json::{Map, Value};

use crate::{Effect, question::words};

/// What the schema needs to know of a tool.
#[derive(Clone, Debug)]
pub struct ToolShape {
    /// Tool name.
    pub name: String,
    /// Server that has it, e.g. `code`.
    pub server: String,
    /// The worst that a call can do.
    pub effect: Effect,
    /// JSON Schema of the arguments.
    pub input: Map<String, Value>,
}

/// Why tools have no schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// The tool needs another name.
    #[error("tool `{name}`: {problem}")]
    Name {
        /// Name of the tool or its server.
        name: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The argument needs another type.
    #[error("{tool}: argument `{argument}`: {problem}")]
    Unrepresentable {
        /// Tool name.
        tool: String,
        /// Path of the argument.
        argument: String,
        /// What is wrong and what would be right.
        problem: String,
    },
}

/// Stands between the words of `@values`.
pub(crate) const SEPARATOR: &str = " | ";

/// Actions that are not calls, and the group of all that are.
const TAKEN: [&str; 4] = ["call", "approve", "break_glass", "reveal"];

const HEAD: &str = r#"// The words that policies may use. Generated from the tools' definitions, and a test holds it equal to them: change
// the tools, not this file.
//
// Environment, Region, Team, Tier and DataClass are not here: their members are the words of the configuration and
// `unknown`, known when policies load, so that a misspelt one is an error there.
// `@values` lists all that a text can hold; a rule that compares it with anything else does not load.
// `witnessed_seconds` is how long ago a witness cosigned the log last; it is absent where none has.
// `usage` is how often the caller has called, this call among them: a limit is a forbid,
//   forbid (principal, action in Action::"effect:mitigate", resource) when { context.usage.mitigations_hour > 10 };
// and whatever stands there may only be compared with a number by `>`, `>=`, `<` or `<=`.
// `change` is the ticket that the call names, as its own system describes it; it is absent where none was checked.

// A person.
entity User in [Team];

// What calls tools: in the person it acts for, and in their teams.
entity Agent in [User, Team];

// One of the things a call touches. Every rule is asked about each of them.
entity Target in [Environment, Region, Team, Tier] = {
  kind: String, // what it is, e.g. "repository"
  id: String, // which one within its connection
  connection: String, // the configured system of record; a rule that names another does not load
  team: Team, // whose it is; `principal in resource.team` is about one's own
};

// How often a caller has called: any tool, what changes running production, and this tool.
type Usage = {
  calls_hour: Long,
  calls_day: Long,
  mitigations_hour: Long,
  tool_hour: Long,
  tool_day: Long,
};

// A change ticket: its id, how far it is in its system's own word, and whether the configuration counts that as approved.
type Change = {
  id: String,
  state: String,
  approved: Bool,
};

// Every call of every tool.
action "call";

// Calls by the worst they can do.
"#;

const APPROVE: &str = r#"
// Agreeing to a call that needs approval. Not a call: no rule about calls reaches it. Only a person can.
action "approve" appliesTo {
  principal: [User],
  resource: [Target],
  context: {
"#;

const BREAK_GLASS: &str = r#"
// Approving alone, for some minutes, what would take other people. Not a call: no rule about calls reaches it. Asked when it is opened,
// where there is no tool yet, and of each call that is approved by it. Only a person can, and only where a permit names the action.
action "break_glass" appliesTo {
  principal: [User],
  resource: [Target],
  context: {
    minutes: Long,
"#;

const REVEAL: &str = r#"
// Seeing a class of data unmasked. Not a call: no rule about calls reaches it.
action "reveal" appliesTo {
  principal: [Agent],
  resource: [DataClass],
  context: {
"#;

/// The schema of the family, as committed. The order of the tools does not matter.
pub fn emit_schema(tools: &[ToolShape]) -> Result<String, SchemaError> {
    let mut tools: Vec<&ToolShape> = tools.iter().collect();
    tools.sort_by(|a, b| (&a.server, &a.name).cmp(&(&b.server, &b.name)));
    check_names(&tools)?;
    let mut out = HEAD.to_owned();
    for effect in Effect::ALL {
        let _ = writeln!(out, "action \"effect:{}\" in [\"call\"];", effect.word());
    }
    out.push_str("\n// Calls by the server that has the tool.\n");
    let servers: BTreeSet<&str> = tools.iter().map(|it| it.server.as_str()).collect();
    for server in &servers {
        let _ = writeln!(out, "action \"server:{server}\" in [\"call\"];");
    }
    for tool in &tools {
        emit_tool(&mut out, tool)?;
    }
    let names: Vec<&str> = tools.iter().map(|it| it.name.as_str()).collect();
    out.push_str(APPROVE);
    values(&mut out, 4, &names);
    out.push_str("    tool: String,\n");
    values(&mut out, 4, &Effect::ALL.map(Effect::word));
    out.push_str("    effect: String,\n    agent: Agent,\n    on_behalf_of?: User,\n");
    // How long ago the person proved to be there; absent where the provider does not say.
    out.push_str("    authenticated_seconds?: Long,\n");
    circumstances(&mut out);
    out.push_str("  },\n};\n");
    out.push_str(BREAK_GLASS);
    values(&mut out, 4, &names);
    out.push_str("    tool?: String,\n");
    values(&mut out, 4, &Effect::ALL.map(Effect::word));
    out.push_str("    effect?: String,\n    agent?: Agent,\n    on_behalf_of?: User,\n");
    out.push_str("    authenticated_seconds?: Long,\n");
    circumstances(&mut out);
    out.push_str("  },\n};\n");
    out.push_str(REVEAL);
    circumstances(&mut out);
    out.push_str("  },\n};\n");
    Ok(out)
}

fn check_names(tools: &[&ToolShape]) -> Result<(), SchemaError> {
    let plain = |it: &str| {
        it.starts_with(|it: char| it.is_ascii_lowercase())
            && it.chars().all(|it| matches!(it, 'a'..='z' | '0'..='9' | '_'))
    };
    let mut seen = BTreeSet::new();
    for tool in tools {
        let problem = match tool.name.as_str() {
            it if !plain(it) || it.len() > 40 => "expected at most 40 of a-z, 0-9 and _, a letter first",
            it if TAKEN.contains(&it) => "the name is the policy's own: expected another",
            it if !seen.insert(it) => "two tools have this name: expected it once in the family",
            _ if !plain(&tool.server) => "its server's name: expected a-z, 0-9 and _, a letter first",
            _ => continue,
        };
        return Err(SchemaError::Name { name: tool.name.clone(), problem: problem.to_owned() });
    }
    Ok(())
}

fn emit_tool(out: &mut String, tool: &ToolShape) -> Result<(), SchemaError> {
    let ToolShape { name, server, effect, input } = tool;
    let effect = effect.word();
    let _ = writeln!(out, "\naction \"{name}\" in [\"effect:{effect}\", \"server:{server}\"] appliesTo {{");
    out.push_str("  principal: [Agent],\n  resource: [Target],\n  context: {\n    input: ");
    let emitter = Emitter { tool: name };
    out.push_str(&emitter.record(input, "", 4)?);
    out.push_str(",\n    approvals: Long,\n    confirmed: Bool,\n    usage: Usage,\n    change?: Change,\n");
    circumstances(out);
    out.push_str("  },\n};\n");
    Ok(())
}

fn circumstances(out: &mut String) {
    for (name, held) in words() {
        if let Some(held) = held {
            values(out, 4, &held);
        }
        let _ = writeln!(out, "    {name},");
    }
}

fn values(out: &mut String, indent: usize, words: &[impl AsRef<str>]) {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    let _ = writeln!(out, "{:indent$}@values({})", "", quote(&words.join(SEPARATOR)));
}

/// A string as Cedar writes it.
pub(crate) fn quote(text: &str) -> String {
    format!("{text:?}")
}

struct Emitter<'a> {
    tool: &'a str,
}

impl Emitter<'_> {
    fn fail<T>(&self, path: &str, problem: impl Into<String>) -> Result<T, SchemaError> {
        let (tool, argument) = (self.tool.to_owned(), path.to_owned());
        Err(SchemaError::Unrepresentable { tool, argument, problem: problem.into() })
    }

    fn record(&self, schema: &Map<String, Value>, path: &str, indent: usize) -> Result<String, SchemaError> {
        let open = schema.get("additionalProperties").is_some_and(|it| it != &Value::Bool(false));
        if open {
            return self.fail(path, "an object with any keys: expected named ones only");
        }
        let empty = Map::new();
        let properties = match schema.get("properties") {
            None => &empty,
            Some(Value::Object(properties)) => properties,
            Some(_) => return self.fail(path, "`properties` is no object"),
        };
        let required: BTreeSet<&str> = (schema.get("required").and_then(Value::as_array).into_iter())
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut out = String::from("{");
        for (name, property) in properties {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let Value::Object(property) = property else {
                return self.fail(&path, "anything at all: expected one type");
            };
            let (kind, words, nullable) = self.kind(property, &path, indent + 2)?;
            // A default is applied before policy asks, so only what has none can be missing.
            let default = property.get("default").is_some_and(|it| !it.is_null());
            let optional = !default && (nullable || !required.contains(name.as_str()));
            out.push('\n');
            if let Some(words) = words {
                self.check_words(&path, &words)?;
                values(&mut out, indent + 2, &words);
            }
            let mark = if optional { "?" } else { "" };
            let _ = write!(out, "{:1$}", "", indent + 2);
            let _ = write!(out, "{}{mark}: {kind},", attribute(name));
        }
        if !properties.is_empty() {
            let _ = write!(out, "\n{:indent$}", "");
        }
        out.push('}');
        Ok(out)
    }

    /// Cedar type, the words it holds if it is closed, whether it may be null.
    fn kind(
        &self,
        schema: &Map<String, Value>,
        path: &str,
        indent: usize,
    ) -> Result<(String, Option<Vec<String>>, bool), SchemaError> {
        for choice in ["oneOf", "anyOf"] {
            if let Some(Value::Array(choices)) = schema.get(choice) {
                return self.choice(choices, path);
            }
        }
        let (kind, nullable) = self.type_word(schema, path)?;
        let (kind, words) = match kind {
            "string" => ("String".to_owned(), self.words(schema, path)?),
            "integer" => ("Long".to_owned(), None),
            "boolean" => ("Bool".to_owned(), None),
            "object" => (self.record(schema, path, indent)?, None),
            "array" => {
                let Some(Value::Object(items)) = schema.get("items") else {
                    return self.fail(path, "a list of anything: expected one type of items");
                };
                let (items, words, nullable) = self.kind(items, &format!("{path}[]"), indent)?;
                if nullable {
                    return self.fail(path, "a list that holds null: expected values only");
                }
                (format!("Set<{items}>"), words)
            }
            "number" => return self.fail(path, "a float: expected an integer or a decimal as text"),
            "null" => return self.fail(path, "only ever null: expected a value"),
            other => return self.fail(path, format!("type `{other}` is not known")),
        };
        Ok((kind, words, nullable))
    }

    fn type_word<'a>(
        &self,
        schema: &'a Map<String, Value>,
        path: &str,
    ) -> Result<(&'a str, bool), SchemaError> {
        match schema.get("type") {
            Some(Value::String(kind)) => Ok((kind, false)),
            Some(Value::Array(kinds)) => {
                let nullable = kinds.iter().any(|it| it == "null");
                let rest: Vec<&str> =
                    kinds.iter().filter_map(Value::as_str).filter(|it| *it != "null").collect();
                match rest.as_slice() {
                    [only] => Ok((only, nullable)),
                    [] => self.fail(path, "only ever null: expected a value"),
                    _ => self.fail(path, format!("one of {}: expected one type", rest.join(", "))),
                }
            }
            _ if schema.contains_key("enum") || schema.get("const").is_some_and(Value::is_string) => {
                Ok(("string", false))
            }
            _ if schema.contains_key("$ref") => self.fail(path, "a reference: expected the type in place"),
            _ => self.fail(path, "anything at all: expected one type"),
        }
    }

    fn words(&self, schema: &Map<String, Value>, path: &str) -> Result<Option<Vec<String>>, SchemaError> {
        let words: Vec<&Value> = match (schema.get("enum"), schema.get("const")) {
            (Some(Value::Array(words)), _) => words.iter().filter(|it| !it.is_null()).collect(),
            (_, Some(word)) => vec![word],
            _ => return Ok(None),
        };
        match words.iter().map(|it| it.as_str().map(str::to_owned)).collect() {
            Some(words) => Ok(Some(words)),
            None => self.fail(path, "an enumeration of other things than texts: expected texts"),
        }
    }

    /// A choice between texts, as documented enumerations are; anything or null.
    fn choice(
        &self,
        choices: &[Value],
        path: &str,
    ) -> Result<(String, Option<Vec<String>>, bool), SchemaError> {
        let is_null = |it: &&Value| it.get("type").is_some_and(|it| it == "null");
        let nullable = choices.iter().any(|it| is_null(&it));
        let mut found: Option<(String, Option<Vec<String>>)> = None;
        for choice in choices.iter().filter(|it| !is_null(it)) {
            let Value::Object(choice) = choice else {
                return self.fail(path, "anything at all: expected one type");
            };
            let (kind, words, _) = self.kind(choice, path, 6)?;
            found = match found {
                None => Some((kind, words)),
                Some((before, held)) if before == "String" && kind == "String" => {
                    let words = held.zip(words).map(|(held, words)| [held, words].concat());
                    Some((kind, words))
                }
                Some(_) => return self.fail(path, "a choice between types: expected one type"),
            };
        }
        match found {
            Some((kind, words)) => Ok((kind, words, nullable)),
            None => self.fail(path, "only ever null: expected a value"),
        }
    }

    fn check_words(&self, path: &str, words: &[String]) -> Result<(), SchemaError> {
        match words.iter().find(|it| it.is_empty() || it.trim() != *it || it.contains('|')) {
            Some(bad) => {
                self.fail(path, format!("may be `{bad}`: expected words without `|` or outer spaces"))
            }
            None => Ok(()),
        }
    }
}

fn attribute(name: &str) -> String {
    const KEYWORDS: [&str; 10] =
        ["true", "false", "if", "then", "else", "in", "is", "like", "has", "__cedar"];
    let plain = name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_')
        && name.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_')
        && !KEYWORDS.contains(&name);
    if plain { name.to_owned() } else { quote(name) }
}
