//! Is the record of all this whole, and does it show when somebody changes it?

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{
    Lie,
    stage::Stage,
    tell::{Step, Teller, Tone},
};

/// What `bailiwick audit verify` said.
struct Verified {
    code: Option<i32>,
    report: Value,
}

/// The log whose copy is changed: it holds the refusals.
const LOG: &str = "logs/observability/0";

/// Step: the record is whole. Gives the key that it was checked with.
pub(super) async fn verify(stage: &Stage, teller: &mut Teller) -> anyhow::Result<String> {
    let mut step = Step::new("verify", "Is the record whole?");
    step.line(Tone::Quiet, "› bailiwick audit verify");
    let verified = run(stage, &stage.config(), None).await?;
    let verdict = verified.report["verdict"].as_str().unwrap_or_default().to_owned();
    step.expect(
        verified.code == Some(0) && verdict == "intact",
        "`intact` and exit code 0",
        &verified.report,
    )?;
    for log in verified.report["logs"].as_array().into_iter().flatten() {
        let (name, records) = (log["log"].as_str().unwrap_or_default(), &log["records"]);
        let root = log["root"].as_str().and_then(|it| it.get(..16)).unwrap_or_default();
        step.line(Tone::Good, format!("{verdict}: {name}, {records} records, root {root}…"));
    }
    let key = verified.report["keys"][0].as_str();
    let key = key.ok_or_else(|| step.broken("the key it was checked with", &verified.report))?.to_owned();
    step.line(Tone::Fact, format!("signed with {key}"));
    step.found(verified.report);
    teller.tell(step).await?;
    Ok(key)
}

/// Step: one byte of a copy is another, and the verifier says where.
pub(super) async fn alter_a_copy(stage: &Stage, key: &str, teller: &mut Teller) -> anyhow::Result<()> {
    let mut step = Step::new("tampering", "And if somebody changes it?");
    let (copy, config) = (stage.folder().join("altered"), stage.folder().join("altered.toml"));
    copy_folder(&stage.state(), &copy)?;
    fs::write(&config, stage.configuration(&copy)?)?;
    let flipped = flip(&copy.join(LOG), if stage.lies(Lie::UntouchedCopy) { 0 } else { 1 })?;
    let path = flipped.path.strip_prefix(&copy).unwrap_or(&flipped.path).display().to_string();
    let (offset, before, after) = (flipped.offset, flipped.before, flipped.after);
    step.line(
        Tone::Fact,
        format!("in a copy, byte {offset} of {path} becomes {after:#04x} instead of {before:#04x}"),
    );
    step.line(Tone::Quiet, "› bailiwick audit verify --key …");
    let verified = run(stage, &config, Some(key)).await?;
    let logs = verified.report["logs"].as_array().cloned().unwrap_or_default();
    let altered: Vec<&Value> = logs.iter().filter(|it| it["altered"].is_object()).collect();
    let as_told = verified.code == Some(1) && verified.report["verdict"] == "altered" && altered.len() == 1;
    step.expect(as_told, "`altered`, one log, and exit code 1", &verified.report)?;
    for log in altered {
        let (name, it) = (log["log"].as_str().unwrap_or_default(), &log["altered"]);
        let text = |field: &str| it[field].as_str().unwrap_or_default().to_owned();
        let problem = text("problem");
        step.line(Tone::Refused, format!("altered: {name}, record {}: {problem}", it["index"]));
        step.line(Tone::Fact, text("likely"));
        step.found(json!({ "log": name, "altered": it, "offset": offset, "path": path }));
    }
    teller.tell(step).await
}

/// Runs this program as a person would.
async fn run(stage: &Stage, config: &Path, key: Option<&str>) -> anyhow::Result<Verified> {
    let mut command = Command::new(stage.program());
    command.args(["audit", "verify", "--json", "--config"]).arg(config).env_clear().envs(stage.variables()?);
    if let Some(key) = key {
        command.args(["--key", key]);
    }
    let output = command.output().await.context("`bailiwick audit verify` does not start")?;
    let report = serde_json::from_slice(&output.stdout).with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("`bailiwick audit verify` ended with {} and gave no report: {said}", output.status)
    })?;
    Ok(Verified { code: output.status.code(), report })
}

/// What was done to the copy.
struct Flipped {
    path: PathBuf,
    offset: usize,
    before: u8,
    after: u8,
}

/// Changes one bit in the middle of what the journal holds.
fn flip(log: &Path, bit: u8) -> anyhow::Result<Flipped> {
    let path = log.join("journal");
    let mut bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    // What follows the last record is reserved, and empty.
    let used = bytes.iter().rposition(|it| *it != 0).context("the journal is empty")?;
    let offset = used / 2;
    let before = bytes[offset];
    bytes[offset] ^= bit;
    fs::write(&path, &bytes)?;
    Ok(Flipped { path, offset, before, after: bytes[offset] })
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &target)?,
            false => fs::copy(entry.path(), target).map(drop)?,
        }
    }
    Ok(())
}
