//! What may stand in `bailiwick.toml`? The one definition that both the loader and the JSON Schema derive from.

mod approvals;
mod callers;
mod telemetry;

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use self::{
    approvals::{ApprovalsTable, NotifyTable, PageTable},
    callers::{IssuerTable, LoginTable, ServingTable},
    telemetry::TelemetryTable,
};

/// Bailiwick: who the agent is, which systems of record it reaches, and what it may do there.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(rename = "bailiwick.toml")]
pub(crate) struct FileTable {
    /// Who calls. Without it: agent `local`, acting for the user of the operating system.
    pub identity: Option<IdentityTable>,
    /// What may be done. Without lists and files, reads only.
    pub policy: PolicyTable,
    /// How people are asked to agree.
    pub approvals: ApprovalsTable,
    /// Where it is recorded.
    pub audit: AuditTable,
    /// Of `bailiwick serve audit`: whose logs it collects.
    pub collector: CollectingTable,
    /// Words that policies may use beyond those that connections mention.
    pub vocabulary: VocabularyTable,
    /// How `bailiwick serve --http` is reached.
    pub http: ServingTable,
    /// Who issues tokens that prove callers over HTTP, by name: lower-case letters, digits and `-`.
    pub issuers: BTreeMap<String, IssuerTable>,
    /// Agents that somebody answers for, by the name that policies know them by.
    pub agents: BTreeMap<String, AgentTable>,
    /// Where change tickets are looked up, for policies that ask for an approved one.
    pub change: Option<ChangeTable>,
    /// Where traces and metrics of what is served go; nowhere unless told.
    pub telemetry: Option<TelemetryTable>,
    /// How git repositories are searched.
    pub search: SearchTable,
    /// Systems of record by name: lower-case letters, digits and `-`.
    pub connections: BTreeMap<String, ConnectionTable>,
}

/// Who calls, as declared here; nothing proves it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(rename = "Identity")]
pub(crate) struct IdentityTable {
    /// The agent, e.g. `claude-code`; `local` unless told.
    pub agent: Option<String>,
    /// The person it acts for, e.g. `alice`.
    pub person: Option<String>,
    /// Teams of both, e.g. `["checkout"]`.
    pub teams: Vec<String>,
}

/// An agent that somebody answers for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[schemars(rename = "Agent")]
pub(crate) struct AgentTable {
    /// The person who answers for it, by the name that policies know them by, e.g. `alice@example.com`: they cannot approve what it
    /// asks for.
    pub owner: String,
}

/// What may be done. deny beats approve beats ask beats allow; the order of entries never matters.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(rename = "Policy")]
pub(crate) struct PolicyTable {
    /// Zone of `weekday` and `minute_of_day`, e.g. `Europe/Berlin`; UTC unless told.
    pub timezone: Option<String>,
    /// Cedar files, relative to this one, e.g. `["policies/on-call.cedar"]`.
    pub files: Vec<PathBuf>,
    /// Environments where it is enough for effects that `[identity]` says which teams the caller is in, e.g. `["dev", "sandbox"]`;
    /// `development` and `dev` unless told. Elsewhere a token has to say it (`bailiwick login`).
    pub development: Option<Vec<String>>,
    /// Folder with one subfolder of Cedar files per team; each file speaks only of its team's resources.
    pub teams: Option<PathBuf>,
    /// What may be done, e.g. `["query_metrics", "list_*", "effect:mitigate environment:staging"]`.
    pub allow: Vec<String>,
    /// What may be done once the person at the keyboard confirms, e.g. `["silence_alert"]`.
    pub ask: Vec<String>,
    /// What may be done once other people approve, e.g. `["effect:mitigate environment:production"]`.
    pub approve: Vec<ApproveEntry>,
    /// What may not be done, e.g. `["read_file environment:production"]`.
    pub deny: Vec<String>,
    /// Whether a tool that no rule lets a caller use is told to be none, instead of denied with the rule: `false` unless told.
    pub hide: bool,
    /// How often each caller may do something, e.g. `["silence_alert 3 per hour", "effect:mitigate 10 per hour", "* 2000 per day"]`.
    pub limits: Vec<String>,
}

/// What needs the approval of one other person, or of more.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a rule, or { rule = \"RULE\", approvals = 2 }")]
#[schemars(rename = "Approve")]
pub(crate) enum ApproveEntry {
    /// One other person.
    One(String),
    /// Several other people.
    Several(SeveralTable),
}

/// A rule and how many people must approve.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[schemars(rename = "Several")]
pub(crate) struct SeveralTable {
    /// E.g. `effect:destroy`.
    pub rule: String,
    /// 1 to 3.
    #[schemars(range(min = 1, max = 3))]
    pub approvals: u8,
}

/// How git repositories are searched.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(rename = "Search")]
pub(crate) struct SearchTable {
    /// Whether a serving process keeps, in `~/.cache/bailiwick/search`, which three bytes stand side by side in each file of a large
    /// repository, so that the next search unpacks only files that may match; true unless told.
    pub filters: Option<bool>,
}

/// Where calls are recorded.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(rename = "Audit")]
pub(crate) struct AuditTable {
    /// Folder of the log; `~/.local/state/bailiwick` unless told.
    pub state: Option<PathBuf>,
    /// From how many MiB on the journal of a log goes on in another file: 1 to 65536, 64 unless told.
    #[schemars(range(min = 1, max = 65_536))]
    pub segment_mib: Option<u64>,
    /// How many full files of a journal are kept once what they hold is published in the log's own folder; all unless told.
    pub keep_segments: Option<u32>,
    /// Where the log is published beyond its own folder; nowhere unless told.
    pub publish: Option<PublishTable>,
    /// The signing key where it does not lie in the folder of the log: `{ file = "/secure/log.key" }`, of mode 0600 and made by the first
    /// start, or `{ env = "LOG_KEY" }` with the text of such a file.
    pub signing_key: Option<SecretTable>,
    /// Verifier keys that `bailiwick audit verify` goes by, as a start prints them.
    pub keys: Vec<String>,
    /// Who cosigns the log, run by another administrator; `bailiwick audit verify` goes by these keys too.
    pub witnesses: Vec<WitnessTable>,
    /// How young the cosignature of some witness must be for effects to begin, e.g. `10m`: 10 s to 7 days.
    pub effects_need_witness_within: Option<String>,
    /// Who holds the records of this log before their effects begin, e.g. of a CI job; nobody unless told.
    pub collector: Option<CollectorTable>,
    /// Whether the log's disk goes with the process, so that effects need a collector. Unless told: yes on tmpfs and overlay, and where
    /// the environment says that the job's machine is thrown away.
    pub ephemeral: Option<bool>,
    /// Subjects that `bailiwick audit erase` refuses, by all or some of their words, e.g. `["person:alice"]`.
    pub hold: Vec<String>,
}

/// A witness of the log: any that speaks C2SP tlog-witness, such as `bailiwick witness`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[schemars(rename = "Witness")]
pub(crate) struct WitnessTable {
    /// Its submission prefix, e.g. `https://witness.example.com`.
    pub url: String,
    /// Its verifier key, as `bailiwick witness` prints it: `name+id+base64`.
    pub key: String,
}

/// A collector: `bailiwick serve audit`, run by another administrator.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table { url, token }")]
#[schemars(rename = "Collector")]
pub(crate) struct CollectorTable {
    /// Its address, e.g. `https://collector.example.com`.
    pub url: String,
    /// What it knows us by, e.g. `{ env = "COLLECTOR_TOKEN" }`.
    pub token: SecretTable,
}

/// What `bailiwick serve audit` goes by.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(rename = "Collecting")]
pub(crate) struct CollectingTable {
    /// Who may send their logs, by name: lower-case letters, digits and `-`.
    pub senders: BTreeMap<String, SenderTable>,
}

/// Who may send logs to this collector.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table { token }")]
#[schemars(rename = "Sender")]
pub(crate) struct SenderTable {
    /// What it is known by: at least 32 characters, e.g. `{ file = "/run/secrets/ci-token" }`.
    pub token: SecretTable,
    /// Verifier keys of its logs; unless told, the first key that it shows for a log.
    #[serde(default)]
    pub keys: Vec<String>,
}

/// Where the log is published: tiles and checkpoints, and no payloads.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[schemars(rename = "Publish")]
pub(crate) struct PublishTable {
    /// `s3://bucket/prefix`, or `file:///folder` for another file system.
    pub url: String,
    /// Of a bucket: address of the store where it is not AWS, e.g. `https://s3.example.com`.
    pub endpoint: Option<String>,
    /// Of a bucket, e.g. `eu-west-1`; `us-east-1` unless told.
    pub region: Option<String>,
    /// Of a bucket: id of the access key, e.g. `{ env = "LOG_ACCESS_KEY_ID" }`.
    pub access_key_id: Option<SecretTable>,
    /// Of a bucket: the access key, e.g. `{ file = "/run/secrets/log-access-key" }`.
    pub secret_access_key: Option<SecretTable>,
}

/// Words that policies may use beyond those that connections mention.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(rename = "Vocabulary")]
pub(crate) struct VocabularyTable {
    /// E.g. `["production", "staging"]`.
    pub environments: Vec<String>,
    /// E.g. `["eu-west-1"]`.
    pub regions: Vec<String>,
    /// E.g. `["checkout", "platform"]`.
    pub teams: Vec<String>,
    /// E.g. `["1", "2"]`.
    pub tiers: Vec<String>,
}

/// One system of record; `kind` says which.
// `node.rs` tells the variants of an enum that is named `kind` apart by that key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "kind", rename_all = "lowercase", expecting = "a table")]
#[schemars(rename = "Connection", tag = "kind")]
pub(crate) enum ConnectionTable {
    /// Prometheus HTTP API, or anything that speaks it.
    Prometheus(HttpTable),
    /// Alertmanager API v2.
    Alertmanager(HttpTable),
    /// A git repository on this machine.
    Git(GitTable),
}

/// A system that is reached over HTTP.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[schemars(rename = "Http")]
pub(crate) struct HttpTable {
    /// Base address, e.g. `https://prometheus.example.com`; a path prefix is kept.
    pub url: String,
    /// E.g. `production`; `unknown` unless told, which shipped policies treat as production.
    pub environment: Option<String>,
    /// E.g. `eu-west-1`.
    pub region: Option<String>,
    /// Team that owns it, e.g. `platform`.
    pub team: Option<String>,
    /// How critical it is, e.g. `1`.
    pub tier: Option<String>,
    /// Token for `Authorization: Bearer`, e.g. `{ env = "PROM_TOKEN" }`.
    pub bearer: Option<SecretTable>,
    /// User name and password.
    pub basic: Option<BasicTable>,
    /// Further headers, e.g. `{ "X-Scope-OrgID" = "tenant" }`; a secret one from `{ env = "NAME" }` or `{ file = "PATH" }`.
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderTable>,
    /// What we show to a system that asks for a certificate (mTLS).
    pub client_certificate: Option<CertificateTable>,
    /// Certificates (PEM) to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Longest wait for one answer in milliseconds: 100 to 60000, 10000 unless told.
    #[schemars(range(min = 100, max = 60_000))]
    pub timeout_ms: Option<u64>,
    /// Matchers forced into every selector, e.g. `['cluster="eu"']`.
    #[serde(default)]
    pub matchers: Vec<String>,
    /// Whether a `team` label on a series or an alert counts as its team; false unless told.
    #[serde(default)]
    pub trust_labels: bool,
}

/// A git repository on this machine.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[schemars(rename = "Git")]
pub(crate) struct GitTable {
    /// Its work tree or its bare folder, relative to this file.
    pub path: PathBuf,
    /// E.g. `production`; `unknown` unless told, which shipped policies treat as production.
    pub environment: Option<String>,
    /// E.g. `eu-west-1`.
    pub region: Option<String>,
    /// Team that owns it, e.g. `checkout`.
    pub team: Option<String>,
    /// How critical it is, e.g. `1`.
    pub tier: Option<String>,
}

/// The system that keeps change tickets: it is asked by `GET`, and answers with JSON.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table { url, state, approved }")]
#[schemars(rename = "Change")]
pub(crate) struct ChangeTable {
    /// Where a ticket is, `{id}` for its id in the path or the query, e.g. `https://jira.example.com/rest/api/2/issue/{id}?fields=status`.
    pub url: String,
    /// Where its state stands in the answer, as a JSON pointer, e.g. `/fields/status/name`.
    pub state: String,
    /// States that count as approved, to the letter, e.g. `["Implementing"]`.
    #[schemars(length(min = 1))]
    pub approved: Vec<String>,
    /// How long an answer is believed without asking again: up to `10m`, `60s` unless told.
    pub cache: Option<String>,
    /// Token for `Authorization: Bearer`, e.g. `{ env = "JIRA_TOKEN" }`.
    pub bearer: Option<SecretTable>,
    /// User name and password.
    pub basic: Option<BasicTable>,
    /// Further headers; a secret one from `{ env = "NAME" }` or `{ file = "PATH" }`.
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderTable>,
    /// What we show to a system that asks for a certificate (mTLS).
    pub client_certificate: Option<CertificateTable>,
    /// Certificates (PEM) to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Longest wait for one answer in milliseconds: 100 to 60000, 10000 unless told.
    #[schemars(range(min = 100, max = 60_000))]
    pub timeout_ms: Option<u64>,
}

/// User name and password.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table { username, password }")]
#[schemars(rename = "Basic")]
pub(crate) struct BasicTable {
    /// E.g. `grafana`.
    pub username: String,
    /// E.g. `{ file = "/run/secrets/password" }`.
    pub password: SecretTable,
}

/// Value of a header.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a text, or { env = \"NAME\" } or { file = \"PATH\" }")]
#[schemars(rename = "Header")]
pub(crate) enum HeaderTable {
    /// As it stands here: no secret.
    Plain(String),
    /// Read where it is kept.
    Secret(SecretTable),
}

/// A certificate and its private key, both PEM.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table { certificate, key }")]
#[schemars(rename = "ClientCertificate")]
pub(crate) struct CertificateTable {
    /// File of the certificate and what it was signed by, relative to this one.
    pub certificate: PathBuf,
    /// File of its private key, that only its owner can read.
    pub key: PathBuf,
}

/// Where a secret is read from; the secret itself never stands in this file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(
    rename_all = "lowercase",
    expecting = "{ env = \"NAME\" } or { file = \"PATH\" } (a secret never stands in this file)"
)]
#[schemars(rename = "Secret")]
pub(crate) enum SecretTable {
    /// An environment variable.
    Env(String),
    /// A file, relative to this one, that only its owner can read; a line end after the secret is dropped.
    File(PathBuf),
}
