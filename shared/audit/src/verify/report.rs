//! What does a verification say, and what can it not say?

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{log_of, steps::Approvals, trust::Revoked};
use crate::Witnessed;

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// All in all.
    pub verdict: Verdict,
    /// Verifier keys that the signatures were checked with.
    pub keys: Vec<String>,
    /// Whether the keys were given. A key found beside the log proves nothing against whoever can write both.
    pub independent: bool,
    /// Keys that were revoked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<Revoked>,
    /// Every log, in order; one that others have seen and that is gone stands here with no records.
    pub logs: Vec<LogReport>,
    /// The last head of each log that each witness has cosigned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub witnessed: Vec<Witnessed>,
    /// What concerns more than one log.
    pub findings: Vec<String>,
    /// What this verification can not see, whatever its verdict.
    pub not_seen: Vec<String>,
}

/// What a verification comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing was changed, and nothing is missing.
    Intact,
    /// Nothing was changed; somebody should look at the findings.
    Findings,
    /// Something was changed.
    Altered,
}

/// What was found in one log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogReport {
    /// `<server>/<n>`.
    pub log: String,
    /// Its name in checkpoints; empty when its journal holds none.
    pub origin: String,
    /// Whether a process holds it now.
    pub running: bool,
    /// Whether it is not here: others have seen it.
    #[serde(skip_serializing_if = "is_false")]
    pub gone: bool,
    /// Records under valid checkpoints.
    pub records: u64,
    /// Root over them, in hex.
    pub root: String,
    /// Time of the last record; empty when there is none.
    pub last: String,
    /// Valid checkpoints.
    pub checkpoints: u64,
    /// Starts that say that the process before them was killed. Whoever cuts a tail can have a start say so too.
    pub recoveries: u64,
    /// Records whose segments were dropped: read from what is published.
    pub dropped: u64,
    /// Records under the published checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<u64>,
    /// Records up to here are those that an anchor shows.
    pub anchored: u64,
    /// What became of the payloads.
    pub payloads: Payloads,
    /// Records by the digest of the policy that decided them, in hex.
    pub policies: BTreeMap<String, u64>,
    /// Effects that run now: intents without outcome in a log that is held.
    pub in_flight: Vec<u64>,
    /// Approvals of which a record says that nobody knows whether their effect happened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// What approvals went through, to be compared with other logs.
    #[serde(skip)]
    pub(crate) approvals: Approvals,
    /// The first thing that was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub altered: Option<Alteration>,
    /// What somebody should look at.
    pub findings: Vec<String>,
}

/// Payloads by what could be checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Payloads {
    /// Opened and equal to their commitments.
    pub checked: u64,
    /// Sealed with keys that are gone.
    pub erased: u64,
    /// Not looked at, because the state folder's keys or the payloads are not here.
    pub without_keys: u64,
}

/// Something that the writer did not write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alteration {
    /// First record that cannot be trusted.
    pub index: u64,
    /// File of the log's folder where it was noticed; empty when no single one is at fault.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// Byte of that file.
    pub offset: u64,
    /// What does not fit.
    pub problem: String,
    /// What it looks like.
    pub likely: String,
}

fn is_false(it: &bool) -> bool {
    !it
}

/// Findings, as many as a person reads.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    first: Vec<String>,
    more: u64,
}

impl Findings {
    const FIRST_MAX: usize = 50;

    pub(crate) fn add(&mut self, finding: impl FnOnce() -> String) {
        match self.first.len() < Findings::FIRST_MAX {
            true => self.first.push(finding()),
            false => self.more += 1,
        }
    }

    pub(crate) fn into_vec(mut self) -> Vec<String> {
        if self.more > 0 {
            self.first.push(format!("and {} more", self.more));
        }
        self.first
    }
}

impl Report {
    /// Exit code of a program: 0 intact, 1 altered, 3 intact with findings.
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Intact => 0,
            Verdict::Altered => 1,
            Verdict::Findings => 3,
        }
    }

    /// Payloads are here and their keys are not: whoever takes the keys away keeps everybody from looking.
    pub(crate) fn miss_keys(&mut self) {
        let closed: u64 = self.logs.iter().map(|it| it.payloads.without_keys).sum();
        if closed > 0 {
            self.findings.push(format!("{closed} payloads were not looked at: `keys` is not here"));
            self.verdict = self.judge();
        }
    }

    /// Logs that are not among those that were published, and that nobody has kept an anchor of: they may never have been.
    pub(crate) fn miss_unpublished(&mut self, is_anchored: impl Fn(&str) -> bool) {
        for log in self.logs.iter_mut().filter(|it| it.gone && !is_anchored(&it.origin)) {
            log.findings.extend(log.altered.take().map(|it| it.problem));
        }
        self.verdict = self.judge();
    }

    pub(crate) fn judge(&self) -> Verdict {
        let log = |it: &LogReport| match (&it.altered, it.findings.is_empty()) {
            (Some(_), _) => Verdict::Altered,
            (None, false) => Verdict::Findings,
            (None, true) => Verdict::Intact,
        };
        let all = if self.findings.is_empty() { Verdict::Intact } else { Verdict::Findings };
        self.logs.iter().map(log).fold(all, Verdict::max)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Verdict::Intact => "intact",
            Verdict::Findings => "intact, with findings",
            Verdict::Altered => "ALTERED",
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records: u64 = self.logs.iter().map(|it| it.records).sum();
        writeln!(out, "{}: {records} records in {} logs", self.verdict, self.logs.len())?;
        for key in &self.keys {
            let found = if self.independent { "" } else { " (not independent: found beside the logs)" };
            writeln!(out, "  key {key}{found}")?;
        }
        for Revoked { key, record, time, reason } in &self.revoked {
            writeln!(out, "  revoked {key}: record {record} at {time}: \"{reason}\"")?;
        }
        self.logs.iter().try_for_each(|it| it.fmt(out))?;
        for it in &self.witnessed {
            let Witnessed { origin, size, time, by } = it;
            writeln!(out, "  {}: witnessed up to {size} records at {time} by {by}", log_of(origin))?;
        }
        self.findings.iter().try_for_each(|it| writeln!(out, "  finding: {it}"))?;
        self.not_seen.iter().try_for_each(|it| writeln!(out, "  not seen: {it}"))
    }
}

impl fmt::Display for LogReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Payloads { checked, erased, without_keys } = self.payloads;
        write!(
            out,
            "  {}: {} records, {} checkpoints, {checked} payloads checked",
            self.log, self.records, self.checkpoints
        )?;
        if without_keys > 0 {
            write!(out, ", {without_keys} not")?;
        }
        if erased > 0 {
            write!(out, ", {erased} erased")?;
        }
        if let Some(published) = self.published {
            write!(out, ", {published} published")?;
        }
        if self.dropped > 0 {
            write!(out, ", the first {} only there", self.dropped)?;
        }
        if self.anchored > 0 {
            write!(out, ", {} anchored", self.anchored)?;
        }
        if self.recoveries > 0 {
            write!(out, ", {} recoveries", self.recoveries)?;
        }
        if !self.last.is_empty() {
            write!(out, ", last {}", self.last)?;
        }
        writeln!(out, "{}", if self.running { ", in use" } else { "" })?;
        for intent in &self.in_flight {
            writeln!(out, "    intent {intent} is running")?;
        }
        for approval in &self.unknown {
            writeln!(out, "    approval {approval} ended unknown: its effect may have happened")?;
        }
        if let Some(it) = &self.altered {
            writeln!(out, "    ALTERED from record {}: {}; {}", it.index, it.problem, it.likely)?;
        }
        self.findings.iter().try_for_each(|it| writeln!(out, "    finding: {it}"))
    }
}
