//! What every request of a connection carries: trust, proof of who we are, limits on connecting.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD as STANDARD};
use config::{Auth, Http};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use url::Url;

use crate::{OutboundError, shown::Shown};

/// Longest wait for a TCP and TLS connection.
const CONNECT_MS_MAX: u64 = 5_000;
/// Idle connections are dropped after this, so that a quiet server holds no sockets.
const IDLE_SECONDS: u64 = 60;

/// Why no request could be made; told to the operator, not to the model.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unready {
    /// The certificates to trust could not be loaded.
    #[error("its `ca_file` could not be read as PEM certificates")]
    Trust,
    /// What we show to a system that asks for a certificate could not be loaded.
    #[error("its `client_certificate` could not be read as a PEM certificate and key")]
    Identity,
    /// The secret could not be read.
    #[error("its secret could not be read")]
    Secret,
    /// The secret holds a character that no header may hold.
    #[error("its secret holds characters that HTTP does not allow")]
    Unsendable,
    /// The TLS library refused its settings.
    #[error("the HTTP client could not be set up")]
    Client,
}

/// Checks an address, and makes it one that path segments can be appended to.
pub(crate) fn base(connection: &str, url: &Url) -> Result<Url, OutboundError> {
    let connection = connection.to_owned();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(OutboundError::Address { connection, scheme: url.scheme().to_owned() });
    }
    let part = if !url.username().is_empty() || url.password().is_some() {
        "a user name or password"
    } else if url.query().is_some() {
        "a query"
    } else if url.fragment().is_some() {
        "a fragment"
    } else {
        return Ok(url.clone());
    };
    Err(OutboundError::Decorated { connection, part })
}

/// Headers from the configuration. All are marked sensitive: a tenant or an API key may be among them.
pub(crate) fn headers(connection: &str, settings: &Http) -> Result<HeaderMap, OutboundError> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("bailiwick/", env!("CARGO_PKG_VERSION"))),
    );
    for (name, value) in &settings.headers {
        let wrong = || OutboundError::Header { connection: connection.to_owned(), header: name.clone() };
        let key = allowed(name).ok_or_else(wrong)?;
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    for (name, _) in &settings.secret_headers {
        allowed(name).ok_or_else(|| OutboundError::Header {
            connection: connection.to_owned(),
            header: name.clone(),
        })?;
    }
    Ok(headers)
}

/// A header that a connection may set: not those that decide where a request goes or how its body is framed.
fn allowed(name: &str) -> Option<HeaderName> {
    let ours = [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION];
    HeaderName::from_bytes(name.as_bytes()).ok().filter(|it| !ours.contains(it))
}

/// Adds the proof of who we are. Read anew for every request: a rotated token works at once, and none stays in memory
/// longer than its answer takes. Gives what of it must not come back.
pub(crate) fn authorize(
    mut request: reqwest::RequestBuilder,
    settings: &Http,
) -> Result<(reqwest::RequestBuilder, Shown), Unready> {
    let mut shown = Shown::default();
    settings.headers.iter().for_each(|(_, value)| shown.header(value));
    for (name, secret) in &settings.secret_headers {
        let secret = secret.read().map_err(|_| Unready::Secret)?;
        let mut value = HeaderValue::from_str(&secret).map_err(|_| Unready::Unsendable)?;
        value.set_sensitive(true);
        request = request.header(name, value);
        shown.secret(&secret);
    }
    let (Auth::Bearer(secret) | Auth::Basic { password: secret, .. }) = &settings.auth else {
        return Ok((request, shown));
    };
    let secret = secret.read().map_err(|_| Unready::Secret)?;
    if HeaderValue::from_str(&secret).is_err() {
        return Err(Unready::Unsendable);
    }
    shown.secret(&secret);
    let request = match &settings.auth {
        Auth::Basic { username, .. } => {
            shown.secret(&STANDARD.encode(format!("{username}:{}", *secret)));
            request.basic_auth(username, Some(secret.as_str()))
        }
        _ => request.bearer_auth(secret.as_str()),
    };
    Ok((request, shown))
}

/// Makes the client of one connection. Blocks: it reads the trusted certificates and our own, for `https` only. It lives as
/// long as the process: another certificate takes a restart.
pub(crate) fn make(settings: &Http) -> Result<reqwest::Client, Unready> {
    let secure = settings.url.scheme() == "https";
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .https_only(secure)
        .tls_built_in_root_certs(secure)
        .connect_timeout(Duration::from_millis(settings.timeout_ms.min(CONNECT_MS_MAX)))
        .pool_idle_timeout(Duration::from_secs(IDLE_SECONDS));
    if let (true, Some(path)) = (secure, &settings.ca_file) {
        let pem = std::fs::read(path).map_err(|_| Unready::Trust)?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|_| Unready::Trust)?;
        if certificates.is_empty() {
            return Err(Unready::Trust);
        }
        builder = certificates.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
    }
    if let (true, Some(ours)) = (secure, &settings.client_certificate) {
        let both = ours.read().map_err(|_| Unready::Identity)?;
        builder = builder.identity(reqwest::Identity::from_pem(&both).map_err(|_| Unready::Identity)?);
    }
    builder.build().map_err(|_| Unready::Client)
}
