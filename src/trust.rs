//! `bailiwick trust`: let a file in a repository narrow what is allowed.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use config::{Config, Pin, Surroundings, clean};
use policy::{ListEntry, RuleEffect};

use crate::{open, say};

/// Let a file in a repository narrow what is allowed, as it is now
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        bailiwick trust bailiwick.toml\n  \
                        bailiwick trust .bailiwick/freeze.cedar\n\n\
                        A repository never decides what is allowed in it: its bailiwick.toml and .bailiwick/* are\n\
                        ignored until a person reads and trusts them. Then they can take away (ask, approve, deny and\n\
                        limits under [policy], Cedar files that only forbid) and never add. A change ends the trust.")]
pub(crate) struct Trust {
    /// A bailiwick.toml, or a .toml or .cedar file in a .bailiwick folder
    path: PathBuf,
}

pub(crate) fn run(arguments: &Trust, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    let surroundings = Surroundings::from_process()?;
    let pin = Pin::of(&arguments.path, &surroundings)?;
    let lines = narrowed(&pin, Config::load(config, &surroundings)?)?;
    let told = if pin.known {
        "was trusted already, and has not changed".to_owned()
    } else {
        let place = pin.record(&surroundings)?;
        format!(
            "is trusted to take this away, until it changes; remembered in {}",
            clean(&place.to_string_lossy())
        )
    };
    let lines: String = lines.iter().map(|it| format!("  {it}\n")).collect();
    say::line(&format!("{}\nsha256 {}\n{lines}{told}", clean(&pin.path.to_string_lossy()), pin.sha256))?;
    Ok(ExitCode::SUCCESS)
}

/// What a file takes away. Fails if the policy would no longer load with it, so that trust never stops a server.
fn narrowed(pin: &Pin, mut config: Config) -> anyhow::Result<Vec<String>> {
    if !pin.known {
        pin.apply(&mut config.policy);
    }
    let policy = open::policy(&config)?;
    let listed = |word: &'static str, entries: &[ListEntry]| -> Vec<String> {
        let line = |it: &ListEntry| match word {
            "approve" => format!("{word:8} {} (people: {})", clean(&it.text), it.approvals),
            _ => format!("{word:8} {}", clean(&it.text)),
        };
        entries.iter().map(line).collect()
    };
    let mut lines = listed("deny", &pin.lists.deny);
    lines.extend(listed("approve", &pin.lists.approve));
    lines.extend(listed("ask", &pin.lists.ask));
    if let Some(source) = &pin.source {
        let rules = policy.rules().into_iter().filter(|it| it.effect == RuleEffect::Forbid);
        let rules = rules.filter(|it| it.place.rsplit_once(':').is_some_and(|(file, _)| file == source.name));
        lines.extend(rules.map(|it| match it.reason {
            Some(reason) => format!("forbid   {}: {}", clean(&it.id), clean(&reason)),
            None => format!("forbid   {}", clean(&it.id)),
        }));
    }
    if lines.is_empty() {
        lines.push("nothing".to_owned());
    }
    Ok(lines)
}
