//! What does somebody need who was not let in? Where tokens come from, and which: RFC 6750 and RFC 9728.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::Response,
};
use identity::{Scopes, TokenError, Verifier};
use serde_json::json;

use super::answer;

/// What tokens for one site are for, as its metadata say.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    /// E.g. `https://bailiwick.example.com/code/mcp`: the audience of tokens.
    pub(crate) url: String,
    /// Where its metadata are.
    metadata_url: String,
    name: String,
}

/// Where the metadata of what is at a path are, below the address that clients use.
pub(crate) fn metadata_path(path: &str) -> String {
    format!("/.well-known/oauth-protected-resource{path}")
}

impl Resource {
    /// What is at a path, e.g. `/code/mcp`, below an address such as `https://bailiwick.example.com`.
    pub(crate) fn at(base: &str, path: &str, name: &str) -> Resource {
        Resource {
            url: format!("{base}{path}"),
            metadata_url: format!("{base}{}", metadata_path(path)),
            name: name.to_owned(),
        }
    }

    /// Nobody in particular asks: here is how to be somebody.
    pub(crate) fn who_are_you(&self) -> Response {
        self.unauthorized("send a token: Authorization: Bearer …", "")
    }

    /// A token proves nothing.
    pub(crate) fn not_believed(&self, error: &TokenError) -> Response {
        if let TokenError::Unavailable(_) = error {
            return answer::refuse_with(
                StatusCode::SERVICE_UNAVAILABLE,
                &error.to_string(),
                header::RETRY_AFTER,
                "30",
            );
        }
        let problem = error.to_string();
        self.unauthorized(
            &problem,
            &format!("error=\"invalid_token\", error_description=\"{}\", ", quoted(&problem)),
        )
    }

    /// A token that is believed does not reach so far.
    pub(crate) fn not_enough(&self, needed: &str) -> Response {
        let problem = format!("the token lacks a scope; needed: {needed}");
        let told = format!("Bearer error=\"insufficient_scope\", {}", self.parameters(needed));
        answer::refuse_with(StatusCode::FORBIDDEN, &problem, header::WWW_AUTHENTICATE, &told)
    }

    fn unauthorized(&self, problem: &str, error: &str) -> Response {
        let told = format!("Bearer {error}{}", self.parameters(Scopes::READ));
        answer::refuse_with(StatusCode::UNAUTHORIZED, problem, header::WWW_AUTHENTICATE, &told)
    }

    fn parameters(&self, scope: &str) -> String {
        format!("resource_metadata=\"{}\", scope=\"{scope}\"", self.metadata_url)
    }
}

/// What may stand between quotes in a header.
fn quoted(text: &str) -> String {
    let plain = |it: char| if matches!(it, ' '..='~') && it != '"' && it != '\\' { it } else { '\'' };
    text.chars().map(plain).collect()
}

/// Metadata of a site: <https://www.rfc-editor.org/rfc/rfc9728#section-2>.
pub(crate) async fn metadata(State(site): State<Arc<(Resource, Arc<Verifier>)>>) -> Response {
    let (resource, verifier) = &*site;
    let metadata = json!({
        "resource": resource.url,
        "resource_name": resource.name,
        "authorization_servers": verifier.for_people(),
        "scopes_supported": [Scopes::READ, Scopes::ACT, Scopes::APPROVE],
        "bearer_methods_supported": ["header"],
    });
    answer::text(StatusCode::OK, "application/json", metadata.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(response: &Response) -> (u16, String) {
        let told = response.headers().get(header::WWW_AUTHENTICATE).map(|it| it.to_str().expect("text"));
        (response.status().as_u16(), told.unwrap_or_default().to_owned())
    }

    #[test]
    fn whoever_is_not_let_in_hears_where_tokens_come_from_and_which() {
        let resource = Resource::at("https://b.example", "/code/mcp", "bailiwick-code");
        let about = "resource_metadata=\"https://b.example/.well-known/oauth-protected-resource/code/mcp\"";
        assert_eq!(
            told(&resource.who_are_you()),
            (401, format!("Bearer {about}, scope=\"bailiwick:read\"")),
            "no error where nothing was sent"
        );
        let (status, said) = told(&resource.not_believed(&TokenError::Expired));
        assert_eq!(status, 401);
        assert!(
            said.starts_with("Bearer error=\"invalid_token\", error_description=\"the token has expired\", ")
        );
        let (status, said) = told(&resource.not_enough("bailiwick:read bailiwick:act"));
        let right =
            format!("Bearer error=\"insufficient_scope\", {about}, scope=\"bailiwick:read bailiwick:act\"");
        assert_eq!((status, said), (403, right));
        assert_eq!(
            told(&resource.not_believed(&TokenError::Unavailable("a".to_owned()))),
            (503, String::new())
        );
    }

    #[test]
    fn what_a_token_says_cannot_end_the_quotes() {
        assert_eq!(quoted("a\"b\\c\nd\u{e9}"), "a'b'c'd'");
    }
}
