//! Which caller do the claims name, as the configuration reads them?

use config::{AgentName, Issuer};
use policy::{Assurance, Caller};

use crate::{Scopes, TokenError, claims::Claims};

/// Longest name of an agent or a person.
const NAME_BYTES_MAX: usize = 128;

/// The caller that a token names. `others` are the prefixes of all other issuers.
pub(crate) fn caller(issuer: &Issuer, others: &[String], claims: &Claims) -> Result<Caller, TokenError> {
    for (claim, values) in &issuer.require {
        if !claims.is_one_of(claim, values) {
            return Err(TokenError::claim(claim, "is not what is required here"));
        }
    }
    let (claim, agent) = agent(issuer, claims)?;
    let person = match &issuer.person_claim {
        None => None,
        Some(claim) => {
            person(claim, &agent, claims)?.map(|it| name(issuer, others, claim, it)).transpose()?
        }
    };
    Ok(Caller {
        agent: name(issuer, others, &claim, &agent)?,
        on_behalf_of: person,
        teams: teams(issuer, claims)?,
        assurance: Assurance::Token,
    })
}

/// What a token lets its bearer do at most.
pub(crate) fn scopes(issuer: &Issuer, claims: &Claims) -> Result<Scopes, TokenError> {
    let listed = [claims.texts("scope")?, claims.texts("scp")?].concat();
    let scopes = Scopes::of(listed.into_iter().flat_map(str::split_ascii_whitespace));
    Ok(match scopes.is_empty() {
        true => Scopes::of(issuer.grant.iter().map(String::as_str)),
        false => scopes,
    })
}

/// Who acts: <https://www.rfc-editor.org/rfc/rfc8693#section-4.1>, or the client that got the token.
fn agent(issuer: &Issuer, claims: &Claims) -> Result<(String, String), TokenError> {
    let wanted = match &issuer.agent {
        AgentName::Fixed(name) => return Ok(("agent_name".to_owned(), name.clone())),
        AgentName::Claims(wanted) => wanted,
    };
    for claim in wanted {
        if let Some(name) = claims.text(claim)? {
            return Ok((claim.clone(), name.to_owned()));
        }
        // Whoever says that somebody else acts has to say who.
        if claim == "/act/sub" && claims.get("act").is_some() {
            return Err(TokenError::claim(claim, "is missing"));
        }
    }
    Err(TokenError::claim(&wanted.join("`, `"), "is missing, so nobody knows which agent this is"))
}

/// The person, if there is one: a client that got a token for itself acts for nobody.
fn person<'a>(claim: &str, agent: &str, claims: &'a Claims) -> Result<Option<&'a str>, TokenError> {
    let Some(person) = claims.text(claim)?.filter(|it| *it != agent) else { return Ok(None) };
    let unverified = claims.get("email_verified").is_some_and(|it| *it != true);
    if claim == "email" && unverified {
        return Err(TokenError::claim(claim, "was not verified by its issuer"));
    }
    Ok(Some(person))
}

/// A name that is of this issuer alone and that reads as it is written.
fn name(issuer: &Issuer, others: &[String], claim: &str, name: &str) -> Result<String, TokenError> {
    let lettered = |it: u8| it.is_ascii_alphanumeric() || b"._-@+:/".contains(&it);
    if !name.bytes().all(lettered) {
        return Err(TokenError::claim(
            claim,
            "holds something other than ASCII letters, digits and . _ - @ + : /",
        ));
    }
    let name = format!("{}{name}", issuer.prefix);
    if name.len() > NAME_BYTES_MAX {
        return Err(TokenError::claim(claim, "is longer than 128 letters"));
    }
    match others.iter().any(|it| !it.is_empty() && name.starts_with(it.as_str())) {
        true => Err(TokenError::claim(claim, "names a caller of another issuer")),
        false => Ok(name),
    }
}

fn teams(issuer: &Issuer, claims: &Claims) -> Result<Vec<String>, TokenError> {
    // Where there are many, some issuers say where to ask for them instead. A team that is left out may be one that
    // something is forbidden to.
    let elsewhere = claims.get("_claim_names").and_then(|it| it.get(&issuer.groups_claim)).is_some();
    if elsewhere && !issuer.teams.is_empty() {
        return Err(TokenError::claim(
            &issuer.groups_claim,
            "is kept elsewhere; have the issuer list fewer groups",
        ));
    }
    let groups = claims.texts(&issuer.groups_claim)?;
    let mut teams: Vec<String> = groups.into_iter().filter_map(|it| issuer.teams.get(it)).cloned().collect();
    teams.sort();
    teams.dedup();
    Ok(teams)
}

#[cfg(test)]
mod tests {
    use config::{Http, Keys};
    use serde_json::{Value, json};

    use super::*;

    fn issuer() -> Issuer {
        let url = "https://login.example.com".parse().expect("an address");
        Issuer {
            name: "company".to_owned(),
            url: "https://login.example.com".to_owned(),
            keys: Keys::Announced(Http::plain(url)),
            audiences: Vec::new(),
            algorithms: Vec::new(),
            require: Default::default(),
            agent: AgentName::Claims(["/act/sub", "client_id", "azp"].map(str::to_owned).to_vec()),
            person_claim: Some("sub".to_owned()),
            groups_claim: "groups".to_owned(),
            teams: [("sre", "platform"), ("pay", "checkout")]
                .map(|(group, team)| (group.to_owned(), team.to_owned()))
                .into(),
            prefix: String::new(),
            grant: Vec::new(),
            login: None,
        }
    }

    fn read(issuer: &Issuer, claims: Value) -> Result<Caller, TokenError> {
        let Value::Object(claims) = claims else { unreachable!("claims are an object") };
        caller(issuer, &["gh:".to_owned()], &Claims(claims))
    }

    fn names(caller: &Caller) -> (&str, Option<&str>, Vec<&str>) {
        let teams = caller.teams.iter().map(String::as_str).collect();
        (&caller.agent, caller.on_behalf_of.as_deref(), teams)
    }

    #[test]
    fn the_actor_is_the_agent_and_the_subject_the_person_it_acts_for() {
        let it = issuer();
        let acting = read(&it, json!({ "sub": "alice", "azp": "portal", "act": { "sub": "claude-code" } }));
        assert_eq!(names(&acting.expect("a caller")), ("claude-code", Some("alice"), vec![]));
        let client =
            read(&it, json!({ "sub": "alice", "client_id": "claude-code", "groups": ["sre", "x", "sre"] }));
        let client = client.expect("a caller");
        assert_eq!(names(&client), ("claude-code", Some("alice"), vec!["platform"]));
        assert_eq!(client.assurance, Assurance::Token);
        assert!(read(&it, json!({ "sub": "alice", "azp": "portal", "act": { "iss": "x" } })).is_err());
        assert!(read(&it, json!({ "sub": "alice" })).is_err(), "nobody knows which agent that is");
    }

    #[test]
    fn a_token_without_a_person_is_a_workload() {
        let it = issuer();
        let own = read(&it, json!({ "sub": "deployer", "client_id": "deployer" })).expect("a caller");
        assert_eq!(names(&own), ("deployer", None, vec![]));
        let workloads = Issuer { person_claim: None, agent: AgentName::Claims(vec!["sub".to_owned()]), ..it };
        let account =
            read(&workloads, json!({ "sub": "system:serviceaccount:shop:deployer" })).expect("a caller");
        assert_eq!(names(&account), ("system:serviceaccount:shop:deployer", None, vec![]));
    }

    #[test]
    fn a_name_is_of_one_issuer_and_reads_as_it_is_written() {
        let it = issuer();
        let prefixed = Issuer { prefix: "gh:".to_owned(), ..issuer() };
        let hers = json!({ "sub": "alice", "client_id": "ci" });
        let foreign =
            caller(&prefixed, &[String::new()], &Claims(hers.as_object().cloned().unwrap_or_default()));
        assert_eq!(names(&foreign.expect("a caller")), ("gh:ci", Some("gh:alice"), vec![]));
        for sub in ["gh:alice", "аlice", "alice ", "al\u{200b}ice", "", "a\nb", &"a".repeat(129)] {
            assert!(read(&it, json!({ "sub": sub, "client_id": "c" })).is_err(), "{sub:?}");
        }
        for sub in [json!(5), json!(["alice"]), json!({ "a": 1 })] {
            assert!(read(&it, json!({ "sub": sub, "client_id": "c" })).is_err(), "{sub}");
        }
    }

    #[test]
    fn an_address_that_nobody_verified_names_nobody() {
        let it = Issuer { person_claim: Some("email".to_owned()), ..issuer() };
        let with = |verified: Value| {
            read(&it, json!({ "email": "a@example.com", "azp": "c", "email_verified": verified }))
        };
        assert!(with(json!(true)).is_ok());
        assert!(with(json!(false)).is_err() && with(json!("true")).is_err());
    }

    #[test]
    fn claims_that_are_required_are_held_to_their_values() {
        let require = [("repository_owner".to_owned(), vec!["example".to_owned()])].into();
        let it = Issuer { require, ..issuer() };
        let of = |owner: Value| read(&it, json!({ "sub": "x", "azp": "ci", "repository_owner": owner }));
        assert!(of(json!("example")).is_ok());
        for other in [json!("example2"), json!("Example"), json!(null), json!({ "example": 1 })] {
            assert!(of(other.clone()).is_err(), "{other}");
        }
    }

    #[test]
    fn teams_that_are_kept_elsewhere_or_are_no_list_are_not_left_out() {
        let it = issuer();
        let groups = |groups: Value| read(&it, json!({ "sub": "a", "azp": "c", "groups": groups }));
        assert!(groups(json!({ "a": 1 })).is_err() && groups(json!([1])).is_err());
        let moved = json!({ "sub": "a", "azp": "c", "_claim_names": { "groups": "src1" } });
        assert!(read(&it, moved).is_err());
    }

    #[test]
    fn scopes_are_those_of_the_token_or_those_the_issuer_is_granted() {
        let it = Issuer { grant: vec![Scopes::READ.to_owned()], ..issuer() };
        let of = |claims: Value| {
            let Value::Object(claims) = claims else { unreachable!("claims are an object") };
            scopes(&it, &Claims(claims)).expect("scopes")
        };
        let read = Scopes { read: true, ..Scopes::default() };
        assert_eq!(of(json!({ "scope": "openid bailiwick:act" })), Scopes { act: true, ..Scopes::default() });
        assert_eq!(of(json!({ "scp": ["bailiwick:read"] })), read);
        assert_eq!(of(json!({ "scope": "openid" })), read);
        assert_eq!(of(json!({})), read);
    }
}
