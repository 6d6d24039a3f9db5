//! What does a browser keep for us? Sealed cookies of this host alone, that no script reads and no other site's form brings along.

use std::time::Duration;

use approval::StoreError;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use gate::AgreeRefused;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Page;
use crate::seal::{self, KEY_BYTES};

/// Names and marks of our cookies.
pub(super) struct Cookies {
    /// Who is logged in.
    pub(super) session: &'static str,
    /// A login that began.
    pub(super) login: &'static str,
    secure: &'static str,
}

/// What is sealed, and until when it counts, in milliseconds since 1970.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept<T> {
    it: T,
    until: i64,
}

impl Cookies {
    /// For pages at an address. Over TLS a browser holds them to this very host, whatever a neighbouring one sets.
    pub(super) fn of(base: &str) -> Cookies {
        match base.starts_with("https://") {
            true => Cookies {
                session: "__Host-bailiwick-page",
                login: "__Host-bailiwick-login",
                secure: "; Secure",
            },
            false => Cookies { session: "bailiwick-page", login: "bailiwick-login", secure: "" },
        }
    }

    /// Has a browser keep a value for so long.
    pub(super) fn keep(&self, name: &str, value: &str, lasts: Duration) -> String {
        format!("{name}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{}", lasts.as_secs(), self.secure)
    }

    /// Has a browser forget it.
    pub(super) fn forget(&self, name: &str) -> String {
        self.keep(name, "", Duration::ZERO)
    }
}

impl Page {
    pub(super) async fn seal<T: Serialize>(
        &self,
        purpose: &[u8],
        it: &T,
        lasts: SignedDuration,
    ) -> Result<String, StoreError> {
        let now = Timestamp::now();
        let until = now.checked_add(lasts).unwrap_or(now).as_millisecond();
        let text = serde_json::to_vec(&Kept { it, until }).expect("plain data");
        seal::seal(self.key().await?, purpose, &text)
    }

    /// What was sealed for that purpose, and still counts.
    pub(super) async fn unseal<T: DeserializeOwned>(
        &self,
        purpose: &[u8],
        text: &str,
    ) -> Result<Option<T>, StoreError> {
        let opened = seal::open(self.key().await?, purpose, text);
        let kept: Option<Kept<T>> = opened.and_then(|it| serde_json::from_slice(&it).ok());
        Ok(kept.filter(|it| Timestamp::now().as_millisecond() < it.until).map(|it| it.it))
    }

    async fn key(&self) -> Result<&[u8; KEY_BYTES], StoreError> {
        let asked = || async {
            let none = || StoreError::Unavailable(AgreeRefused::NoStore.to_string());
            self.gate.approvals().ok_or_else(none)?.store().await?.shared_secret("page").await
        };
        self.key.get_or_try_init(asked).await
    }
}

/// The value of a cookie that a browser brings.
pub(super) fn read<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let texts = headers.get_all(header::COOKIE).into_iter().filter_map(|it| it.to_str().ok());
    let mut pairs = texts.flat_map(|it| it.split(';')).filter_map(|it| it.trim().split_once('='));
    pairs.find(|it| it.0 == name).map(|it| it.1)
}

/// Sends a browser on, to look with `GET`.
pub(super) fn see_other(place: &str, cookies: &[String]) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(place) = HeaderValue::from_str(place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    with(response, cookies)
}

/// The same answer, with cookies.
pub(super) fn with(mut response: Response, cookies: &[String]) -> Response {
    for value in cookies.iter().filter_map(|it| HeaderValue::from_str(it).ok()) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_tls_a_cookie_is_of_this_host_alone() {
        let cookies = Cookies::of("https://bailiwick.example.com");
        let kept = cookies.keep(cookies.session, "x", Duration::from_secs(900));
        assert_eq!(kept, "__Host-bailiwick-page=x; Path=/; Max-Age=900; HttpOnly; SameSite=Lax; Secure");
        let cookies = Cookies::of("http://127.0.0.1:8080");
        let gone = cookies.forget(cookies.login);
        assert_eq!(gone, "bailiwick-login=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("xbailiwick-page=1; bailiwick-pagex=2"));
        headers.append(header::COOKIE, HeaderValue::from_static("a=b;bailiwick-page=3=4"));
        assert_eq!(read(&headers, "bailiwick-page"), Some("3=4"));
        assert_eq!(read(&headers, "bailiwick-login"), None);
    }
}
