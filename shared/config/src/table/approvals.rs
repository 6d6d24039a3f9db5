//! How people are asked to agree, as it stands in `bailiwick.toml`.

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
}
