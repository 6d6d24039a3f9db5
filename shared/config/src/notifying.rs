//! Who hears of what waits for people, and where are they told?

use std::path::PathBuf;

use policy::Vocabulary;
use url::Url;

use crate::{ConfigError, Secret, address, document::Excerpt, interpret::Reading, table::NotifyTable, words};

/// Somebody who is told by a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// Where: the address is a secret, since whoever knows it can write there.
    pub url: Secret,
    /// In what form.
    pub format: NotifyFormat,
    /// Certificates to trust beside the system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// Of what: words of [`Notify::EVENTS`].
    pub events: Vec<String>,
    /// Only what touches these teams; all where there are none.
    pub teams: Vec<String>,
    /// Only what touches these environments; all where there are none.
    pub environments: Vec<String>,
}

/// In what form somebody is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotifyFormat {
    /// As an incoming webhook of Slack takes it.
    Slack,
    /// As JSON, signed with this key as Standard Webhooks has it.
    Json(Secret),
}

/// Most that are told.
const TOLD_MAX: usize = 16;
const FORMATS: [&str; 2] = ["slack", "json"];

impl Notify {
    /// What can be heard of.
    pub const EVENTS: [&str; 16] = [
        "asked",
        "approved",
        "confirmed",
        "denied",
        "revoked",
        "expired",
        "void",
        "consumed",
        "unknown",
        "stopped",
        "resumed",
        "opened",
        "used",
        "closed",
        "unreviewed",
        "reviewed",
    ];
    /// What is heard of unless told: what somebody has to do something about, and how it ended without them.
    const USUAL: [&str; 11] = [
        "asked",
        "stopped",
        "resumed",
        "denied",
        "expired",
        "unknown",
        "opened",
        "used",
        "closed",
        "unreviewed",
        "reviewed",
    ];

    /// Reads the address. The problem never repeats it.
    pub fn address(&self) -> Result<Url, ConfigError> {
        let text = self.url.read()?;
        let wrong =
            |problem: &str| ConfigError::Secret { from: self.url.clone(), problem: problem.to_owned() };
        let url =
            Url::parse(&text).ok().filter(|it| matches!(it.scheme(), "http" | "https") && it.has_host());
        let url = url.ok_or_else(|| wrong("expected an address that begins with https://"))?;
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(wrong("expected an address without a user name, a password and `#`"));
        }
        if address::is_overheard(&url) {
            return Err(wrong("whoever is on the way would read what waits; use https"));
        }
        Ok(url)
    }
}

impl Reading<'_, '_> {
    /// Everybody who is told.
    pub(crate) fn notify(
        &self,
        tables: &[NotifyTable],
        vocabulary: &Vocabulary,
    ) -> Result<Vec<Notify>, ConfigError> {
        if tables.len() > TOLD_MAX {
            let problem =
                format!("expected at most {TOLD_MAX}; one may hear of several teams and environments");
            return Err(self.document.wrong_key(&["approvals", "notify"], problem));
        }
        let mut told: Vec<Notify> = Vec::new();
        for (index, table) in tables.iter().enumerate() {
            let index = index.to_string();
            let one = self.notify_one(&["approvals", "notify", &index], table, vocabulary)?;
            if told.iter().any(|it| it.url == one.url) {
                let path = ["approvals", "notify", &index, "url"];
                let problem = "another entry has the same url, and would tell everything twice; join them";
                return Err(self.document.wrong_key(&path, problem));
            }
            told.push(one);
        }
        Ok(told)
    }

    fn notify_one(
        &self,
        at: &[&str],
        table: &NotifyTable,
        vocabulary: &Vocabulary,
    ) -> Result<Notify, ConfigError> {
        let wrong = |keys: &[&str], problem: &str| {
            self.document.wrong(&[at, keys].concat(), problem, Excerpt::ShowsValue)
        };
        let format = match (table.format.as_str(), &table.secret) {
            ("slack", None) => NotifyFormat::Slack,
            ("slack", Some(_)) => {
                return Err(wrong(
                    &["secret"],
                    "Slack checks no signature; leave it out, its url is the secret",
                ));
            }
            ("json", Some(secret)) => {
                NotifyFormat::Json(self.secret(&[at, &["secret"]].concat(), secret.clone())?)
            }
            ("json", None) => {
                let problem = "its receiver could not tell our word from anybody's; add secret = { env = \"NAME\" } or \
                               { file = \"PATH\" } with `whsec_` and the base64 of 24 to 64 random bytes";
                return Err(wrong(&["format"], problem));
            }
            (other, _) => return Err(wrong(&["format"], &words::unknown("format", other, &FORMATS))),
        };
        let known = |key: &str, wanted: &[String], known: &[&str]| -> Result<Vec<String>, ConfigError> {
            match wanted.iter().position(|it| !known.contains(&it.as_str())) {
                None => Ok(wanted.to_vec()),
                Some(index) => {
                    let told = words::unknown(key.trim_end_matches('s'), &wanted[index], known);
                    Err(wrong(&[key, &index.to_string()], &told))
                }
            }
        };
        let usual = || Notify::USUAL.map(str::to_owned).to_vec();
        let events = table.events.as_ref().map(|it| known("events", it, &Notify::EVENTS)).transpose()?;
        if events.as_ref().is_some_and(Vec::is_empty) {
            return Err(wrong(&["events"], "nobody would hear of anything; name events, or leave it out"));
        }
        let teams: Vec<&str> = vocabulary.teams.iter().map(String::as_str).collect();
        let environments: Vec<&str> = vocabulary.environments.iter().map(String::as_str).collect();
        Ok(Notify {
            url: self.secret(&[at, &["url"]].concat(), table.url.clone())?,
            format,
            ca_file: table
                .ca_file
                .as_ref()
                .map(|it| self.path(&[at, &["ca_file"]].concat(), it))
                .transpose()?,
            events: events.unwrap_or_else(usual),
            teams: known("teams", &table.teams, &teams)?,
            environments: known("environments", &table.environments, &environments)?,
        })
    }
}
