//! `bailiwick audit verify`: is the log whole, and does a proof hold?

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use audit::{Anchor, BadProof, KeptReceipt, Report, Verification, VerifyingKey, WitnessKey};
use clap::Args;
use config::Config;
use policy::{Policy, Scope, Setup, Source};

use super::usage;
use crate::{open, say};

#[derive(Args)]
pub(super) struct Verify {
    /// Verifier key kept elsewhere; without one those under [audit] keys count, then the key beside the log, and the report says so
    #[arg(long = "key", value_name = "VKEY")]
    keys: Vec<String>,
    /// Checkpoints kept elsewhere: what `audit checkpoint` printed, or one signed note
    #[arg(long = "anchor", value_name = "FILE")]
    anchors: Vec<PathBuf>,
    /// Receipts kept elsewhere: JSON, as in the results of calls
    #[arg(long = "receipt", value_name = "FILE")]
    receipts: Vec<PathBuf>,
    /// Key of a witness, besides those under [audit] witnesses: what it cosigned counts as kept elsewhere
    #[arg(long = "witness", value_name = "VKEY")]
    witnesses: Vec<String>,
    /// Policies that may have decided: a bailiwick.toml, its folder, or a .cedar file
    #[arg(long = "policy", value_name = "PATH")]
    policies: Vec<PathBuf>,
    /// Verify what was published, and nothing else: a folder with a `checkpoint`, or one that holds such folders
    #[arg(long, value_name = "FOLDER", conflicts_with = "proof")]
    published: Option<PathBuf>,
    /// Verify what `bailiwick serve audit` holds, and nothing else: its folder. Without --key, by the keys that it was sent under
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["proof", "published"])]
    collected: Option<PathBuf>,
    /// Check a .tlog-proof of `audit prove`, and nothing else: exit 0 it holds, 1 it does not
    #[arg(long, value_name = "FILE", conflicts_with_all = ["receipts", "policies"])]
    proof: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(config: &Config, verify: &Verify) -> anyhow::Result<ExitCode> {
    let verification = match verification(config, verify)? {
        Ok(verification) => verification,
        Err(problem) => return Ok(usage(&problem)),
    };
    if let Some(proof) = &verify.proof {
        return prove(&config.state, proof, verification, verify.json);
    }
    let report = match (&verify.published, &verify.collected) {
        (Some(prefix), _) => verification.run_published(prefix)?,
        (None, Some(folder)) => collected(verification, folder, !verify.keys.is_empty())?,
        (None, None) => verification.run(&config.state)?,
    };
    match verify.json {
        true => say::json(&report)?,
        false => say::line(&say::clean(&report.to_string()))?,
    }
    Ok(ExitCode::from(report.exit_code()))
}

/// The keys under [audit] are those of this machine's own logs: for what others sent only given ones count.
fn collected(it: Verification, folder: &Path, given: bool) -> anyhow::Result<Report> {
    let keys = if given { it.keys.clone() } else { Vec::new() };
    Ok(Verification { keys, ..it }.run_collected(folder)?)
}

/// Everything that was given, read; or what is wrong with it.
fn verification(config: &Config, verify: &Verify) -> anyhow::Result<Result<Verification, String>> {
    let keys = match keys(config, &verify.keys) {
        Ok(keys) => keys,
        Err(problem) => return Ok(Err(problem)),
    };
    let witnesses = match witnesses(config, &verify.witnesses) {
        Ok(witnesses) => witnesses,
        Err(problem) => return Ok(Err(problem)),
    };
    let mut it = Verification { keys, witnesses, ..Verification::default() };
    for path in &verify.anchors {
        match anchor(path)? {
            Ok(anchor) => it.anchors.push(anchor),
            Err(problem) => return Ok(Err(format!("--anchor {problem}"))),
        }
    }
    for path in &verify.receipts {
        match KeptReceipt::parse_all(&path.display().to_string(), &read(path)?) {
            Ok(receipts) => it.receipts.extend(receipts),
            Err(problem) => return Ok(Err(format!("--receipt {problem}"))),
        }
    }
    for path in &verify.policies {
        it.policies
            .push(policy(config, path).with_context(|| format!("--policy {}", path.display()))?.digest());
    }
    Ok(Ok(it))
}

/// Keys from the command line, else from the configuration.
pub(super) fn keys(config: &Config, given: &[String]) -> Result<Vec<VerifyingKey>, String> {
    let (place, given) =
        if given.is_empty() { ("[audit] keys", &config.audit_keys[..]) } else { ("--key", given) };
    given.iter().map(|it| it.trim().parse().map_err(|error| format!("{place}: {error}"))).collect()
}

/// Keys of witnesses from the command line and from the configuration.
fn witnesses(config: &Config, given: &[String]) -> Result<Vec<WitnessKey>, String> {
    let given = given.iter().map(|it| ("--witness", it));
    let configured = config.recording.witnesses.iter().map(|it| ("[audit] witnesses", &it.key));
    let mut keys: Vec<WitnessKey> = Vec::new();
    for (place, text) in given.chain(configured) {
        let key = text.parse().map_err(|error| format!("{place}: {error}"))?;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// Reads checkpoints that were kept.
pub(super) fn anchor(path: &Path) -> anyhow::Result<Result<Anchor, String>> {
    Ok(Anchor::parse(&path.display().to_string(), &read(path)?).map_err(|it| it.to_string()))
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The policy that a configuration names, or that a file is under this one's words.
fn policy(config: &Config, path: &Path) -> anyhow::Result<Policy> {
    if path.extension().is_none_or(|it| it != "cedar") {
        let path = if path.is_dir() { path.join("bailiwick.toml") } else { path.to_owned() };
        return open::policy(&open::configuration(Some(&path))?);
    }
    let source = Source { name: path.display().to_string(), text: read(path)?, scope: Scope::Full };
    let setup = Setup {
        family: policy::FAMILY_SCHEMA,
        sources: &[source],
        lists: &config.policy.lists,
        vocabulary: &config.vocabulary,
        zone: config.policy.zone.clone(),
    };
    Policy::load(setup).map_err(|errors| anyhow::anyhow!("the policy does not load:\n{errors}"))
}

fn prove(state: &Path, path: &Path, with: Verification, json: bool) -> anyhow::Result<ExitCode> {
    let independent = !with.keys.is_empty();
    let keys = if independent { with.keys } else { vec![audit::key_beside(state)?] };
    if with.anchors.len() > 1 {
        return Ok(usage("--anchor: a proof begins with one kept checkpoint; give one"));
    }
    let proven = match audit::check_proof(&read(path)?, &keys, with.anchors.first()) {
        Ok(proven) => proven,
        Err(error) => {
            let exit = if matches!(error, BadProof::Malformed(_)) { crate::USAGE } else { 1 };
            say::note(&format!("bailiwick: {}: {}", path.display(), say::clean(&error.to_string())));
            return Ok(ExitCode::from(exit));
        }
    };
    if json {
        say::json(&serde_json::json!({ "holds": true, "independent": independent, "proven": proven }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut told = format!(
        "holds: record {} of {} stands under a checkpoint over {} records",
        proven.index, proven.log, proven.size
    );
    if let Some(from) = proven.grown_from {
        told += &format!("\n  the log only grew since the kept checkpoint over {from}");
    }
    for key in &keys {
        let found = if independent { "" } else { " (not independent: found beside the logs)" };
        told += &format!("\n  key {key}{found}");
    }
    say::line(&say::clean(&told))?;
    say::json(&proven.record)?;
    Ok(ExitCode::SUCCESS)
}
