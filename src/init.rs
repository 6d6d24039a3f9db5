//! `bailiwick init`: make a client start the servers, showing every change before it is made.

use std::{
    fs,
    io::{self, BufRead, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use config::{Config, Origin, Surroundings, System, clean};
use serde::Serialize;
use serde_json::{Map, Value, json, ser::PrettyFormatter};
use similar::TextDiff;

use crate::{USAGE, family::Server, say};

/// Set up a client for this project: merge the servers into its configuration, after showing the change
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        bailiwick init                      # .mcp.json, for Claude Code\n  \
                        bailiwick init --client cursor      # .cursor/mcp.json\n  \
                        bailiwick init --dry-run            # only show what would change\n  \
                        PROMETHEUS_URL=http://127.0.0.1:9090 bailiwick init --yes\n\n\
                        Other entries of the file stay as they are. A file that is not JSON is left alone.")]
pub(crate) struct Init {
    /// Which client's project configuration to write
    #[arg(long, value_enum, default_value = "claude-code")]
    client: Client,
    /// Write without asking
    #[arg(long)]
    yes: bool,
    /// Show what would change, and change nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Client {
    ClaudeCode,
    Cursor,
}

/// A change of one file.
struct Change {
    path: PathBuf,
    before: String,
    after: String,
    /// What was left as it is, for a person to read.
    kept: Vec<String>,
}

pub(crate) fn run(arguments: &Init, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    let surroundings = Surroundings::from_process()?;
    let found = Config::load(config, &surroundings)?;
    let mut out = say::Words::new();
    describe(&mut out, &found, &surroundings)?;
    let entries = entries(&found, config, &surroundings)?;
    let root = surroundings.repository().unwrap_or(&surroundings.current_folder);
    let change = Change::merge(&arguments.client.file(root)?, &entries)?;
    for kept in &change.kept {
        writeln!(out, "{kept}")?;
    }
    if change.before == change.after {
        writeln!(out, "{} needs no change", shown(&change.path))?;
        return Ok(ExitCode::SUCCESS);
    }
    write!(out, "\n{}", clean_lines(&change.diff()))?;
    if arguments.dry_run {
        writeln!(out, "\nnothing was written (--dry-run)")?;
        return Ok(ExitCode::SUCCESS);
    }
    if !arguments.yes {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            writeln!(out, "\nnothing was written: nobody is there to ask; add --yes to write it")?;
            return Ok(ExitCode::from(USAGE));
        }
        write!(out, "\nWrite {}? [y/N] ", shown(&change.path))?;
        out.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            writeln!(out, "nothing was written")?;
            return Ok(ExitCode::SUCCESS);
        }
    }
    change.write()?;
    writeln!(
        out,
        "{} is written; restart the client, then ask it: what may you do here?",
        shown(&change.path)
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Says what was detected.
fn describe(out: &mut impl Write, found: &Config, surroundings: &Surroundings) -> io::Result<()> {
    match &found.origin {
        Origin::File(path) => writeln!(out, "configuration: {}", shown(path))?,
        Origin::Discovered => writeln!(out, "configuration: none, so this is what was found:")?,
    }
    match surroundings.repository() {
        Some(root) => writeln!(out, "repository: {}", shown(root))?,
        None => {
            writeln!(out, "repository: none; the files of {} are used", shown(&surroundings.current_folder))?
        }
    }
    for connection in &found.connections {
        let what = match &connection.system {
            System::Prometheus(http) => format!("Prometheus at {}", http.url),
            System::Alertmanager(http) => format!("Alertmanager at {}", http.url),
            System::Git(git) => format!("git at {}", shown(&git.path)),
        };
        writeln!(out, "connection: {}, {what}", connection.name)?;
    }
    for note in &found.notes {
        writeln!(out, "note: {note}")?;
    }
    Ok(())
}

/// One entry for each server that has something to serve.
fn entries(
    found: &Config,
    config: Option<&Path>,
    surroundings: &Surroundings,
) -> anyhow::Result<Map<String, Value>> {
    let mut entries = Map::new();
    for server in Server::ALL {
        let serves = |it: &System| match server {
            Server::Code => matches!(it, System::Git(_)),
            Server::Observability => matches!(it, System::Prometheus(_) | System::Alertmanager(_)),
        };
        if !found.connections.iter().any(|it| serves(&it.system)) {
            continue;
        }
        let mut arguments = vec!["serve".to_owned(), server.word().to_owned()];
        if let Some(path) = config {
            let path = surroundings.current_folder.join(path);
            arguments
                .extend(["--config".to_owned(), path.to_str().context("the path is not UTF-8")?.to_owned()]);
        }
        let mut entry = json!({ "command": "bailiwick", "args": arguments });
        // A client may start servers without the variables of this shell; an address holds no secret, or it would
        // have been refused.
        let variables = ["PROMETHEUS_URL", "ALERTMANAGER_URL"].into_iter();
        let set = variables.filter_map(|it| Some((it.to_owned(), json!(surroundings.variables.get(it)?))));
        let set: Map<_, _> = set.collect();
        if server == Server::Observability && found.origin == Origin::Discovered && !set.is_empty() {
            entry["env"] = Value::Object(set);
        }
        entries.insert(server.word().to_owned(), entry);
    }
    ensure!(
        !entries.is_empty(),
        "there is nothing to serve: start in a git repository, set PROMETHEUS_URL or ALERTMANAGER_URL, or write a \
         bailiwick.toml (bailiwick config schema says what may stand in it)"
    );
    Ok(entries)
}

impl Client {
    /// The client's file in a project. A link is refused: the repository may have put it there to have another file
    /// changed.
    fn file(self, root: &Path) -> anyhow::Result<PathBuf> {
        let parts: &[&str] = match self {
            Client::ClaudeCode => &[".mcp.json"],
            Client::Cursor => &[".cursor", "mcp.json"],
        };
        let mut path = root.to_owned();
        for part in parts {
            path.push(part);
            let link = fs::symlink_metadata(&path).is_ok_and(|it| it.is_symlink());
            ensure!(
                !link,
                "{} is a link, and what it leads to is not this project's; nothing was written",
                shown(&path)
            );
        }
        Ok(path)
    }
}

impl Change {
    /// Adds entries to what stands in a file; one that is there already stays as it is.
    fn merge(path: &Path, entries: &Map<String, Value>) -> anyhow::Result<Change> {
        let before = current(path)?;
        let mut root: Value = match before.trim() {
            "" => json!({}),
            text => serde_json::from_str(text).with_context(|| {
                format!("{} is not JSON, so it is left alone; correct it first", shown(path))
            })?,
        };
        let mut kept = Vec::new();
        let servers = root
            .as_object_mut()
            .map(|it| it.entry("mcpServers").or_insert_with(|| json!({})))
            .and_then(Value::as_object_mut)
            .with_context(|| {
                format!("{} does not hold an object \"mcpServers\"; it is left alone", shown(path))
            })?;
        for (name, entry) in entries {
            match servers.get(name) {
                None => {
                    servers.insert(name.clone(), entry.clone());
                }
                Some(there) if there == entry => {}
                Some(there) if is_ours(there) => {
                    kept.push(format!("\"{name}\" is set up already and stays as it is"))
                }
                Some(_) => bail!(
                    "\"{name}\" in {} is another server; rename it there first, since its tools would be hidden",
                    shown(path)
                ),
            }
        }
        let after = if kept.len() == entries.len() { before.clone() } else { render(&root, &before)? };
        Ok(Change { path: path.to_owned(), before, after, kept })
    }

    fn diff(&self) -> String {
        let name = shown(&self.path);
        let old = if self.before.is_empty() { "/dev/null".to_owned() } else { name.clone() };
        TextDiff::from_lines(&self.before, &self.after).unified_diff().header(&old, &name).to_string()
    }

    fn write(&self) -> anyhow::Result<()> {
        // Somebody may have saved it while the question stood.
        ensure!(
            current(&self.path)? == self.before,
            "{} changed meanwhile; nothing was written, try again",
            shown(&self.path)
        );
        config::replace(&self.path, &self.after, 0o644)?;
        Ok(())
    }
}

/// Text of a file, empty if there is none. Something that is no file, such as a pipe, is never waited for.
fn current(path: &Path) -> anyhow::Result<String> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", shown(path))),
        Ok(found) => {
            let fits = found.is_file() && found.len() <= 1024 * 1024;
            ensure!(fits, "{} is no file of at most 1 MiB; it is left alone", shown(path));
        }
    }
    fs::read_to_string(path).with_context(|| format!("cannot read {}", shown(path)))
}

/// Whether an entry starts this program.
fn is_ours(entry: &Value) -> bool {
    let command = entry["command"].as_str().unwrap_or_default();
    Path::new(command).file_name().is_some_and(|it| it == "bailiwick")
}

/// JSON with the indent that the file has; two spaces if it has none.
fn render(value: &Value, before: &str) -> anyhow::Result<String> {
    let indented = before.lines().find(|it| it.starts_with([' ', '\t']));
    let indent = indented.map_or("  ", |it| &it[..it.len() - it.trim_start().len()]);
    let mut bytes = Vec::new();
    let formatter = PrettyFormatter::with_indent(indent.as_bytes());
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))?;
    bytes.push(b'\n');
    Ok(String::from_utf8(bytes)?)
}

fn shown(path: &Path) -> String {
    clean(&path.to_string_lossy())
}

fn clean_lines(text: &str) -> String {
    text.lines().map(|it| clean(it) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn entries() -> Map<String, Value> {
        let entry = json!({ "command": "bailiwick", "args": ["serve", "code"] });
        Map::from_iter([("code".to_owned(), entry)])
    }

    fn merge(before: &str) -> anyhow::Result<Change> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join(".mcp.json");
        fs::write(&path, before)?;
        Change::merge(&path, &entries())
    }

    #[test]
    fn other_entries_stay_and_the_change_is_shown() {
        let change =
            merge("{\n    \"mcpServers\": {\n        \"a\": { \"url\": \"b\" }\n    },\n    \"z\": 1\n}\n")
                .unwrap();
        expect![[r#"
            {
                "mcpServers": {
                    "a": {
                        "url": "b"
                    },
                    "code": {
                        "command": "bailiwick",
                        "args": [
                            "serve",
                            "code"
                        ]
                    }
                },
                "z": 1
            }
        "#]]
        .assert_eq(&change.after);
        assert!(change.diff().contains("+        \"code\": {"));
    }

    #[test]
    fn what_is_not_our_kind_of_file_is_left_alone() {
        for text in [
            "{ // comment\n}",
            "[]",
            "{\"mcpServers\": []}",
            "{\"mcpServers\": {\"code\": {\"command\": \"npx\"}}}",
        ] {
            assert!(merge(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_entry_of_ours_is_not_changed() {
        let text = "{\"mcpServers\": {\"code\": {\"command\": \"/opt/bailiwick\", \"args\": [\"serve\", \"code\", \"x\"]}}}";
        let change = merge(text).unwrap();
        assert_eq!(change.after, text);
        assert_eq!(change.kept.len(), 1);
        let once = merge("").unwrap().after;
        assert_eq!(merge(&once).unwrap().after, once);
    }

    #[test]
    fn a_link_is_not_followed_out_of_the_project() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join(".mcp.json")).unwrap();
        std::os::unix::fs::symlink("/etc", folder.path().join(".cursor")).unwrap();
        assert!(Client::ClaudeCode.file(folder.path()).is_err());
        assert!(Client::Cursor.file(folder.path()).is_err());
    }
}
