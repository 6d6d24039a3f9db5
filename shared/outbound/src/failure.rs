//! What does a failure mean for the caller: change the request, wait, or look first what became of the write?

use std::error::Error as _;

use http::{StatusCode, header};
use serde_json::Value;
use tool::ToolError;
use url::Url;

use crate::{body::Kind, shown::Shown};

/// Most characters of a system's own words that reach a model.
const WORDS_MAX: usize = 300;

/// Whether a lost answer matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// It changes nothing: a lost answer is merely missing.
    Read,
    /// It changes something: a lost answer leaves open whether it did.
    Write,
}

/// The system did not do it, or a read was lost.
pub(crate) fn unavailable(backend: &str, problem: impl Into<String>) -> ToolError {
    ToolError::Unavailable { backend: backend.to_owned(), problem: problem.into() }
}

/// The request was sent and its answer is missing or unusable.
pub(crate) fn lost(backend: &str, intent: Intent, problem: impl Into<String>) -> ToolError {
    match intent {
        Intent::Read => unavailable(backend, problem),
        Intent::Write => ToolError::Unknown { backend: backend.to_owned(), problem: problem.into() },
    }
}

/// Says why a request got no answer. Only the kind of failure: the library's own text names addresses.
pub(crate) fn from_transport(backend: &str, intent: Intent, error: &reqwest::Error) -> ToolError {
    let mut causes = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push(cause.to_string().to_ascii_lowercase());
        source = cause.source();
    }
    let says = |word: &str| causes.iter().any(|it| it.contains(word));
    // Refused while the connection was being made safe, so that nothing of the request was taken in.
    if says("certificaterequired") || says("certificate required") {
        return unavailable(backend, "asks for a certificate of ours (set `client_certificate`)");
    }
    if error.is_connect() || error.is_builder() {
        return unavailable(
            backend,
            match () {
                () if error.is_timeout() => "no connection in time",
                () if says("connection refused") => "connection refused",
                () if says("dns") => "its host name does not resolve",
                () if says("certificate") => {
                    "its TLS certificate is not trusted (set `ca_file` to trust its authority)"
                }
                () => "could not connect",
            },
        );
    }
    let problem =
        if error.is_timeout() { "no answer in time" } else { "the connection broke before an answer" };
    lost(backend, intent, problem)
}

/// Names the host that a redirect points to, without path, query or user.
pub(crate) fn redirect(backend: &str, intent: Intent, asked: &Url, headers: &http::HeaderMap) -> ToolError {
    let target = headers.get(header::LOCATION).and_then(|it| it.to_str().ok());
    let target = target.and_then(|it| asked.join(it).ok()).and_then(|it| {
        it.host().map(|host| {
            let port = it.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}://{host}{port}", it.scheme())
        })
    });
    let target = bounded(&target.unwrap_or_else(|| "an unreadable address".to_owned()));
    lost(
        backend,
        intent,
        format!("redirects to {target}, which is not followed; configure the final address"),
    )
}

/// What a status other than success means.
pub(crate) fn from_status(
    backend: &str,
    intent: Intent,
    status: StatusCode,
    kind: &Kind,
    body: &[u8],
    shown: &Shown,
) -> ToolError {
    let words = words(kind, body, shown);
    let code = status.as_u16();
    let with_words = |text: String| match &words {
        Some(words) => format!("{text}: {words}"),
        None => text,
    };
    match code {
        401 | 403 | 407 => unavailable(backend, format!("refused our credentials (HTTP {code})")),
        408 | 425 | 429 => unavailable(backend, format!("asks to wait (HTTP {code}); try again later")),
        400..=499 => match words.clone() {
            Some(reason) => ToolError::Rejected { backend: backend.to_owned(), reason },
            None if kind.is_html() => {
                unavailable(backend, format!("answered HTTP {code} with text/html (a login page or proxy?)"))
            }
            None => ToolError::Rejected { backend: backend.to_owned(), reason: format!("HTTP {code}") },
        },
        // Whatever stands in front may answer 5xx after the system behind it has acted.
        _ => lost(backend, intent, with_words(format!("answered HTTP {code}"))),
    }
}

/// The system's own words, out of the shapes that error answers come in and without the secrets that we sent; none when it is
/// a page, or repeats so much of a request that they cannot be taken out.
fn words(kind: &Kind, body: &[u8], shown: &Shown) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.trim();
    if text.is_empty() || text.starts_with('<') || kind.is_html() {
        return None;
    }
    let words = match serde_json::from_str::<Value>(text) {
        Ok(Value::String(words)) => words,
        Ok(Value::Object(fields)) => {
            let named = ["error", "message"].iter().find_map(|it| fields.get(*it).and_then(Value::as_str));
            named?.to_owned()
        }
        Ok(_) => return None,
        Err(_) => text.to_owned(),
    };
    let words = bounded(&shown.taken_out_of(&words)?);
    match shown.is_partly_in(&words) {
        true => None,
        false => Some(words),
    }
}

/// One line of at most [`WORDS_MAX`] characters.
fn bounded(text: &str) -> String {
    let line: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    redact::short(line.trim(), WORDS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_system_are_one_bounded_line() {
        let long = bounded(&format!("a\nb\u{7}{}", "x".repeat(1000)));
        assert_eq!(long.chars().count(), WORDS_MAX + 1);
        assert!(long.starts_with("a b x") && long.ends_with('…'));
    }

    #[test]
    fn a_secret_in_the_words_of_a_system_is_masked_before_they_are_cut() {
        let text = format!(
            "{} cannot reach postgres://shop:hunter2-{}@db",
            "a ".repeat(130),
            "very-long-".repeat(9)
        );
        assert!(!bounded(&text).contains("hunter2"), "{}", bounded(&text));
    }

    #[test]
    fn a_redirect_names_only_scheme_host_and_port() {
        let asked: Url = "https://a.example/x".parse().expect("an address");
        let headers = |to: &str| {
            let mut headers = http::HeaderMap::new();
            headers.insert(header::LOCATION, to.parse().expect("a header"));
            headers
        };
        for (to, said) in [
            ("http://u:hunter2@evil.example:81/p?token=hunter2", "http://evil.example:81,"),
            ("/login?token=hunter2", "https://a.example,"),
            ("data:text/plain,hunter2", "an unreadable address,"),
        ] {
            let error = redirect("prod", Intent::Read, &asked, &headers(to)).to_string();
            assert!(error.contains(said) && !error.contains("hunter2"), "{error}");
        }
    }
}
