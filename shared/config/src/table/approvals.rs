//! How people are asked to agree, as it stands in `bailiwick.toml`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::SecretTable;

/// How people are asked to agree to what a policy asks them about.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(rename = "Approvals")]
pub(crate) struct ApprovalsTable {
    /// Address of a PostgreSQL database that all replicas share, e.g. `{ env = "APPROVALS_DATABASE_URL" }`; a file in the folder of the
    /// log unless told.
    pub store: Option<SecretTable>,
    /// How long people have to agree: 1 minute to 24 hours, `60m` unless told.
    pub approve_within: Option<String>,
    /// How long after that it can be carried out: 1 minute to 4 hours, `15m` unless told.
    pub execute_within: Option<String>,
    /// Most approvals of one person within an hour: 1 to 1000, 30 unless told. Whoever agrees to everything looks at nothing.
    #[schemars(range(min = 1, max = 1000))]
    pub approvals_per_hour: Option<u64>,
    /// Longest that one person may approve alone, once they break the glass: 1 minute to 4 hours, `1h` unless told.
    pub break_glass_max: Option<String>,
    /// How long after its end another person has to review it: 1 minute to 30 days, `72h` unless told.
    pub review_within: Option<String>,
    /// Who hears of what waits, by webhooks.
    pub notify: Vec<NotifyTable>,
    /// A page on which people decide with nothing but a browser, e.g. `{ issuer = "company", client_id = "bailiwick-page" }`; none
    /// unless told.
    pub page: Option<PageTable>,
}

/// Somebody who hears of what waits for people, by a webhook.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table { url, format }")]
#[schemars(rename = "Notify")]
pub(crate) struct NotifyTable {
    /// Where: an `https` address, e.g. of a Slack incoming webhook. Whoever knows it can write there, so it is kept as a secret:
    /// `{ env = "SLACK_WEBHOOK_URL" }`.
    pub url: SecretTable,
    /// In what form: `slack`, or `json`, signed as Standard Webhooks has it.
    #[schemars(extend("enum" = ["slack", "json"]))]
    pub format: String,
    /// Of `json`: the key that it is signed with, `whsec_` and the base64 of 24 to 64 random bytes, e.g. `{ file = "/run/secrets/hook" }`.
    pub secret: Option<SecretTable>,
    /// Certificates (PEM) to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Of what: `asked`, `approved`, `confirmed`, `denied`, `revoked`, `expired`, `void`, `consumed`, `unknown`, `stopped`, `resumed`, and of a
    /// break-glass `opened`, `used`, `closed`, `unreviewed`, `reviewed`; all but `approved`, `confirmed`, `revoked`, `void` and `consumed`
    /// unless told.
    pub events: Option<Vec<String>>,
    /// Only what touches these teams, e.g. `["checkout"]`; what is mapped to none is told to everybody.
    #[serde(default)]
    pub teams: Vec<String>,
    /// Only what touches these environments, e.g. `["production"]`; what is mapped to none is told to everybody.
    #[serde(default)]
    pub environments: Vec<String>,
}

/// The page on which people decide: served at `/decide` by `serve --http`, and what links of notifications lead to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table { issuer, client_id }")]
#[schemars(rename = "Page")]
pub(crate) struct PageTable {
    /// By which of `[issuers.NAME]` people log in, e.g. `company`. It has to offer the authorization code grant with PKCE, and its
    /// `id_token` to name people (`sub`) as its access tokens do.
    pub issuer: String,
    /// Client that it knows the page by, whose redirect address is `/decide/callback` below `[http] public_url`.
    pub client_id: String,
    /// What proves the page to it, e.g. `{ file = "/run/secrets/page" }`; left out of a public client.
    pub client_secret: Option<SecretTable>,
    /// What is asked for; `openid` and `bailiwick:approve` unless told.
    pub scopes: Option<Vec<String>>,
    /// What the token is asked to be for (RFC 8707); where the issuer has no `audiences`, `/approvals` below `[http] public_url`, else not
    /// sent unless told.
    pub resource: Option<String>,
}
