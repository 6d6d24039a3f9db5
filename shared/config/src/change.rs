//! Where is a change ticket looked up, and which of its states count as approved?

use std::time::Duration;

use url::form_urlencoded;

use crate::{
    ConfigError, Http,
    document::Excerpt,
    interpret::Reading,
    table::{ChangeTable, HttpTable},
};

/// The system that keeps change tickets.
#[derive(Clone, Debug)]
pub struct Tickets {
    /// How it is reached: its address up to the first slash of the path.
    pub http: Http,
    /// Segments of the path, [`Tickets::ID`] in place of a ticket's id.
    pub path: Vec<String>,
    /// Names and values of the query, [`Tickets::ID`] in place of a ticket's id.
    pub query: Vec<(String, String)>,
    /// JSON pointer to the state in its answer.
    pub state: String,
    /// States that count as approved.
    pub approved: Vec<String>,
    /// How long an answer is believed.
    pub cache: Duration,
}

/// How long an answer is believed unless told, and at most.
const CACHE: Duration = Duration::from_secs(60);
const CACHE_MAX: Duration = Duration::from_secs(600);

impl Tickets {
    /// Stands where a ticket's id belongs.
    pub const ID: &'static str = "{id}";
}

impl Reading<'_, '_> {
    /// Where change tickets are looked up.
    pub(crate) fn change(&mut self, table: ChangeTable) -> Result<Tickets, ConfigError> {
        let (origin, path, query) = self.template(&table.url)?;
        let wrong =
            |key: &str, problem: &str| self.document.wrong(&["change", key], problem, Excerpt::ShowsValue);
        let pointer = &table.state;
        if !pointer.starts_with('/') || pointer.len() > 256 {
            return Err(wrong("state", "expected a JSON pointer, e.g. `/fields/status/name`"));
        }
        if table.approved.is_empty() || table.approved.iter().any(|it| it.trim() != it || it.is_empty()) {
            return Err(wrong(
                "approved",
                "expected the states that count as approved, e.g. [\"Implementing\"]",
            ));
        }
        let cache = match &table.cache {
            None => CACHE,
            Some(text) => {
                let span: Option<jiff::SignedDuration> = text.parse().ok();
                let span = span.and_then(|it| Duration::try_from(it).ok()).filter(|it| *it <= CACHE_MAX);
                span.ok_or_else(|| wrong("cache", "expected `0s` to `10m`, e.g. `60s`"))?
            }
        };
        let reach = HttpTable {
            url: origin,
            environment: None,
            region: None,
            team: None,
            tier: None,
            bearer: table.bearer,
            basic: table.basic,
            headers: table.headers,
            client_certificate: table.client_certificate,
            ca_file: table.ca_file,
            timeout_ms: table.timeout_ms,
            matchers: Vec::new(),
            trust_labels: false,
        };
        let http = self.http(&["change"], reach)?;
        Ok(Tickets { http, path, query, state: table.state, approved: table.approved, cache })
    }

    /// An address taken apart: what stands before its path, the segments of that, and its query.
    fn template(&self, url: &str) -> Result<Template, ConfigError> {
        let wrong = |problem: &str| self.document.wrong(&["change", "url"], problem, Excerpt::HidesValue);
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(wrong("expected an address, e.g. https://jira.example.com/rest/api/2/issue/{id}"));
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if host.contains(['{', '}']) {
            return Err(wrong("the id of a ticket belongs into the path or the query"));
        }
        let path: Vec<String> = path.split('/').filter(|it| !it.is_empty()).map(str::to_owned).collect();
        let query: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let texts = || path.iter().chain(query.iter().flat_map(|(name, value)| [name, value]));
        if !path.iter().chain(query.iter().map(|(_, value)| value)).any(|it| it.contains(Tickets::ID)) {
            return Err(wrong("the address names no ticket: write `{id}` where its id belongs"));
        }
        if texts().any(|it| it.replace(Tickets::ID, "").contains(['{', '}'])) {
            return Err(wrong("expected `{id}` and nothing else in braces"));
        }
        if url.contains('#') || path.iter().any(|it| it.contains('%') || it == "." || it == "..") {
            return Err(wrong("expected a path without `%`, `.`, `..` and `#`"));
        }
        Ok((format!("{scheme}://{host}"), path, query))
    }
}

type Template = (String, Vec<String>, Vec<(String, String)>);
