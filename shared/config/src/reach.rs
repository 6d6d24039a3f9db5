//! How is a system over HTTP reached, and how does it know us?

use std::collections::BTreeMap;

use crate::{
    Auth, ClientCertificate, ConfigError, Http, Secret, address,
    document::Excerpt,
    interpret::{Reading, TIMEOUT_MS},
    matcher,
    table::{BasicTable, CertificateTable, HeaderTable, HttpTable, SecretTable},
};

/// Headers whose values stand in the file.
type Plain = Vec<(String, String)>;
/// Headers whose values are read where they are kept.
type Hidden = Vec<(String, Secret)>;

impl Reading<'_, '_> {
    /// How a system over HTTP is reached.
    pub(crate) fn http(&mut self, place: &[&str], reach: HttpTable) -> Result<Http, ConfigError> {
        let at = |key: &'static str| [place, &[key]].concat();
        let named = place.join(".");
        let url = address::base(&reach.url)
            .map_err(|problem| self.document.wrong(&at("url"), problem, Excerpt::HidesValue))?;
        let auth = self.auth(place, reach.bearer, reach.basic)?;
        if !matches!(auth, Auth::None) && address::is_overheard(&url) {
            self.notes.push(format!("{named}: its secret crosses the network unencrypted; use https"));
        }
        let (headers, secret_headers) = self.headers(place, reach.headers)?;
        let authorizes = |it: &(String, Secret)| it.0.eq_ignore_ascii_case("authorization");
        if !matches!(auth, Auth::None) && secret_headers.iter().any(authorizes) {
            let problem = "bearer and basic set the header Authorization; keep one";
            return Err(self.document.wrong_key(&at("headers"), problem));
        }
        if !secret_headers.is_empty() && address::is_overheard(&url) {
            self.notes.push(format!("{named}: its secret headers cross the network unencrypted; use https"));
        }
        if reach.client_certificate.is_some() && url.scheme() != "https" {
            let problem = "a certificate is shown over https only";
            return Err(self.document.wrong_key(&at("client_certificate"), problem));
        }
        let client_certificate =
            reach.client_certificate.map(|it| self.certificate(place, &it)).transpose()?;
        for (index, text) in reach.matchers.iter().enumerate() {
            let index = index.to_string();
            let path = [&at("matchers")[..], &[&index]].concat();
            matcher::check(text)
                .map_err(|problem| self.document.wrong(&path, problem, Excerpt::ShowsValue))?;
        }
        let timeout_ms = reach.timeout_ms.unwrap_or(TIMEOUT_MS);
        if !(100..=60_000).contains(&timeout_ms) {
            let problem = "expected 100 to 60000 milliseconds";
            return Err(self.document.wrong(&at("timeout_ms"), problem, Excerpt::ShowsValue));
        }
        Ok(Http {
            url,
            auth,
            headers,
            secret_headers,
            client_certificate,
            ca_file: reach.ca_file.map(|it| self.path(&at("ca_file"), &it)).transpose()?,
            timeout_ms,
            matchers: reach.matchers,
            trust_labels: reach.trust_labels,
        })
    }

    /// Headers whose values stand in the file, and those whose values are secret.
    fn headers(
        &self,
        place: &[&str],
        tables: BTreeMap<String, HeaderTable>,
    ) -> Result<(Plain, Hidden), ConfigError> {
        let (mut plain, mut hidden) = (Plain::new(), Hidden::new());
        for (header, table) in tables {
            let path = [place, &["headers", &header]].concat();
            let wrong = |problem: String| self.document.wrong_key(&path, problem);
            match table {
                HeaderTable::Plain(value) => {
                    address::check_header(&header, &value).map_err(wrong)?;
                    plain.push((header, value));
                }
                HeaderTable::Secret(table) => {
                    address::check_name(&header).map_err(wrong)?;
                    let value = self.secret(&path, table)?;
                    hidden.push((header, value));
                }
            }
        }
        Ok((plain, hidden))
    }

    fn certificate(
        &self,
        place: &[&str],
        table: &CertificateTable,
    ) -> Result<ClientCertificate, ConfigError> {
        let at = |key| [place, &["client_certificate", key]].concat();
        Ok(ClientCertificate {
            certificate: self.path(&at("certificate"), &table.certificate)?,
            key: self.path(&at("key"), &table.key)?,
        })
    }

    fn auth(
        &self,
        place: &[&str],
        bearer: Option<SecretTable>,
        basic: Option<BasicTable>,
    ) -> Result<Auth, ConfigError> {
        let at = |keys: &[&'static str]| [place, keys].concat();
        match (bearer, basic) {
            (None, None) => Ok(Auth::None),
            (Some(_), Some(_)) => {
                let problem = "bearer and basic exclude each other; keep one";
                Err(self.document.wrong_key(&at(&["basic"]), problem))
            }
            (Some(bearer), None) => Ok(Auth::Bearer(self.secret(&at(&["bearer"]), bearer)?)),
            (None, Some(basic)) => {
                if basic.username.is_empty()
                    || basic.username.contains(|it: char| it == ':' || it.is_control())
                {
                    let problem = "expected a user name without `:`";
                    return Err(self.document.wrong(
                        &at(&["basic", "username"]),
                        problem,
                        Excerpt::HidesValue,
                    ));
                }
                let password = self.secret(&at(&["basic", "password"]), basic.password)?;
                Ok(Auth::Basic { username: basic.username, password })
            }
        }
    }
}
