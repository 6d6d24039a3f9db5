//! What may stand under `[http]` and `[issuers.NAME]`?

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{CertificateTable, SecretTable};

/// How `bailiwick serve --http` is reached.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[schemars(rename = "HttpServing")]
pub(crate) struct ServingTable {
    /// Address of `https://HOST` that clients use, e.g. `https://bailiwick.example.com`; tokens are for what lies below it.
    pub public_url: Option<String>,
    /// Certificate and key for TLS, read again when they are renewed.
    pub certificate: Option<CertificateTable>,
    /// Whether plain HTTP may go beyond this machine, because a proxy in front speaks TLS; false unless told.
    pub plain: bool,
    /// Whether whoever reaches a loopback address is taken for the caller of `[identity]`; false unless told.
    pub unproven: bool,
    /// Pages beyond this machine that may speak to it, e.g. `["https://inspector.example.com"]`.
    pub origins: Vec<String>,
}

/// Who issues tokens that prove callers: an OpenID provider, a Kubernetes cluster, GitHub Actions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[schemars(rename = "Issuer")]
pub(crate) struct IssuerTable {
    /// What tokens hold as `iss`, to the letter, e.g. `https://login.example.com`; its keys are found from there.
    pub url: String,
    /// Where its keys are (JWKS), where they are on another host or not announced.
    pub jwks_url: Option<String>,
    /// Token for asking for the keys, e.g. `{ file = "/var/run/secrets/kubernetes.io/serviceaccount/token" }`.
    pub bearer: Option<SecretTable>,
    /// Certificates (PEM) to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// What tokens must hold as `aud`, one of these; the address of the server they are sent to unless told.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// Signatures that count, e.g. `["RS256"]`; RS256, PS256, ES256, ES384 and EdDSA unless told.
    #[serde(default)]
    pub algorithms: Vec<String>,
    /// Claims that tokens must hold, each with one of these values, e.g. `{ repository_owner = ["example"] }`.
    #[serde(default)]
    pub require: BTreeMap<String, Vec<String>>,
    /// Claim that names the agent, or a pointer into claims such as `/act/sub`; `/act/sub`, `client_id` or `azp` unless told.
    pub agent_claim: Option<String>,
    /// Name of the agent, whatever the token says, e.g. `ci`.
    pub agent_name: Option<String>,
    /// Claim that names the person the agent acts for, e.g. `email`; `sub` unless told.
    pub person_claim: Option<String>,
    /// Whether its tokens are of workloads, which act for no person; false unless told.
    #[serde(default)]
    pub workloads: bool,
    /// Claim that lists groups; `groups` unless told.
    pub groups_claim: Option<String>,
    /// Which group is which team, e.g. `{ "checkout-devs" = "checkout" }`; other groups do not count.
    #[serde(default)]
    pub teams: BTreeMap<String, String>,
    /// What stands in front of each name of this issuer, e.g. `github:`. Only one issuer may have none.
    #[serde(default)]
    pub prefix: String,
    /// Scopes of each token that lists none of ours, e.g. `["bailiwick:read"]`; none unless told.
    #[serde(default)]
    pub grant: Vec<String>,
    /// How `bailiwick login` gets tokens for people here, e.g. `{ client_id = "bailiwick" }`.
    pub login: Option<LoginTable>,
}

/// How a person gets a token on this machine: by the device authorization grant, which the issuer has to offer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table { client_id }")]
#[schemars(rename = "Login")]
pub(crate) struct LoginTable {
    /// Client that the issuer knows us by: a public one, without a secret.
    pub client_id: String,
    /// What is asked for; `openid`, `offline_access`, `bailiwick:read` and `bailiwick:act` unless told.
    pub scopes: Option<Vec<String>>,
    /// What the token is asked to be for (RFC 8707), e.g. `https://bailiwick.example.com`; not sent unless told.
    pub resource: Option<String>,
}
