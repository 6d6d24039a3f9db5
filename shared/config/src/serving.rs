//! How is `bailiwick serve --http` reached?

use std::path::PathBuf;

use url::Url;

use crate::{ConfigError, address, document::Excerpt, interpret::Reading, table::ServingTable};

/// How `bailiwick serve --http` is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Serving {
    /// Address that clients use; what it listens on unless told.
    pub public_url: Option<Url>,
    /// For TLS.
    pub certificate: Option<ServerCertificate>,
    /// Whether plain HTTP may go beyond this machine.
    pub plain: bool,
    /// Whether whoever reaches a loopback address is taken for the configured caller.
    pub unproven: bool,
    /// Pages beyond this machine that may speak to it: `scheme://host:port`.
    pub origins: Vec<String>,
}

/// What we show to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCertificate {
    /// Our certificate and what it was signed by, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

impl Reading<'_, '_> {
    pub(crate) fn serving(&self, table: &ServingTable) -> Result<Serving, ConfigError> {
        let public_url = table.public_url.as_deref().map(address::base).transpose();
        let wrong =
            |problem: String| self.document.wrong(&["http", "public_url"], problem, Excerpt::HidesValue);
        let public_url = public_url.map_err(wrong)?;
        if public_url.as_ref().is_some_and(|it| it.path() != "/") {
            let problem = "expected an address without a path; servers are at /code/mcp and so on below it";
            return Err(wrong(problem.to_owned()));
        }
        if public_url.as_ref().is_some_and(address::is_overheard) {
            return Err(wrong("tokens would cross the network unencrypted; use https".to_owned()));
        }
        let certificate = table.certificate.as_ref().map(|it| {
            let at = |key| ["http", "certificate", key];
            Ok(ServerCertificate {
                certificate: self.path(&at("certificate"), &it.certificate)?,
                key: self.path(&at("key"), &it.key)?,
            })
        });
        let mut origins = Vec::new();
        for (index, text) in table.origins.iter().enumerate() {
            let index = index.to_string();
            let problem = "expected a page's origin, such as https://inspector.example.com";
            let wrong = || self.document.wrong(&["http", "origins", &index], problem, Excerpt::ShowsValue);
            origins.push(origin(text).ok_or_else(wrong)?);
        }
        Ok(Serving {
            public_url,
            certificate: certificate.transpose()?,
            plain: table.plain,
            unproven: table.unproven,
            origins,
        })
    }
}

/// `scheme://host:port`, the port always in it, so that nobody takes its absence for any.
fn origin(text: &str) -> Option<String> {
    let url = address::base(text).ok()?;
    let plain = url.path() == "/" && !text.ends_with('/');
    let port = url.port_or_known_default()?;
    plain.then(|| format!("{}://{}:{port}", url.scheme(), url.host_str().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_its_port_and_nothing_else() {
        assert_eq!(origin("https://a.example").as_deref(), Some("https://a.example:443"));
        assert_eq!(origin("http://a.example:8080").as_deref(), Some("http://a.example:8080"));
        for text in
            ["https://a.example/", "https://a.example/x", "*", "null", "a.example", "https://u@a.example"]
        {
            assert_eq!(origin(text), None, "{text}");
        }
    }
}
