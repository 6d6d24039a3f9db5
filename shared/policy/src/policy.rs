//! A loaded set of rules.

use crate::{
    Caller, Circumstances, Denial, Digest, Explanation, LoadErrors, Permit, Question, Refusal, RuleLine,
    Scope, Setup, Source, Standing, Target, Verdict,
};

/// Rules, checked and ready to decide.
#[derive(Debug)]
pub struct Policy {}

impl Policy {
    /// Checks everything and loads it, or says all that is wrong.
    pub fn load(_setup: Setup<'_>) -> Result<Policy, LoadErrors> {
        Ok(Policy {})
    }

    /// What holds where nothing is configured.
    pub fn read_only_source() -> Source {
        Source { name: "policies/read-only.cedar".to_owned(), text: String::new(), scope: Scope::Full }
    }

    /// Whether a call can be refused before any backend is asked.
    pub fn screen(&self, _caller: &Caller, _tool: &str, _targets: &[Target]) -> Result<(), Denial> {
        Ok(())
    }

    /// May they?
    pub fn decide(&self, _question: &Question<'_>) -> Result<Permit, Refusal> {
        Err(Refusal::Denied(no()))
    }

    /// Whether a row about a target may be shown in the answer to a question.
    pub fn shows(&self, _question: &Question<'_>, _target: &Target) -> bool {
        false
    }

    /// Whether a caller may see a class of data unmasked.
    pub fn reveals(&self, _caller: &Caller, _circumstances: &Circumstances, _class: &str) -> bool {
        false
    }

    /// Where a caller stands before the arguments are known.
    pub fn standing(
        &self,
        _caller: &Caller,
        _tool: &str,
        _target: &Target,
        _circumstances: &Circumstances,
    ) -> Standing {
        Standing::Denied(no())
    }

    /// Why the answer is what it is.
    pub fn explain(&self, _question: &Question<'_>) -> Explanation {
        Explanation { answer: Verdict::Denied(no()), determining: Vec::new(), considered: 0, of: 0 }
    }

    /// Names the set: changes with any rule or word of the schema.
    pub fn digest(&self) -> Digest {
        [0; 32]
    }

    /// Every rule, by id.
    pub fn rules(&self) -> Vec<RuleLine> {
        Vec::new()
    }

    /// The schema that the rules were checked against.
    pub fn schema_text(&self) -> &str {
        ""
    }
}

fn no() -> Denial {
    Denial { policy: None, reason: "no rule permits it".to_owned(), instead: None }
}
