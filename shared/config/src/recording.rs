//! How is the log kept, and where is it published?

use std::{path::PathBuf, time::Duration};

use url::Url;

use crate::{
    ConfigError, Secret, address,
    document::Excerpt,
    interpret::Reading,
    table::{AuditTable, CollectingTable, CollectorTable, PublishTable, WitnessTable},
    words,
};

/// How the log is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// Where the signing key is; in the folder of the log unless told.
    pub signing_key: Option<Secret>,
    /// From how many bytes on a journal goes on in another file; the log's own default unless told.
    pub segment_bytes: Option<u64>,
    /// How many full files of a journal are kept; all unless told.
    pub keep_segments: Option<u32>,
    /// Where it is published beyond its own folder.
    pub publish: Option<Shelf>,
    /// Who is asked to cosign it.
    pub witnesses: Vec<Witness>,
    /// How young the cosignature of some witness must be for effects to begin; none unless told.
    pub effects_need_witness_within: Option<Duration>,
    /// Who holds its records before their effects begin.
    pub collector: Option<Collector>,
    /// Whether its disk goes with the process; looked up unless told.
    pub ephemeral: Option<bool>,
    /// Subjects that may not be erased, by all or some of their words: `agent:NAME`, `person:NAME`.
    pub hold: Vec<String>,
}

/// A witness of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// What its addresses begin with.
    pub url: Url,
    /// Its verifier key, as the file has it.
    pub key: String,
}

/// Who holds the records of a log before their effects begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    /// What its addresses begin with.
    pub url: Url,
    /// What it knows us by.
    pub token: Secret,
}

/// Who may send logs to a collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// What its logs are filed under.
    pub name: String,
    /// What it is known by.
    pub token: Secret,
    /// Verifier keys of its logs, as the file has them; none: the first that it shows for a log.
    pub keys: Vec<String>,
}

/// Where a log is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shelf {
    /// A folder, of another file system if it is to outlive this one.
    Folder(PathBuf),
    /// A bucket of an S3-compatible store.
    Bucket(Bucket),
}

/// A bucket of an S3-compatible store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What all names in it begin with; empty or ending in `/`.
    pub prefix: String,
    /// Address of the store where it is not AWS.
    pub endpoint: Option<Url>,
    /// E.g. `eu-west-1`.
    pub region: String,
    /// Id of the access key.
    pub access_key_id: Secret,
    /// The access key.
    pub secret_access_key: Secret,
}

/// Where S3 asks for a region and nobody cares.
const REGION: &str = "us-east-1";

impl Reading<'_, '_> {
    pub(crate) fn recording(&mut self, table: &AuditTable) -> Result<Recording, ConfigError> {
        if table.segment_mib.is_some_and(|it| !(1..=65_536).contains(&it)) {
            let problem = "expected 1 to 65536 MiB";
            return Err(self.document.wrong(&["audit", "segment_mib"], problem, Excerpt::ShowsValue));
        }
        Ok(Recording {
            signing_key: self.signing_key(table)?,
            segment_bytes: table.segment_mib.map(|it| it << 20),
            keep_segments: table.keep_segments,
            publish: table.publish.as_ref().map(|it| self.shelf(it)).transpose()?,
            witnesses: self.witnesses(&table.witnesses)?,
            effects_need_witness_within: self.witness_within(table)?,
            collector: table.collector.as_ref().map(|it| self.collector(it)).transpose()?,
            ephemeral: table.ephemeral,
            hold: self.hold(&table.hold)?,
        })
    }

    fn signing_key(&mut self, table: &AuditTable) -> Result<Option<Secret>, ConfigError> {
        let named = table.signing_key.clone();
        named.map(|it| self.secret(&["audit", "signing_key"], it)).transpose()
    }

    fn witnesses(&mut self, tables: &[WitnessTable]) -> Result<Vec<Witness>, ConfigError> {
        let mut witnesses = Vec::new();
        for (index, table) in tables.iter().enumerate() {
            let index = index.to_string();
            let at = ["audit", "witnesses", &index, "url"];
            let url = address::base(&table.url);
            let url = url.map_err(|problem| self.document.wrong(&at, problem, Excerpt::HidesValue))?;
            witnesses.push(Witness { url, key: table.key.clone() });
        }
        Ok(witnesses)
    }

    fn collector(&mut self, table: &CollectorTable) -> Result<Collector, ConfigError> {
        let at = ["audit", "collector", "url"];
        let url = address::base(&table.url);
        let url = url.map_err(|problem| self.document.wrong(&at, problem, Excerpt::HidesValue))?;
        if address::is_overheard(&url) {
            let note = "audit.collector: the token crosses the network unencrypted, and others may answer; use https";
            self.notes.push(note.to_owned());
        }
        let token = self.secret(&["audit", "collector", "token"], table.token.clone())?;
        Ok(Collector { url, token })
    }

    /// Whose logs a collector takes.
    pub(crate) fn senders(&mut self, table: CollectingTable) -> Result<Vec<Sender>, ConfigError> {
        let mut senders = Vec::new();
        for (name, table) in table.senders {
            if !words::is_slug(&name) {
                let problem = "a sender's name is 1 to 63 of a-z, 0-9 and -";
                return Err(self.document.wrong_key(&["collector", "senders", &name], problem));
            }
            let token = self.secret(&["collector", "senders", &name, "token"], table.token)?;
            senders.push(Sender { name, token, keys: table.keys });
        }
        Ok(senders)
    }

    fn witness_within(&self, table: &AuditTable) -> Result<Option<Duration>, ConfigError> {
        let Some(text) = &table.effects_need_witness_within else { return Ok(None) };
        let wrong = |problem: &str| {
            let path = ["audit", "effects_need_witness_within"];
            self.document.wrong(&path, problem, Excerpt::ShowsValue)
        };
        if table.witnesses.is_empty() {
            return Err(wrong("no effect could ever begin: [audit] names no witnesses"));
        }
        let span: Option<jiff::Span> = text.parse().ok();
        let within = span.and_then(|it| it.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok());
        let within = within.and_then(|it| Duration::try_from(it).ok());
        let bounds = Duration::from_secs(10)..=Duration::from_secs(7 * 24 * 3600);
        let within = within.filter(|it| bounds.contains(it));
        within.map(Some).ok_or_else(|| wrong("expected 10 seconds to 7 days, e.g. `10m`"))
    }

    /// Refuses what could never be a subject: a hold that holds nobody would be noticed too late.
    fn hold(&self, entries: &[String]) -> Result<Vec<String>, ConfigError> {
        for (index, entry) in entries.iter().enumerate() {
            let named = |word: &str| {
                let name = ["agent:", "person:"].iter().find_map(|kind| word.strip_prefix(kind));
                name.is_some_and(words::is_principal)
            };
            if entry.is_empty() || !entry.split(' ').all(named) {
                let problem = "expected `agent:NAME`, `person:NAME`, or both with a space between them";
                let path = ["audit", "hold", &index.to_string()];
                return Err(self.document.wrong(&path, problem, Excerpt::ShowsValue));
            }
        }
        Ok(entries.to_vec())
    }

    fn shelf(&mut self, table: &PublishTable) -> Result<Shelf, ConfigError> {
        let at = |key: &'static str| ["audit", "publish", key];
        let wrong = |key, problem: &str| self.document.wrong(&at(key), problem, Excerpt::HidesValue);
        let form = "expected s3://bucket/prefix or file:///folder";
        let url = Url::parse(&table.url).map_err(|_| wrong("url", form))?;
        let plain = url.query().is_none() && url.fragment().is_none() && url.port().is_none();
        if !plain || !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("url", &format!("{form}, and nothing else in it")));
        }
        match (url.scheme(), url.host_str()) {
            ("file", None) => match url.to_file_path() {
                Ok(path) if table.is_plain() => Ok(Shelf::Folder(path)),
                Ok(_) => Err(wrong("url", "a folder has no endpoint, region or access key")),
                Err(()) => Err(wrong("url", form)),
            },
            ("s3", Some(name)) => {
                let prefix = url.path().trim_matches('/');
                let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
                let name = name.to_owned();
                self.bucket(table, name, prefix).map(Shelf::Bucket)
            }
            _ => Err(wrong("url", form)),
        }
    }

    fn bucket(&mut self, table: &PublishTable, name: String, prefix: String) -> Result<Bucket, ConfigError> {
        let at = |key: &'static str| ["audit", "publish", key];
        let endpoint = table.endpoint.as_deref().map(address::base).transpose();
        let endpoint =
            endpoint.map_err(|problem| self.document.wrong(&at("endpoint"), problem, Excerpt::HidesValue))?;
        if endpoint.as_ref().is_some_and(address::is_overheard) {
            self.notes.push("audit.publish: the log crosses the network unencrypted; use https".to_owned());
        }
        let (Some(id), Some(key)) = (&table.access_key_id, &table.secret_access_key) else {
            let problem =
                "a bucket needs access_key_id and secret_access_key, each { env = … } or { file = … }";
            return Err(self.document.wrong_key(&["audit", "publish"], problem));
        };
        Ok(Bucket {
            name,
            prefix,
            endpoint,
            region: table.region.clone().unwrap_or_else(|| REGION.to_owned()),
            access_key_id: self.secret(&at("access_key_id"), id.clone())?,
            secret_access_key: self.secret(&at("secret_access_key"), key.clone())?,
        })
    }
}

impl PublishTable {
    /// Whether it says nothing that only a bucket has.
    fn is_plain(&self) -> bool {
        let secrets = self.access_key_id.is_none() && self.secret_access_key.is_none();
        self.endpoint.is_none() && self.region.is_none() && secrets
    }
}
