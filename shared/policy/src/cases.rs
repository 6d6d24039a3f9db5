//! Does a policy answer as people expect? Cases are put to it, and the rules that no case exercises are named.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Approver, Breaking, Caller, Circumstances, Denial, Policy, Question, RuleEffect, RuleLine, Target,
    Verdict,
};

/// A question with the answer that somebody expects.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it shows, in words.
    pub name: String,
    /// Where it stands, e.g. `on-call.cases.toml:12`.
    pub place: String,
    /// Who calls.
    pub caller: Caller,
    /// What surrounds the call.
    pub circumstances: Circumstances,
    /// What is asked.
    pub asked: CaseQuestion,
    /// The answer.
    pub expected: Expected,
    /// The rule behind it; `none` where no rule is meant to permit it. Unless told, any.
    pub rule: Option<String>,
}

/// What a case asks of a policy.
#[derive(Clone, Debug)]
pub enum CaseQuestion {
    /// May the caller make this call?
    Call(CaseCall),
    /// May this person approve that call of the caller's?
    Approve(Approver, CaseCall),
    /// May this person break the glass for so many minutes: to approve that call alone, or open it for these at all?
    BreakGlass {
        /// Who.
        person: Approver,
        /// For how long.
        minutes: u64,
        /// What is approved by it; none while it is opened.
        call: Option<CaseCall>,
        /// What it is opened for.
        targets: Vec<Target>,
    },
    /// May the caller see this class of data unmasked?
    Reveal(String),
}

/// A call of a case.
#[derive(Clone, Debug)]
pub struct CaseCall {
    /// Tool name.
    pub tool: String,
    /// Arguments after defaults, without nulls.
    pub input: Map<String, Value>,
    /// What it touches.
    pub targets: Vec<Target>,
}

/// An answer, as cases write it: `allow`, `ask`, `approve:2`, `ask+approve:2` or `deny`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Expected {
    /// It may run.
    Allow,
    /// It may run once the person at the keyboard confirms, and so many other people approve.
    Agreement {
        /// Whether a confirmation is needed.
        confirmed: bool,
        /// How many approvals are, 0 to 3.
        approvals: u8,
    },
    /// It may not run.
    Deny,
}

/// How the cases went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tested {
    /// How many cases there were.
    pub cases: usize,
    /// Those that did not get what they expected.
    pub failures: Vec<Failure>,
    /// How many rules there are.
    pub rules: usize,
    /// Rules that determined no case's answer.
    pub unexercised: Vec<RuleLine>,
}

/// A case that did not get what it expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// What it shows.
    pub name: String,
    /// Where it stands.
    pub place: String,
    /// The answer it expects, and the rule.
    pub expected: String,
    /// The answer it got.
    pub answer: String,
    /// The rules behind that.
    pub by: Vec<RuleLine>,
    /// Why, as a caller would be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a policy answers to a case.
struct Answered {
    answer: Expected,
    /// Ids of the rules behind it: what a case may name.
    by: BTreeSet<String>,
    /// The same with the permits of a call that waits for agreement: without them it could only be denied.
    determining: BTreeSet<String>,
    reason: Option<String>,
}

/// How a case says that no rule permits it.
const NO_RULE: &str = "none";

impl Policy {
    /// Puts every case to the policy.
    pub fn test(&self, cases: &[Case]) -> Tested {
        let (mut failures, mut exercised) = (Vec::new(), BTreeSet::new());
        for case in cases {
            let answered = self.answer(case);
            if let Some(failure) = self.failure(case, &answered) {
                failures.push(failure);
            }
            exercised.extend(answered.determining);
        }
        let rules = self.rules();
        let unexercised = rules.iter().filter(|it| !exercised.contains(&it.id)).cloned().collect();
        Tested { cases: cases.len(), failures, rules: rules.len(), unexercised }
    }

    fn failure(&self, case: &Case, answered: &Answered) -> Option<Failure> {
        let fits = match case.rule.as_deref() {
            None => true,
            Some(NO_RULE) => answered.by.is_empty(),
            Some(id) => answered.by.contains(id),
        };
        if fits && answered.answer == case.expected {
            return None;
        }
        let rule = case.rule.as_ref().map(|it| format!(" by {it}")).unwrap_or_default();
        Some(Failure {
            name: case.name.clone(),
            place: case.place.clone(),
            expected: format!("{}{rule}", case.expected),
            answer: answered.answer.to_string(),
            by: self.rules().into_iter().filter(|it| answered.by.contains(&it.id)).collect(),
            reason: answered.reason.clone(),
        })
    }

    fn answer(&self, case: &Case) -> Answered {
        match &case.asked {
            CaseQuestion::Call(call) => self.answer_call(&case.question(call)),
            CaseQuestion::Approve(approver, call) => {
                Answered::plain(self.may_approve(approver, &case.question(call)))
            }
            CaseQuestion::BreakGlass { person, minutes, call, targets } => {
                let question = call.as_ref().map(|it| case.question(it));
                let breaking = match &question {
                    Some(question) => Breaking::Use(question),
                    None => Breaking::Open { targets, circumstances: &case.circumstances },
                };
                Answered::plain(self.may_break_glass(person, *minutes, &breaking))
            }
            CaseQuestion::Reveal(class) => {
                Answered::plain(self.may_reveal(&case.caller, &case.circumstances, class))
            }
        }
    }

    fn answer_call(&self, question: &Question<'_>) -> Answered {
        let explained = self.explain(question);
        let of = |effect| {
            let lines = explained.determining.iter().filter(move |it| it.effect == effect);
            lines.map(|it| it.id.clone()).collect::<BTreeSet<_>>()
        };
        match &explained.answer {
            Verdict::Permitted => {
                let by = of(RuleEffect::Permit);
                Answered { answer: Expected::Allow, determining: by.clone(), by, reason: None }
            }
            Verdict::NeedsApproval(needs) => {
                let by: BTreeSet<String> = needs.policies.iter().cloned().collect();
                let determining = &by | &of(RuleEffect::Permit);
                let (confirmed, approvals) = (needs.confirmed, needs.approvals);
                let answer = Expected::Agreement { confirmed, approvals };
                Answered { answer, by, determining, reason: needs.reason.clone() }
            }
            Verdict::Denied(denial) => {
                let by = &of(RuleEffect::Forbid) | &denial.policy.iter().cloned().collect();
                let reason = Some(denial.reason.clone());
                Answered { answer: Expected::Deny, determining: by.clone(), by, reason }
            }
        }
    }
}

impl Case {
    fn question<'a>(&'a self, call: &'a CaseCall) -> Question<'a> {
        Question {
            caller: &self.caller,
            tool: &call.tool,
            input: &call.input,
            targets: &call.targets,
            digest: [0; 32],
            circumstances: self.circumstances.clone(),
        }
    }
}

impl Answered {
    /// An answer that no agreement could change.
    fn plain(answer: Result<Vec<String>, Denial>) -> Answered {
        let (answer, by, reason) = match answer {
            Ok(by) => (Expected::Allow, by.into_iter().collect::<BTreeSet<_>>(), None),
            Err(denial) => (Expected::Deny, denial.policy.into_iter().collect(), Some(denial.reason)),
        };
        Answered { answer, determining: by.clone(), by, reason }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Allow => out.write_str("allow"),
            Expected::Deny => out.write_str("deny"),
            Expected::Agreement { confirmed: true, approvals: 0 } => out.write_str("ask"),
            Expected::Agreement { confirmed: true, approvals } => write!(out, "ask+approve:{approvals}"),
            Expected::Agreement { confirmed: false, approvals } => write!(out, "approve:{approvals}"),
        }
    }
}

impl FromStr for Expected {
    type Err = String;

    fn from_str(text: &str) -> Result<Expected, String> {
        let wrong =
            || format!("`{text}`: expected allow, ask, approve:1 to approve:3, ask+approve:1 or deny");
        match text {
            "allow" => return Ok(Expected::Allow),
            "deny" => return Ok(Expected::Deny),
            "ask" => return Ok(Expected::Agreement { confirmed: true, approvals: 0 }),
            _ => {}
        }
        let (confirmed, approve) = match text.strip_prefix("ask+") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let count = approve.strip_prefix("approve:").ok_or_else(wrong)?;
        match count.parse() {
            Ok(approvals @ 1..=3) => Ok(Expected::Agreement { confirmed, approvals }),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Expected {
    type Error = String;

    fn try_from(text: String) -> Result<Expected, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expected_answer_reads_as_it_is_written_and_nothing_else_is_one() {
        for text in ["allow", "ask", "approve:1", "approve:3", "ask+approve:2", "deny"] {
            assert_eq!(text.parse::<Expected>().unwrap().to_string(), text);
        }
        for text in ["", "Allow", "approve", "approve:0", "approve:4", "ask+", "ask+ask", "allow:1"] {
            assert!(text.parse::<Expected>().unwrap_err().contains("expected allow"), "{text}");
        }
    }
}
