//! Why is a token not believed?

/// Why a token proves nothing. Never repeats the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Send a signed JSON Web Token.
    #[error("the token is no signed JSON Web Token")]
    Malformed,
    /// Get a token of a configured issuer.
    #[error("the token is of no issuer that is trusted here")]
    Issuer,
    /// Have it signed in another way.
    #[error("the token's algorithm {0} does not count here")]
    Algorithm(String),
    /// Get an access token; this is something else that the issuer signs.
    #[error("the token is of type `{0}`, expected an access token")]
    Kind(String),
    /// Its issuer published no such key.
    #[error("the token is signed with a key that its issuer did not publish")]
    Key,
    /// It was altered, or signed by somebody else.
    #[error("the token's signature is wrong")]
    Signature,
    /// Get a new one.
    #[error("the token has expired")]
    Expired,
    /// Wait, or set the clock.
    #[error("the token is not valid yet")]
    NotYet,
    /// Ask for a token that is meant for this server.
    #[error("the token is meant for another server, not for {0}")]
    Audience(String),
    /// A claim is missing or is not what it has to be.
    #[error("the token's claim `{claim}` {problem}")]
    Claim {
        /// Its name.
        claim: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Nothing is wrong with the token: try again.
    #[error("the keys of issuer \"{0}\" cannot be had at the moment")]
    Unavailable(String),
}

/// Why tokens cannot be verified at all.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Correct the issuer's address.
    #[error(transparent)]
    Address(#[from] outbound::OutboundError),
    /// Another part of the process brought its own cryptography for tokens.
    #[error("tokens are verified by cryptography that is not ours")]
    Provider,
}

impl TokenError {
    pub(crate) fn claim(claim: &str, problem: &'static str) -> TokenError {
        TokenError::Claim { claim: claim.to_owned(), problem }
    }
}
