//! How is an address told something? One `POST`, and nothing of the answer but whether it was taken.

use std::{path::PathBuf, time::Duration};

use config::Http;
use http::{HeaderName, HeaderValue, StatusCode, header};
use tokio::{sync::OnceCell, time::timeout};
use url::Url;

use crate::client;

/// Addresses that are told something, all under the same trust. Costs nothing until one is told.
pub struct Hook {
    ca_file: Option<PathBuf>,
    /// For `https`, and for loopback.
    clients: [OnceCell<reqwest::Client>; 2],
}

/// Why somebody does not know it, as far as we know. Neither holds anything of the address or the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// It may work later.
    #[error("{problem}")]
    Later {
        /// What was wrong.
        problem: String,
        /// How long it wants to be left alone.
        after: Option<Duration>,
    },
    /// It would be refused again.
    #[error("{problem}")]
    Never {
        /// What was wrong.
        problem: String,
    },
}

/// Longest wait for the answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest that a receiver can ask us to wait.
const AFTER_MAX: Duration = Duration::from_secs(3600);

impl Hook {
    /// Longest that telling takes.
    pub const TIMEOUT: Duration = TIMEOUT;

    /// Trusts these certificates beside the system's.
    pub fn new(ca_file: Option<PathBuf>) -> Hook {
        Hook { ca_file, clients: Default::default() }
    }

    /// Posts JSON. The address is the caller's to check.
    pub async fn post(
        &self,
        url: &Url,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<(), Undelivered> {
        let later = |problem: &str| Undelivered::Later { problem: problem.to_owned(), after: None };
        let sending = async {
            let client = self
                .client(url)
                .await
                .ok_or_else(|| later("the HTTP client could not be set up (ca_file?)"))?;
            let mut request = client
                .post(url.clone())
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::USER_AGENT, concat!("bailiwick/", env!("CARGO_PKG_VERSION")));
            for (name, value) in headers {
                let value = HeaderValue::from_str(value).map_err(|_| later("a header cannot be sent"))?;
                request = request.header(HeaderName::from_static(name), value);
            }
            let answer = request.body(body).send().await.map_err(|it| later(why(&it)))?;
            judged(answer.status(), answer.headers().get(header::RETRY_AFTER))
        };
        timeout(TIMEOUT, sending).await.unwrap_or_else(|_| Err(later("no answer within 10 s")))
    }

    async fn client(&self, url: &Url) -> Option<&reqwest::Client> {
        let settings = Http { ca_file: self.ca_file.clone(), ..Http::plain(url.clone()) };
        let client = self.clients[usize::from(url.scheme() != "https")].get_or_try_init(|| async {
            tokio::task::spawn_blocking(move || client::make(&settings)).await.map_err(drop)?.map_err(drop)
        });
        client.await.ok()
    }
}

/// Only the kind of failure: the library's own text names addresses.
pub(crate) fn why(error: &reqwest::Error) -> &'static str {
    match () {
        () if error.is_timeout() => "no answer in time",
        () if error.is_connect() => "it cannot be reached",
        () => "the connection broke before an answer",
    }
}

/// What a status means: taken, later, or never.
pub(crate) fn judged(status: StatusCode, after: Option<&HeaderValue>) -> Result<(), Undelivered> {
    let code = status.as_u16();
    let never = |problem: String| Err(Undelivered::Never { problem });
    match code {
        200..=299 => Ok(()),
        300..=399 => {
            never(format!("it redirects (HTTP {code}), which is not followed; configure the final address"))
        }
        404 | 410 => never(format!("nobody listens at the address any more (HTTP {code})")),
        408 | 425 | 429 | 500..=599 => {
            let seconds = after.and_then(|it| it.to_str().ok()?.parse().ok());
            let after = seconds.map(|it| Duration::from_secs(it).min(AFTER_MAX));
            Err(Undelivered::Later { problem: format!("it answered HTTP {code}"), after })
        }
        _ => never(format!("it refused what was sent (HTTP {code})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_work_later_is_told_from_what_never_will() {
        let judged = |code: u16, after: Option<&'static str>| {
            judged(
                StatusCode::from_u16(code).expect("a status"),
                after.map(HeaderValue::from_static).as_ref(),
            )
        };
        assert!([200, 202, 204].iter().all(|it| judged(*it, None).is_ok()));
        for code in [408, 425, 429, 500, 502, 503, 504] {
            assert!(matches!(judged(code, None), Err(Undelivered::Later { after: None, .. })), "{code}");
        }
        for code in [301, 302, 307, 308, 400, 401, 403, 404, 410, 413] {
            assert!(matches!(judged(code, None), Err(Undelivered::Never { .. })), "{code}");
        }
        for (text, seconds) in
            [("7", Some(7)), ("999999", Some(3600)), ("Sun, 22 Nov 2026 03:00:00 GMT", None)]
        {
            let Err(Undelivered::Later { after, .. }) = judged(429, Some(text)) else { panic!("{text}") };
            assert_eq!(after, seconds.map(Duration::from_secs), "{text}");
        }
    }
}
