//! Where do people look at a request and decide, with nothing but a browser?

use url::Url;

use crate::{
    ConfigError, Http, Issuer, Secret, document::Excerpt, interpret::Reading, interpret::TIMEOUT_MS,
    issuer::SCOPES, table::PageTable, words,
};

/// The page on which people decide, and how they log in to it.
#[derive(Clone, Debug)]
pub struct Page {
    /// What the configuration calls the issuer by which they log in.
    pub issuer: String,
    /// Client that the issuer knows the page by.
    pub client_id: String,
    /// What proves the page to the issuer; none of a public client.
    pub client_secret: Option<Secret>,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// What the token is asked to be for.
    pub resource: Option<String>,
    /// How the issuer is reached.
    pub http: Http,
}

impl Reading<'_, '_> {
    pub(crate) fn page(&self, table: &PageTable, issuers: &[Issuer]) -> Result<Page, ConfigError> {
        let wrong = |key: &str, problem: &str| {
            self.document.wrong(&["approvals", "page", key], problem, Excerpt::ShowsValue)
        };
        let PageTable { issuer: name, client_id, client_secret, scopes, resource } = table;
        let Some(issuer) = issuers.iter().find(|it| it.name == *name) else {
            let known: Vec<&str> = issuers.iter().map(|it| it.name.as_str()).collect();
            return Err(wrong("issuer", &unknown(name, &known)));
        };
        if issuer.person_claim.is_none() {
            return Err(wrong(
                "issuer",
                "its tokens are of workloads, which act for no person; name one of people",
            ));
        }
        let is_word =
            |it: &str| !it.is_empty() && it.len() <= 256 && it.bytes().all(|it| it.is_ascii_graphic());
        if !is_word(client_id) {
            return Err(wrong("client_id", "expected 1 to 256 printable ASCII characters without spaces"));
        }
        let usual = || ["openid", SCOPES[2]].map(str::to_owned).to_vec();
        let scopes = scopes.clone().unwrap_or_else(usual);
        if !scopes.iter().all(|it| is_word(it)) {
            return Err(wrong("scopes", "expected scopes of printable ASCII characters without spaces"));
        }
        if !scopes.iter().any(|it| it == "openid") {
            let problem =
                "expected `openid` among them: without it nothing says for which login a token was given";
            return Err(wrong("scopes", problem));
        }
        let absolute = |it: &String| it.parse::<Url>().is_ok_and(|it| it.fragment().is_none());
        if resource.as_ref().is_some_and(|it| !absolute(it)) {
            return Err(wrong("resource", "expected an absolute address without a fragment"));
        }
        let client_secret = client_secret.clone();
        let client_secret =
            client_secret.map(|it| self.secret(&["approvals", "page", "client_secret"], it)).transpose()?;
        let url = self.unheard(&["issuers", name, "url"], &issuer.url)?;
        let ca_file = issuer.keys.http().ca_file.clone();
        Ok(Page {
            issuer: name.clone(),
            client_id: client_id.clone(),
            client_secret,
            scopes,
            resource: resource.clone(),
            http: Http { ca_file, timeout_ms: TIMEOUT_MS.min(5_000), ..Http::plain(url) },
        })
    }
}

fn unknown(name: &str, known: &[&str]) -> String {
    match known {
        [] => "no [issuers.NAME] is configured, so nobody could log in; add the one by which people do"
            .to_owned(),
        known => words::unknown("issuer", name, known),
    }
}
