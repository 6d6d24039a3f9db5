//! By which names may a listener be reached, and how far may plain HTTP go?

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, header};

/// Names in `Host` and `Origin` that are let in; everything else may be a page that lures a browser here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reachable {
    /// Hosts by which clients name this server.
    pub hosts: Vec<String>,
    /// Pages that may speak to it.
    pub origins: Vec<String>,
}

/// Why a listener would let in too much.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exposure {
    /// Whoever listens in would read tokens and answers.
    #[error(
        "{0} is beyond this machine, and plain HTTP can be overheard; configure [http] certificate, or say plain = true \
         where a proxy in front speaks TLS"
    )]
    Plain(SocketAddr),
    /// Callers are not proven, and more than this machine could call.
    #[error(
        "{0} is beyond this machine, and unproven callers are let in from this machine only; configure [issuers]"
    )]
    Unproven(SocketAddr),
    /// Nobody knows by which name clients reach it.
    #[error(
        "{0} is no address that clients can name; say [http] public_url, e.g. https://bailiwick.example.com"
    )]
    Nameless(SocketAddr),
}

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

impl Reachable {
    /// What a listener at an address is reached by. `public` is the host of the address that clients use, `origins` are
    /// pages beyond this machine that may speak to it.
    pub fn new(address: SocketAddr, public: Option<&str>, origins: &[String]) -> Result<Reachable, Exposure> {
        let mut reachable = Reachable { hosts: Vec::new(), origins: origins.to_vec() };
        reachable.hosts.extend(public.map(str::to_owned));
        match address.ip() {
            ip if ip.is_loopback() => {
                reachable.hosts.extend(LOOPBACK.map(str::to_owned));
                let pages = ["http", "https"].into_iter();
                let pages = pages.flat_map(|it| LOOPBACK.map(|host| format!("{it}://{host}:*")));
                reachable.origins.extend(pages);
            }
            ip if ip.is_unspecified() && public.is_none() => return Err(Exposure::Nameless(address)),
            ip if ip.is_unspecified() => {}
            IpAddr::V4(ip) => reachable.hosts.push(ip.to_string()),
            IpAddr::V6(ip) => reachable.hosts.push(format!("[{ip}]")),
        }
        Ok(reachable)
    }
}

impl Reachable {
    /// What a socket is reached by: no page reaches one, and its clients have to say something.
    pub fn socket() -> Reachable {
        Reachable { hosts: vec!["localhost".to_owned()], origins: Vec::new() }
    }
}

impl Exposure {
    /// Refuses a listener that would let in too much. `plain` says that somebody in front speaks TLS.
    pub fn check(address: SocketAddr, secure: bool, plain: bool, proven: bool) -> Result<(), Exposure> {
        if address.ip().is_loopback() {
            return Ok(());
        }
        match (secure || plain, proven) {
            (false, _) => Err(Exposure::Plain(address)),
            (true, false) => Err(Exposure::Unproven(address)),
            (true, true) => Ok(()),
        }
    }
}

/// Whether a request names this server by one of its names: a page that has a name of its own point here does not.
pub(crate) fn is_reached_by(headers: &HeaderMap, hosts: &[String]) -> bool {
    let host = headers.get(header::HOST).and_then(|it| it.to_str().ok()).unwrap_or_default();
    hosts.iter().any(|it| it == without_port(host))
}

/// A host as names are compared.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|it| it.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn plain_http_and_unproven_callers_stay_on_this_machine() {
        for local in ["127.0.0.1:80", "127.9.9.9:80", "[::1]:80"] {
            assert_eq!(Exposure::check(at(local), false, false, false), Ok(()));
        }
        for far in ["0.0.0.0:80", "[::]:80", "10.0.0.1:80", "[::ffff:127.0.0.1]:80"] {
            let far = at(far);
            assert_eq!(Exposure::check(far, false, false, true), Err(Exposure::Plain(far)));
            assert_eq!(Exposure::check(far, true, false, false), Err(Exposure::Unproven(far)));
            assert_eq!(Exposure::check(far, false, true, false), Err(Exposure::Unproven(far)));
            assert_eq!(Exposure::check(far, true, false, true), Ok(()));
            assert_eq!(Exposure::check(far, false, true, true), Ok(()));
        }
    }

    #[test]
    fn a_listener_is_reached_by_its_own_names_only() {
        let local = Reachable::new(at("127.0.0.1:80"), None, &[]).expect("it has names");
        assert_eq!(local.hosts, ["localhost", "127.0.0.1", "[::1]"]);
        assert!(local.origins.contains(&"http://localhost:*".to_owned()));
        let far =
            Reachable::new(at("0.0.0.0:80"), Some("bailiwick.example.com"), &[]).expect("it has a name");
        assert_eq!((far.hosts, far.origins), (vec!["bailiwick.example.com".to_owned()], Vec::new()));
        let nameless = Reachable::new(at("0.0.0.0:80"), None, &[]);
        assert_eq!(nameless, Err(Exposure::Nameless(at("0.0.0.0:80"))));
        let six = Reachable::new(at("[2001:db8::1]:80"), None, &[]).expect("it is its own name");
        assert_eq!(six.hosts, ["[2001:db8::1]"]);
    }
}
