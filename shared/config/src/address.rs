//! Where may a request go, and with what headers? Checks of what an address and a header may hold.

use url::{Host, Url};

/// A base address. The problem never repeats it, since it may hold a password.
pub(crate) fn base(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| {
        format!("this is not an address ({error}); expected something like https://prometheus.example.com")
    })?;
    // `http://@host` parses as if nothing stood before the `@`.
    let authority = text.split_once("://").map_or(text, |(_, it)| it).split(['/', '?', '#', '\\']).next();
    if !url.username().is_empty() || url.password().is_some() || authority.is_some_and(|it| it.contains('@'))
    {
        return Err("an address must not hold a user name or password, which end up in logs; \
             write basic = { username = \"NAME\", password = { env = \"NAME\" } } in a configuration file"
            .to_owned());
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err("expected an address that begins with https:// or http://".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("a base address has no `?` and no `#`; a token belongs into bearer".to_owned());
    }
    match url.host() {
        Some(_) => Ok(url),
        None => Err("the address names no host".to_owned()),
    }
}

/// Whether others can listen in on the way there.
pub(crate) fn is_overheard(url: &Url) -> bool {
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "http" && !local
}

/// A header with a fixed value. The value is never repeated: somebody may have put a secret there.
pub(crate) fn check_header(name: &str, value: &str) -> Result<(), String> {
    check_name(name)?;
    let lower = name.to_ascii_lowercase();
    let secret = ["authorization", "cookie", "token", "secret", "password", "api-key", "apikey"];
    if secret.iter().any(|it| lower.contains(it)) {
        return Err(
            "this header holds a secret, and a secret never stands in this file; write { env = \"NAME\" } or \
             { file = \"PATH\" }, or use bearer or basic"
                .to_owned(),
        );
    }
    match value.len() <= 4096 && value.bytes().all(|it| matches!(it, b' '..=b'~')) {
        true => Ok(()),
        false => Err("expected a value of at most 4096 printable ASCII characters".to_owned()),
    }
}

/// A header that a configuration may set, to whatever value.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let token = |it: u8| it.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&it);
    if name.is_empty() || name.len() > 128 || !name.bytes().all(token) {
        return Err("this is not the name of a header".to_owned());
    }
    let lower = name.to_ascii_lowercase();
    let ours = ["host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "te"];
    if ours.contains(&lower.as_str()) || lower.starts_with("proxy-") {
        return Err("this header is set for each request and cannot be configured".to_owned());
    }
    Ok(())
}
