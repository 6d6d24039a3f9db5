//! Was anything changed? Every log of a state folder, judged by itself and by what the others saw of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
};

use ed25519_dalek::VerifyingKey as PublicKey;
use serde::Serialize;

use crate::{
    AuditError, VerifyingKey,
    head::{HEAD, Head},
    judge::{Judgement, judge},
    keys::Keys,
    pool::{Place, claims, places},
    record::Seen,
};

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// All in all.
    pub verdict: Verdict,
    /// Verifier keys that the signatures were checked with.
    pub keys: Vec<String>,
    /// Whether the keys were given. A key found beside the log proves nothing against whoever can write both.
    pub independent: bool,
    /// Every log, in order.
    pub logs: Vec<LogReport>,
    /// What concerns more than one log: one that others have seen and that is gone.
    pub findings: Vec<String>,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogReport {
    /// `<server>/<n>`.
    pub log: String,
    /// Its name in checkpoints; empty when its journal holds none.
    pub origin: String,
    /// Whether a process holds it now.
    pub running: bool,
    /// Records under valid checkpoints.
    pub records: u64,
    /// Root over them, in hex.
    pub root: String,
    /// Valid checkpoints.
    pub checkpoints: u64,
    /// What became of the payloads.
    pub payloads: Payloads,
    /// Effects that run now: intents without outcome in a log that is held.
    pub in_flight: Vec<u64>,
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
    /// Not looked at, because the state folder's keys are not here.
    pub without_keys: u64,
}

/// Something that the writer did not write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alteration {
    /// First record that cannot be trusted.
    pub index: u64,
    /// Byte of the journal where it was noticed.
    pub offset: u64,
    /// What does not fit.
    pub problem: String,
    /// What it looks like.
    pub likely: String,
}

/// A head of one log in the records of another.
struct Claim {
    seen: Seen,
    by: String,
}

/// Verifies every log of a state folder with the given keys, or with the folder's own when none are given. Blocks on the disk.
pub fn verify(state: &Path, keys: &[VerifyingKey]) -> Result<Report, AuditError> {
    // Whoever brings a key need not be allowed to read those of the folder: payloads stay closed then.
    let mut secrets =
        Keys::load(state).or_else(|error| if keys.is_empty() { Err(error) } else { Ok(None) })?;
    let given: Vec<VerifyingKey> = match (keys, &secrets) {
        ([], Some(secrets)) => vec![secrets.verifying()],
        ([], None) => {
            let problem = "no key to verify with; give one".to_owned();
            return Err(AuditError::Keys { path: state.join("keys/log.key"), problem });
        }
        _ => keys.to_vec(),
    };
    let public: Vec<PublicKey> = given.iter().map(|it| *it.public()).collect();
    let claims = every_claim(&places(state)?)?;
    let mut logs = Vec::new();
    // Listed anew: a log that began meanwhile may have been seen already.
    for place in places(state)? {
        logs.push(one_log(&place, &public, secrets.as_mut(), &claims)?);
    }
    let mut findings = Vec::new();
    for (origin, claims) in &claims {
        let latest =
            claims.iter().max_by_key(|it| it.seen.size).expect("an origin stands here because it was seen");
        let unreadable = |it: &LogReport| it.origin.is_empty() && origin.starts_with(&prefix(&it.log));
        if !logs.iter().any(|it| it.origin == *origin || unreadable(it)) {
            findings.push(format!(
                "log {origin} is gone; {} saw it with {} records",
                latest.by, latest.seen.size
            ));
        }
    }
    let mut report = Report {
        verdict: Verdict::Intact,
        keys: given.iter().map(VerifyingKey::to_string).collect(),
        independent: !keys.is_empty(),
        logs,
        findings,
    };
    report.verdict = report.judge();
    Ok(report)
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

    fn judge(&self) -> Verdict {
        let log = |it: &LogReport| match (&it.altered, it.findings.is_empty()) {
            (Some(_), _) => Verdict::Altered,
            (None, false) => Verdict::Findings,
            (None, true) => Verdict::Intact,
        };
        let all = if self.findings.is_empty() { Verdict::Intact } else { Verdict::Findings };
        self.logs.iter().map(log).fold(all, Verdict::max)
    }
}

/// Everything that records of logs say about other logs, by the others' origins.
fn every_claim(places: &[Place]) -> Result<BTreeMap<String, Vec<Claim>>, AuditError> {
    let mut all: BTreeMap<String, Vec<Claim>> = BTreeMap::new();
    for place in places {
        for seen in claims(place)? {
            let by = place.name();
            all.entry(seen.origin.clone()).or_default().push(Claim { seen, by });
        }
    }
    Ok(all)
}

fn one_log(
    place: &Place,
    keys: &[PublicKey],
    mut secrets: Option<&mut Keys>,
    claims: &BTreeMap<String, Vec<Claim>>,
) -> Result<LogReport, AuditError> {
    let origin_prefix = place.origin_prefix();
    let wanted: BTreeSet<u64> = claims
        .range(origin_prefix.clone()..)
        .take_while(|(origin, _)| origin.starts_with(&origin_prefix))
        .flat_map(|(_, claims)| claims.iter().map(|it| it.seen.size))
        .collect();
    let running = place.is_held();
    let mut it = if place.journal().exists() {
        judge(place, keys, secrets.as_deref_mut(), &wanted)?
    } else {
        Judgement::default()
    };
    if running {
        it = settle(it, || judge(place, keys, secrets.as_deref_mut(), &wanted))?;
    }
    if it.altered.is_none() {
        it.altered = contradiction(&it, claims, &origin_prefix);
    }
    if let Some(secrets) = secrets
        && it.altered.is_none()
    {
        compare_head(place, secrets, running, &mut it)?;
    }
    Ok(report(place, running, it))
}

/// A commit that a running process makes meanwhile looks torn for a moment; what was altered stays where it is.
fn settle(
    mut it: Judgement,
    mut again: impl FnMut() -> Result<Judgement, AuditError>,
) -> Result<Judgement, AuditError> {
    for _ in 0..10 {
        let Some(before) = it.altered.as_ref().map(|it| it.offset) else { return Ok(it) };
        it = again()?;
        if it.altered.as_ref().is_some_and(|it| it.offset == before) {
            return Ok(it);
        }
    }
    it.altered = None;
    Ok(it)
}

/// What other logs have seen of this one and is not so.
fn contradiction(
    it: &Judgement,
    claims: &BTreeMap<String, Vec<Claim>>,
    origin_prefix: &str,
) -> Option<Alteration> {
    let ours = |origin: &str| match &it.origin {
        Some(own) => own == origin,
        None => origin.starts_with(origin_prefix),
    };
    let claims = claims.iter().filter(|(origin, _)| ours(origin)).flat_map(|(_, claims)| claims);
    for Claim { seen, by } in claims {
        let root = it.roots.get(&seen.size).map(hex::encode);
        let (problem, likely) = if seen.size > it.size {
            (format!("{by} saw {} records, and there are {}", seen.size, it.size), "the tail was cut")
        } else if root.as_ref() != Some(&seen.root) {
            (format!("{by} saw other records up to {}", seen.size), "the log was rebuilt with its own key")
        } else {
            continue;
        };
        let index = seen.size.min(it.size);
        return Some(Alteration { index, offset: 0, problem, likely: likely.to_owned() });
    }
    None
}

/// What the head beside the journal knows and the journal does not.
fn compare_head(place: &Place, keys: &Keys, running: bool, it: &mut Judgement) -> Result<(), AuditError> {
    let head = match Head::read(&place.folder, keys)? {
        Some((_, checkpoint)) => checkpoint,
        None => {
            // A crash of the machine spoils it; then there is no stop either.
            if it.stopped && !running && place.folder.join(HEAD).exists() {
                it.findings.push("the head beside the journal is not what was written".to_owned());
            }
            return Ok(());
        }
    };
    let of_this = it.origin.as_ref() == Some(&head.origin);
    let problem = match () {
        () if running => return Ok(()),
        () if !of_this => format!("the head beside the journal is that of {}", head.origin),
        () if head.size > it.size => {
            format!("the head beside it shows {} records, and there are {}", head.size, it.size)
        }
        () if head.size == it.size && head.root != it.root => {
            "the head beside it shows other records".to_owned()
        }
        () => return Ok(()),
    };
    let likely = if of_this && head.size > it.size { "the tail was cut" } else { "the journal was replaced" };
    it.altered = Some(Alteration { index: it.size, offset: 0, problem, likely: likely.to_owned() });
    Ok(())
}

fn report(place: &Place, running: bool, mut it: Judgement) -> LogReport {
    let open: Vec<u64> = it.open.iter().copied().collect();
    if it.altered.is_none() && !running {
        if it.checkpoints == 0 {
            it.findings.push("it holds no commit".to_owned());
        } else if !it.stopped {
            it.findings.push("it ends without a stop record: its process was killed".to_owned());
        }
        for intent in &open {
            it.findings.push(format!("intent {intent} has no outcome; the next start calls it unknown"));
        }
        if it.behind > 0 {
            let bytes = it.behind;
            it.findings
                .push(format!("{bytes} bytes stand behind the last checkpoint: a commit was not completed"));
        }
    }
    if it.payloads.erased > 0 {
        it.findings.push(format!("{} payloads were sealed with keys that are gone", it.payloads.erased));
    }
    LogReport {
        log: place.name(),
        origin: it.origin.unwrap_or_default(),
        running,
        records: it.size,
        root: hex::encode(it.root),
        checkpoints: it.checkpoints,
        payloads: it.payloads,
        in_flight: if running { open } else { Vec::new() },
        altered: it.altered,
        findings: it.findings,
    }
}

fn prefix(log: &str) -> String {
    format!("bailiwick/{log}/")
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Intact => "intact",
            Verdict::Findings => "intact, with findings",
            Verdict::Altered => "ALTERED",
        };
        let records: u64 = self.logs.iter().map(|it| it.records).sum();
        writeln!(out, "{verdict}: {records} records in {} logs", self.logs.len())?;
        for key in &self.keys {
            let found = if self.independent { "" } else { " (not independent: found beside the logs)" };
            writeln!(out, "  key {key}{found}")?;
        }
        self.logs.iter().try_for_each(|it| it.fmt(out))?;
        self.findings.iter().try_for_each(|it| writeln!(out, "  finding: {it}"))
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
        if erased + without_keys > 0 {
            write!(out, ", {} not", erased + without_keys)?;
        }
        writeln!(out, "{}", if self.running { ", in use" } else { "" })?;
        for intent in &self.in_flight {
            writeln!(out, "    intent {intent} is running")?;
        }
        if let Some(it) = &self.altered {
            writeln!(out, "    ALTERED from record {}: {}; {}", it.index, it.problem, it.likely)?;
        }
        self.findings.iter().try_for_each(|it| writeln!(out, "    finding: {it}"))
    }
}
