//! One configured system of record.

use std::path::PathBuf;

use policy::Target;
use zeroize::Zeroizing;

use crate::{ConfigError, Secret};

/// One configured system of record.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its name: lower-case letters, digits and `-`.
    pub name: String,
    /// From the configuration, or `unknown`.
    pub environment: String,
    /// From the configuration, or `unknown`.
    pub region: String,
    /// From the configuration, or `unknown`.
    pub team: String,
    /// From the configuration, or `unknown`.
    pub tier: String,
    /// What it is and how it is reached.
    pub system: System,
}

/// What a connection leads to.
#[derive(Clone, Debug)]
pub enum System {
    /// Prometheus HTTP API.
    Prometheus(Http),
    /// Alertmanager API v2.
    Alertmanager(Http),
    /// A git repository on this machine.
    Git(Git),
}

/// How a plain HTTP system is reached.
#[derive(Clone, Debug)]
pub struct Http {
    /// Base address; a path prefix is kept.
    pub url: url::Url,
    /// How we prove who we are.
    pub auth: Auth,
    /// Further headers, e.g. a tenant.
    pub headers: Vec<(String, String)>,
    /// Further headers whose values are secret, e.g. an API key.
    pub secret_headers: Vec<(String, Secret)>,
    /// How we prove who we are before anything is said (mTLS).
    pub client_certificate: Option<ClientCertificate>,
    /// Certificates to trust beside the system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// Longest wait for one answer.
    pub timeout_ms: u64,
    /// PromQL matchers forced into every selector, e.g. `team="checkout"`.
    pub matchers: Vec<String>,
    /// Whether a `team` label on an object counts as its team.
    pub trust_labels: bool,
}

/// What we show to a system that asks for a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Our certificate and what it was signed by, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM; only its owner may read the file.
    pub key: PathBuf,
}

/// How a plain HTTP system is told who we are.
#[derive(Clone, Debug)]
pub enum Auth {
    /// Not at all.
    None,
    /// `Authorization: Bearer`.
    Bearer(Secret),
    /// `Authorization: Basic`.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: Secret,
    },
}

/// Where a git repository is.
#[derive(Clone, Debug)]
pub struct Git {
    /// Its work tree or its bare folder.
    pub path: PathBuf,
}

impl Http {
    /// A system at an address that asks for nothing.
    pub fn plain(url: url::Url) -> Http {
        Http {
            url,
            auth: Auth::None,
            headers: Vec::new(),
            secret_headers: Vec::new(),
            client_certificate: None,
            ca_file: None,
            timeout_ms: crate::interpret::TIMEOUT_MS,
            matchers: Vec::new(),
            trust_labels: false,
        }
    }
}

impl ClientCertificate {
    /// Certificate and key, one after the other. Blocks.
    pub fn read(&self) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        let mut both = Secret::File(self.key.clone()).read_bytes()?;
        both.push(b'\n');
        let certificate = std::fs::read(&self.certificate);
        both.extend(certificate.map_err(|error| crate::file::unreadable(&self.certificate, &error))?);
        Ok(both)
    }
}

impl Connection {
    /// What touching a thing behind this connection touches.
    pub fn target(&self, kind: &'static str, id: impl Into<String>) -> Target {
        Target {
            kind: kind.into(),
            id: id.into(),
            connection: self.name.clone(),
            environment: self.environment.clone(),
            region: self.region.clone(),
            team: self.team.clone(),
            tier: self.tier.clone(),
        }
    }

    /// What touching the connection as a whole touches.
    pub fn whole(&self, kind: &'static str) -> Target {
        self.target(kind, self.name.clone())
    }
}
