//! Whose tokens prove callers, and what do they say?

use std::collections::{BTreeMap, BTreeSet};

use url::Url;

use crate::{
    Auth, ConfigError, Http, address,
    document::Excerpt,
    interpret::{Reading, TIMEOUT_MS},
    table::{IssuerTable, LoginTable},
    words,
};

/// Who issues tokens that prove callers.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// What the configuration calls it.
    pub name: String,
    /// What tokens hold as `iss`, to the letter.
    pub url: String,
    /// How it is asked for its keys: the issuer itself, which says where they are, or where they are.
    pub keys: Keys,
    /// What tokens must hold as `aud`, one of these; none: the address of the server they are sent to.
    pub audiences: Vec<String>,
    /// Names of signatures that count; none: all that the verifier knows.
    pub algorithms: Vec<String>,
    /// Claims that tokens must hold, each with one of the values.
    pub require: BTreeMap<String, Vec<String>>,
    /// What names the agent.
    pub agent: AgentName,
    /// Claim that names the person; none for workloads.
    pub person_claim: Option<String>,
    /// Claim that lists groups.
    pub groups_claim: String,
    /// Team of each group that counts.
    pub teams: BTreeMap<String, String>,
    /// What stands in front of each of its names.
    pub prefix: String,
    /// Scopes of a token that lists none of ours.
    pub grant: Vec<String>,
    /// How people get its tokens here; none where they do not.
    pub login: Option<Login>,
}

/// How a person gets a token on this machine.
#[derive(Clone, Debug)]
pub struct Login {
    /// Client that the issuer knows us by.
    pub client_id: String,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// What the token is asked to be for.
    pub resource: Option<String>,
    /// How the issuer is reached.
    pub http: Http,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug)]
pub enum Keys {
    /// Its metadata say it: `/.well-known/openid-configuration`.
    Announced(Http),
    /// There.
    At(Http),
}

/// What names an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentName {
    /// The first of these claims that there is.
    Claims(Vec<String>),
    /// The configuration.
    Fixed(String),
}

/// Scopes that tokens may hold.
pub const SCOPES: [&str; 3] = ["bailiwick:read", "bailiwick:act", "bailiwick:approve"];
/// Whoever runs a workflow anywhere gets tokens of this issuer, for any audience.
const FOR_EVERYBODY: &str = "token.actions.githubusercontent.com";
/// Signatures that a configuration may name. Those with a shared secret are not among them: whoever can check one can
/// make one.
const ALGORITHMS: [&str; 9] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

impl Reading<'_, '_> {
    pub(crate) fn issuers(
        &mut self,
        tables: BTreeMap<String, IssuerTable>,
    ) -> Result<Vec<Issuer>, ConfigError> {
        let mut issuers: Vec<Issuer> = Vec::new();
        for (name, table) in tables {
            let issuer = self.issuer(name, table)?;
            let at = |key| ["issuers", &issuer.name, key];
            if let Some(other) = issuers.iter().find(|it| it.url == issuer.url) {
                let problem =
                    format!("issuer \"{}\" has the same url; who called would depend on chance", other.name);
                return Err(self.document.wrong(&at("url"), problem, Excerpt::HidesValue));
            }
            let within = |a: &str, b: &str| a == b || !b.is_empty() && a.starts_with(b);
            let alike =
                |it: &&Issuer| within(&it.prefix, &issuer.prefix) || within(&issuer.prefix, &it.prefix);
            if let Some(other) = issuers.iter().find(alike) {
                let problem = format!(
                    "issuer \"{}\" names callers the same way, so each could name those of the other; give one a prefix",
                    other.name
                );
                return Err(self.document.wrong_key(&["issuers", &issuer.name], problem));
            }
            issuers.push(issuer);
        }
        Ok(issuers)
    }

    fn issuer(&mut self, name: String, table: IssuerTable) -> Result<Issuer, ConfigError> {
        if !words::is_slug(&name) {
            let problem = "an issuer's name is 1 to 63 of a-z, 0-9 and -";
            return Err(self.document.wrong_key(&["issuers", &name], problem));
        }
        self.check_issuer(&name, &table)?;
        let keys = self.keys(&name, &table)?;
        let login = self.login(&name, &table)?;
        let fixed = table.agent_name.map(AgentName::Fixed);
        let claimed = table.agent_claim.map(|it| AgentName::Claims(vec![it]));
        let usual = || AgentName::Claims(["/act/sub", "client_id", "azp"].map(str::to_owned).to_vec());
        let person_claim = (!table.workloads).then(|| table.person_claim.unwrap_or_else(|| "sub".to_owned()));
        Ok(Issuer {
            name,
            url: table.url,
            keys,
            audiences: table.audiences,
            algorithms: table.algorithms,
            require: table.require,
            agent: fixed.or(claimed).unwrap_or_else(usual),
            person_claim,
            groups_claim: table.groups_claim.unwrap_or_else(|| "groups".to_owned()),
            teams: table.teams,
            prefix: table.prefix,
            grant: table.grant,
            login,
        })
    }

    fn check_issuer(&self, name: &str, table: &IssuerTable) -> Result<(), ConfigError> {
        let wrong = |keys: &[&str], problem: &str| {
            Err(self.document.wrong(&[&["issuers", name], keys].concat(), problem, Excerpt::ShowsValue))
        };
        if table.agent_name.is_some() && table.agent_claim.is_some() {
            return wrong(&["agent_name"], "agent_name and agent_claim exclude each other; keep one");
        }
        if table.workloads && table.person_claim.is_some() {
            return wrong(&["person_claim"], "a workload acts for no person; keep workloads or person_claim");
        }
        if table.agent_name.as_ref().is_some_and(|it| !words::is_principal(it)) {
            return wrong(&["agent_name"], "expected 1 to 128 ASCII letters, digits and . _ - @ +");
        }
        let lettered = |it: u8| it.is_ascii_alphanumeric() || b"._-@+:/".contains(&it);
        if table.prefix.len() > 32 || !table.prefix.bytes().all(lettered) {
            return wrong(&["prefix"], "expected at most 32 ASCII letters, digits and . _ - @ + : /");
        }
        for (index, it) in table.algorithms.iter().enumerate() {
            if !ALGORITHMS.contains(&it.as_str()) {
                let problem = format!(
                    "expected one of {}; shared secrets and none prove nothing",
                    ALGORITHMS.join(", ")
                );
                return wrong(&["algorithms", &index.to_string()], &problem);
            }
        }
        for (index, it) in table.grant.iter().enumerate() {
            if !SCOPES.contains(&it.as_str()) {
                return wrong(&["grant", &index.to_string()], &words::unknown("scope", it, &SCOPES));
            }
        }
        for (group, team) in &table.teams {
            self.check_word(&["issuers", name, "teams", group], team)?;
        }
        if table.require.is_empty() && table.url.contains(FOR_EVERYBODY) {
            let problem = "everybody gets tokens of this issuer; say whose count, e.g. require = { repository_owner = [\"example\"] }";
            return wrong(&["url"], problem);
        }
        match table.require.iter().find(|(_, values)| values.is_empty()) {
            Some((claim, _)) => wrong(&["require", claim], "no token could ever hold one of no values"),
            None => Ok(()),
        }
    }

    fn keys(&mut self, name: &str, table: &IssuerTable) -> Result<Keys, ConfigError> {
        let (key, text) = match &table.jwks_url {
            Some(text) => ("jwks_url", text),
            None => ("url", &table.url),
        };
        let at = ["issuers", name, key];
        let url = self.unheard(&at, text)?;
        let auth = match &table.bearer {
            Some(bearer) => Auth::Bearer(self.secret(&["issuers", name, "bearer"], bearer.clone())?),
            None => Auth::None,
        };
        let http = Http { auth, ..self.reached(name, table, url)? };
        Ok(match table.jwks_url {
            Some(_) => Keys::At(http),
            None => Keys::Announced(http),
        })
    }
}

impl Reading<'_, '_> {
    fn login(&self, name: &str, table: &IssuerTable) -> Result<Option<Login>, ConfigError> {
        let Some(login) = &table.login else { return Ok(None) };
        let wrong = |key: &str, problem: &str| {
            Err(self.document.wrong(&["issuers", name, "login", key], problem, Excerpt::ShowsValue))
        };
        let LoginTable { client_id, scopes, resource } = login;
        if table.workloads {
            return wrong(
                "client_id",
                "a workload acts for no person, so nobody logs in; keep workloads or login",
            );
        }
        if table.audiences.is_empty() && resource.is_none() {
            let problem = "say what its tokens are for: audiences, or login.resource; else one for any other server would count here";
            return wrong("client_id", problem);
        }
        let is_word =
            |it: &str| !it.is_empty() && it.len() <= 256 && it.bytes().all(|it| it.is_ascii_graphic());
        if !is_word(client_id) {
            return wrong("client_id", "expected 1 to 256 printable ASCII characters without spaces");
        }
        let usual = || ["openid", "offline_access", SCOPES[0], SCOPES[1]].map(str::to_owned).to_vec();
        let scopes = scopes.clone().unwrap_or_else(usual);
        if !scopes.iter().all(|it| is_word(it)) {
            return wrong("scopes", "expected scopes of printable ASCII characters without spaces");
        }
        let absolute = |it: &String| it.parse::<Url>().is_ok_and(|it| it.fragment().is_none());
        if resource.as_ref().is_some_and(|it| !absolute(it)) {
            return wrong("resource", "expected an absolute address without a fragment");
        }
        let http = self.reached(name, table, self.unheard(&["issuers", name, "url"], &table.url)?)?;
        Ok(Some(Login { client_id: client_id.clone(), scopes, resource: resource.clone(), http }))
    }

    /// An address that nobody on the way can answer for.
    pub(crate) fn unheard(&self, at: &[&str], text: &str) -> Result<Url, ConfigError> {
        let url = address::base(text).map_err(|it| self.document.wrong(at, it, Excerpt::HidesValue))?;
        match address::is_overheard(&url) {
            false => Ok(url),
            true => {
                let problem = "whoever is on the way could hand out keys of their own; use https";
                Err(self.document.wrong(at, problem, Excerpt::HidesValue))
            }
        }
    }

    fn reached(&self, name: &str, table: &IssuerTable, url: Url) -> Result<Http, ConfigError> {
        let ca_file = table.ca_file.as_ref().map(|it| self.path(&["issuers", name, "ca_file"], it));
        Ok(Http { ca_file: ca_file.transpose()?, timeout_ms: TIMEOUT_MS.min(5_000), ..Http::plain(url) })
    }
}

impl Keys {
    /// How it is reached.
    pub fn http(&self) -> &Http {
        let (Keys::Announced(http) | Keys::At(http)) = self;
        http
    }

    /// The same for keys at another address of the same host.
    pub fn beside(&self, url: Url) -> Http {
        Http { url, ..self.http().clone() }
    }
}

/// Teams that tokens can name.
pub(crate) fn teams(issuers: &[Issuer]) -> BTreeSet<String> {
    issuers.iter().flat_map(|it| it.teams.values().cloned()).collect()
}
