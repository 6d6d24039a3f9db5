//! Why is a token not believed?

use crate::Scopes;

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
    /// Configure it.
    #[error("no issuer \"{0}\" is configured")]
    Issuer(String),
    /// Look at the machine.
    #[error("the operating system gives no randomness")]
    Random,
}

/// Why nobody is logged in. Never repeats a token or a code.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Name the way in under the issuer.
    #[error(
        "no issuer lets people log in here; give one under [issuers.NAME] a login = {{ client_id = \"…\" }}"
    )]
    NoWay,
    /// Name one of them.
    #[error("unknown issuer \"{name}\"; people log in by {}", known.join(", "))]
    Unknown {
        /// As it was given.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// Say which.
    #[error("people log in by several issuers: {}; say which with --issuer", .0.join(", "))]
    Several(Vec<String>),
    /// Ask the issuer's administrators for that way of logging in, or correct its address.
    #[error("issuer \"{issuer}\" lets nobody log in: {problem}")]
    NotOffered {
        /// What the configuration calls it.
        issuer: String,
        /// What is missing.
        problem: String,
    },
    /// Try again later, or see what stands in between.
    #[error("issuer \"{issuer}\" cannot be asked: {problem}")]
    Unreachable {
        /// What the configuration calls it.
        issuer: String,
        /// What was seen.
        problem: String,
    },
    /// Correct the login's client, scopes or resource, or log in anew.
    #[error("issuer \"{issuer}\" refused: {error}")]
    Refused {
        /// What the configuration calls it.
        issuer: String,
        /// Its word for why.
        error: String,
    },
    /// The person said no.
    #[error("the request was denied in the browser")]
    Denied,
    /// Begin again.
    #[error("nobody entered the code in time; `bailiwick login` gives another")]
    TooLate,
    /// The issuer gave what proves nothing here.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A login names a person.
    #[error("the token names no person; see `person_claim` of the issuer")]
    Nobody,
    /// Ask for it in `login.scopes`, or `grant` it.
    #[error(
        "the token lacks the scope {}; ask for it with login.scopes, or grant it to the issuer",
        Scopes::READ
    )]
    Scope,
    /// Correct what is kept, or log out.
    #[error("{path} {problem}; `bailiwick logout` removes it, `bailiwick login` makes a new one")]
    Kept {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Correct the configuration.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

/// Why nobody is logged in to a page. Never repeats a token or a code.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Begin again, in the browser in which it is to end.
    #[error("this answer is to no login that began in this browser")]
    Foreign,
    /// Begin again, or have the issuer's administrators see why.
    #[error("the issuer let nobody in: {0}")]
    Refused(String),
    /// The issuer's administrators have to correct what it gives.
    #[error("what the issuer gave cannot be right: {0}")]
    Odd(&'static str),
    /// It gave what proves nothing here.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It cannot be asked.
    #[error(transparent)]
    Login(#[from] LoginError),
}

impl TokenError {
    pub(crate) fn claim(claim: &str, problem: &'static str) -> TokenError {
        TokenError::Claim { claim: claim.to_owned(), problem }
    }
}
