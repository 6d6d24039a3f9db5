//! What does a browser say of a request, and what is it told to do with the answer?

use std::sync::LazyLock;

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::Response,
};
use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::view;

/// Every answer of the page. Nothing but its own style is loaded, nothing frames it, and its forms go nowhere else. Other sites are not
/// told of its address; our own forms say where they come from, which `no-referrer` would keep them from.
static HEADERS: LazyLock<[(HeaderName, HeaderValue); 8]> = LazyLock::new(|| {
    let style = BASE64_STANDARD.encode(audit::digest(view::STYLE.as_bytes()));
    let content = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    );
    let value = HeaderValue::from_static;
    [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_str(&content).expect("plain ASCII")),
        (header::X_FRAME_OPTIONS, value("DENY")),
        (header::REFERRER_POLICY, value("same-origin")),
        (header::CACHE_CONTROL, value("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, value("nosniff")),
        (HeaderName::from_static("cross-origin-opener-policy"), value("same-origin")),
        (HeaderName::from_static("cross-origin-resource-policy"), value("same-origin")),
        (HeaderName::from_static("x-robots-tag"), value("noindex")),
    ]
});

/// The same answer with what browsers are told of every one.
pub(super) async fn dressed(mut response: Response) -> Response {
    for (name, value) in HEADERS.iter() {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

/// Whether a request comes from a form of this page. A browser says so, and no script of another page can in its place.
pub(super) fn is_ours(headers: &HeaderMap, base: &str) -> Result<(), &'static str> {
    let said = |name: &str| headers.get(name).map(|it| it.to_str().unwrap_or_default());
    if said("origin") != Some(base) {
        return Err("its origin is another, or none");
    }
    match said("sec-fetch-site") {
        None | Some("same-origin") => Ok(()),
        Some(_) => Err("another site sent it"),
    }
}

/// Whether a browser shows what comes to whoever asked for it, as the page itself: no frame, no picture, no program's look.
pub(super) fn navigates(headers: &HeaderMap) -> bool {
    let is = |name: &str, value: &str| headers.get(name).is_some_and(|it| it == value);
    is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document")
}

/// Whether somebody looks ahead of a person: <https://fetch.spec.whatwg.org/#sec-purpose-header> and what was there before it.
pub(super) fn is_ahead(headers: &HeaderMap) -> bool {
    let ahead = |it: &HeaderValue| {
        let said = it.as_bytes().to_ascii_lowercase();
        [&b"prefetch"[..], b"prerender", b"preview"]
            .iter()
            .any(|word| said.windows(word.len()).any(|it| it == *word))
    };
    ["sec-purpose", "purpose", "x-purpose", "x-moz"].iter().any(|it| headers.get_all(*it).iter().any(ahead))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        let one = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
        };
        all.iter().map(one).collect()
    }

    #[test]
    fn whoever_looks_ahead_is_known_by_any_of_the_words_for_it() {
        for (name, value) in [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("sec-purpose", "prefetch;anonymous-client-ip"),
            ("purpose", "prefetch"),
            ("x-moz", "prefetch"),
            ("x-purpose", "Preview"),
        ] {
            assert!(is_ahead(&headers(&[(name, value)])), "{name}: {value}");
        }
        assert!(!is_ahead(&headers(&[("sec-fetch-mode", "navigate"), ("accept", "text/html")])));
    }

    #[test]
    fn only_what_a_person_navigates_to_begins_a_login_by_itself() {
        let of = |mode, dest| navigates(&headers(&[("sec-fetch-mode", mode), ("sec-fetch-dest", dest)]));
        assert!(of("navigate", "document"));
        for (mode, dest) in
            [("navigate", "iframe"), ("no-cors", "image"), ("cors", "empty"), ("navigate", "object")]
        {
            assert!(!of(mode, dest), "{mode} {dest}");
        }
        assert!(!navigates(&HeaderMap::new()), "programs that preview links say nothing");
    }

    #[test]
    fn every_answer_forbids_scripts_frames_and_forms_to_elsewhere() {
        let content = HEADERS[0].1.to_str().expect("ASCII");
        assert!(content.starts_with("default-src 'none'; style-src 'sha256-"), "{content}");
        for part in ["form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(content.contains(part), "{content}");
        }
        assert!(!content.contains("script-src") && !content.contains("unsafe"), "{content}");
    }
}
