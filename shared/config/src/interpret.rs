//! What do the tables of a file mean? Checks that types alone cannot make.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use jiff::tz::TimeZone;
use policy::{ListEntry, Lists, Scope, UNKNOWN, Vocabulary};

use crate::{
    Config, ConfigError, Connection, Git, Identity, Origin, PolicySettings, Secret, Surroundings, System,
    document::{Document, Excerpt},
    file, issuer,
    sources::Sources,
    table::{
        ApproveEntry, ConnectionTable, FileTable, IdentityTable, PolicyTable, SecretTable, VocabularyTable,
    },
    words,
};

/// One file being read.
pub(crate) struct Reading<'a, 'i> {
    pub document: &'a Document<'i>,
    /// What relative paths are relative to.
    pub folder: &'a Path,
    pub notes: &'a mut Vec<String>,
}

/// Environments for development unless told.
const DEVELOPMENT: [&str; 2] = ["development", "dev"];
/// Longest wait for one answer unless told.
pub(crate) const TIMEOUT_MS: u64 = 10_000;

impl Reading<'_, '_> {
    /// The whole file, but for its Cedar files.
    pub(crate) fn config(
        &mut self,
        table: FileTable,
        path: &Path,
        surroundings: &Surroundings,
    ) -> Result<Config, ConfigError> {
        let identity = match table.identity {
            Some(identity) => self.identity(identity)?,
            None => Identity::of_os_user(surroundings),
        };
        let connections = table.connections.into_iter().map(|(name, it)| self.connection(name, it));
        let connections = connections.collect::<Result<Vec<_>, _>>()?;
        let state = match &table.audit.state {
            Some(state) => self.path(&["audit", "state"], state)?,
            None => surroundings.state_folder().ok_or(ConfigError::NoState)?,
        };
        let cache = surroundings.cache_folder().filter(|_| table.search.filters != Some(false));
        let serving = self.serving(&table.http)?;
        let issuers = self.issuers(table.issuers)?;
        let change = table.change.map(|it| self.change(it)).transpose()?;
        let telemetry = table.telemetry.map(|it| self.telemetry(it)).transpose()?;
        let mut words = table.vocabulary;
        words.teams.extend(issuer::teams(&issuers));
        let mut vocabulary = self.vocabulary(words, &connections, &identity)?;
        vocabulary.development = self.development(&table.policy, &vocabulary)?;
        vocabulary.owners = self.owners(table.agents)?;
        let policy = PolicySettings {
            zone: self.zone(&table.policy)?,
            sources: Vec::new(),
            lists: self.lists(&table.policy)?,
        };
        let origin = Origin::File(path.to_owned());
        let approving = self.approving(&table.approvals, &vocabulary, &issuers)?;
        let recording = self.recording(&table.audit)?;
        let senders = self.senders(table.collector)?;
        let disposable = surroundings.disposable();
        let audit_keys = table.audit.keys;
        let notes = Vec::new();
        Ok(Config {
            origin,
            identity,
            policy,
            vocabulary,
            state,
            approving,
            recording,
            audit_keys,
            senders,
            disposable,
            serving,
            issuers,
            change,
            telemetry,
            cache,
            connections,
            notes,
        })
    }

    /// Cedar files that the file names.
    pub(crate) fn sources(&mut self, table: &PolicyTable) -> Result<Sources, ConfigError> {
        let mut sources = Sources::default();
        for (index, name) in table.files.iter().enumerate() {
            let path = self.path(&["policy", "files", &index.to_string()], name)?;
            sources.add(&path, name, Scope::Full, self.notes)?;
        }
        if let Some(name) = &table.teams {
            let path = self.path(&["policy", "teams"], name)?;
            sources.add_teams(&path, name, self.notes)?;
        }
        Ok(sources)
    }

    /// Lists with the place of each entry.
    pub(crate) fn lists(&self, table: &PolicyTable) -> Result<Lists, ConfigError> {
        let mut approve = Vec::new();
        for (index, entry) in table.approve.iter().enumerate() {
            let (text, approvals) = match entry {
                ApproveEntry::One(rule) => (rule, 1),
                ApproveEntry::Several(it) => (&it.rule, it.approvals),
            };
            if !(1..=3).contains(&approvals) {
                let path = ["policy", "approve", &index.to_string(), "approvals"];
                return Err(self.document.wrong(&path, "expected 1, 2 or 3", Excerpt::ShowsValue));
            }
            approve.push(self.entry("approve", index, text, approvals));
        }
        Ok(Lists {
            allow: self.entries("allow", &table.allow),
            ask: self.entries("ask", &table.ask),
            approve,
            deny: self.entries("deny", &table.deny),
            limits: self.entries("limits", &table.limits),
            hide: table.hide,
        })
    }

    fn entries(&self, list: &str, texts: &[String]) -> Vec<ListEntry> {
        texts.iter().enumerate().map(|(index, text)| self.entry(list, index, text, 1)).collect()
    }

    fn entry(&self, list: &str, index: usize, text: &str, approvals: u8) -> ListEntry {
        let line = self.document.line(&["policy", list, &index.to_string()]);
        let file = Path::new(self.document.label()).file_name().unwrap_or_default();
        let place = Some(format!("{}:{line}", file.to_string_lossy()));
        ListEntry { text: text.to_owned(), approvals, place, narrow: false }
    }

    fn zone(&self, table: &PolicyTable) -> Result<TimeZone, ConfigError> {
        let Some(name) = &table.timezone else { return Ok(TimeZone::UTC) };
        TimeZone::get(name).map_err(|_| {
            let problem = "no such time zone on this machine; expected a name such as Europe/Berlin or UTC";
            self.document.wrong(&["policy", "timezone"], problem, Excerpt::ShowsValue)
        })
    }

    /// Environments where declared teams count for effects: a misspelt one would be none.
    fn development(
        &self,
        table: &PolicyTable,
        vocabulary: &Vocabulary,
    ) -> Result<BTreeSet<String>, ConfigError> {
        let known = &vocabulary.environments;
        let Some(named) = &table.development else {
            let usual = DEVELOPMENT.map(str::to_owned);
            return Ok(usual.into_iter().filter(|it| known.contains(it)).collect());
        };
        for (index, name) in named.iter().enumerate() {
            let wrong = |problem: String| {
                let path = ["policy", "development", &index.to_string()];
                Err(self.document.wrong(&path, problem, Excerpt::ShowsValue))
            };
            if name == UNKNOWN {
                return wrong("what is mapped to no environment counts as production".to_owned());
            }
            if !known.contains(name) {
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                return wrong(words::unknown("environment", name, &known));
            }
        }
        Ok(named.iter().cloned().collect())
    }

    fn identity(&self, table: IdentityTable) -> Result<Identity, ConfigError> {
        let principal = |key: &str, name: String| match words::is_principal(&name) {
            true => Ok(name),
            false => {
                let problem = "expected 1 to 128 ASCII letters, digits and . _ - @ +";
                Err(self.document.wrong(&["identity", key], problem, Excerpt::ShowsValue))
            }
        };
        let agent = principal("agent", table.agent.unwrap_or_else(|| Identity::NAMELESS.to_owned()))?;
        let person = table.person.map(|it| principal("person", it)).transpose()?;
        self.check_words(&["identity", "teams"], &table.teams)?;
        Ok(Identity { agent, person, teams: table.teams, declared: true })
    }

    fn vocabulary(
        &self,
        table: VocabularyTable,
        connections: &[Connection],
        identity: &Identity,
    ) -> Result<Vocabulary, ConfigError> {
        for (key, words) in [
            ("environments", &table.environments),
            ("regions", &table.regions),
            ("teams", &table.teams),
            ("tiers", &table.tiers),
        ] {
            self.check_words(&["vocabulary", key], words)?;
        }
        let mut vocabulary = Vocabulary {
            environments: table.environments.into_iter().collect(),
            regions: table.regions.into_iter().collect(),
            teams: table.teams.into_iter().chain(identity.teams.iter().cloned()).collect(),
            tiers: table.tiers.into_iter().collect(),
            ..Vocabulary::default()
        };
        add_words(&mut vocabulary, connections);
        self.check_alike("environment", &vocabulary.environments, connections, |it| &it.environment)?;
        self.check_alike("region", &vocabulary.regions, connections, |it| &it.region)?;
        self.check_alike("team", &vocabulary.teams, connections, |it| &it.team)?;
        self.check_alike("tier", &vocabulary.tiers, connections, |it| &it.tier)?;
        Ok(vocabulary)
    }

    /// Refuses words that differ in case only: a rule about `production` would not hold in `Production`.
    fn check_alike(
        &self,
        key: &str,
        words: &BTreeSet<String>,
        connections: &[Connection],
        of: impl Fn(&Connection) -> &String,
    ) -> Result<(), ConfigError> {
        let others = |word: &String| words.range(..word.clone()).map(String::as_str).chain([UNKNOWN]);
        let alike = words
            .iter()
            .find_map(|word| others(word).find(|it| it.eq_ignore_ascii_case(word)).map(|it| (it, word)));
        let Some((other, word)) = alike else { return Ok(()) };
        let problem =
            format!("\"{word}\" and \"{other}\" differ in case only; policies tell them apart: write one");
        let holder =
            connections.iter().find(|it| of(it) == word).or(connections.iter().find(|it| of(it) == other));
        Err(match holder {
            Some(it) => self.document.wrong(&["connections", &it.name, key], problem, Excerpt::ShowsValue),
            None => self.document.wrong(&["vocabulary", &format!("{key}s")], problem, Excerpt::ShowsValue),
        })
    }

    fn check_words(&self, path: &[&str], words: &[String]) -> Result<(), ConfigError> {
        for (index, word) in words.iter().enumerate() {
            let index = index.to_string();
            self.check_word(&[path, &[&index]].concat(), word)?;
        }
        Ok(())
    }

    pub(crate) fn check_word(&self, path: &[&str], word: &str) -> Result<(), ConfigError> {
        let problem = "expected 1 to 63 ASCII letters, digits and . _ -";
        match words::is_word(word) {
            true => Ok(()),
            false => Err(self.document.wrong(path, problem, Excerpt::ShowsValue)),
        }
    }

    fn connection(&mut self, name: String, table: ConnectionTable) -> Result<Connection, ConfigError> {
        if !words::is_slug(&name) {
            let problem = "a connection's name is 1 to 63 of a-z, 0-9 and -";
            return Err(self.document.wrong_key(&["connections", &name], problem));
        }
        let (words, system) = match table {
            ConnectionTable::Prometheus(mut it) => {
                let words = [it.environment.take(), it.region.take(), it.team.take(), it.tier.take()];
                (words, System::Prometheus(self.http(&["connections", &name], it)?))
            }
            ConnectionTable::Alertmanager(mut it) => {
                let words = [it.environment.take(), it.region.take(), it.team.take(), it.tier.take()];
                (words, System::Alertmanager(self.http(&["connections", &name], it)?))
            }
            ConnectionTable::Git(it) => {
                let path = self.path(&["connections", &name, "path"], &it.path)?;
                ([it.environment, it.region, it.team, it.tier], System::Git(Git { path }))
            }
        };
        let [environment, region, team, tier] = words;
        let word = |key: &str, word: Option<String>| match word {
            None => Ok(UNKNOWN.to_owned()),
            Some(word) => self.check_word(&["connections", &name, key], &word).map(|()| word),
        };
        Ok(Connection {
            environment: word("environment", environment)?,
            region: word("region", region)?,
            team: word("team", team)?,
            tier: word("tier", tier)?,
            name,
            system,
        })
    }

    pub(crate) fn secret(&self, path: &[&str], table: SecretTable) -> Result<Secret, ConfigError> {
        match table {
            SecretTable::Env(name) => {
                let valid = |it: u8| it.is_ascii_alphanumeric() || it == b'_';
                let named =
                    !name.is_empty() && name.bytes().all(valid) && !name.as_bytes()[0].is_ascii_digit();
                match named {
                    true => Ok(Secret::Env(name)),
                    // Whoever writes the secret itself here must not read it in an error.
                    false => {
                        let problem = "expected the name of an environment variable, such as PROM_TOKEN";
                        Err(self.document.wrong(&[path, &["env"]].concat(), problem, Excerpt::HidesValue))
                    }
                }
            }
            SecretTable::File(file) => self.path(&[path, &["file"]].concat(), &file).map(Secret::File),
        }
    }

    /// An absolute path; a relative one is relative to the file.
    pub(crate) fn path(&self, path: &[&str], written: &Path) -> Result<PathBuf, ConfigError> {
        let wrong = |problem: &str| Err(self.document.wrong(path, problem, Excerpt::HidesValue));
        if written.as_os_str().is_empty() || written.as_os_str().as_encoded_bytes().contains(&0) {
            return wrong("expected a path");
        }
        if written.starts_with("~") {
            return wrong("`~` is not expanded; write the path in full, or relative to this file");
        }
        Ok(file::tidied(&self.folder.join(written)))
    }
}

/// What `show_authority` touches: it is about every connection and behind none.
const OURSELVES: &str = "bailiwick";

/// Adds the names of connections and their words; `unknown` always is one.
pub(crate) fn add_words(vocabulary: &mut Vocabulary, connections: &[Connection]) {
    let names = connections.iter().map(|it| it.name.clone());
    vocabulary.connections.extend(names.chain([OURSELVES.to_owned()]));
    for connection in connections {
        vocabulary.environments.insert(connection.environment.clone());
        vocabulary.regions.insert(connection.region.clone());
        vocabulary.teams.insert(connection.team.clone());
        vocabulary.tiers.insert(connection.tier.clone());
    }
    for words in
        [&mut vocabulary.environments, &mut vocabulary.regions, &mut vocabulary.teams, &mut vocabulary.tiers]
    {
        words.remove(UNKNOWN);
    }
}
