//! What may they do, before they say what exactly?

use std::{borrow::Cow, collections::BTreeSet};

use crate::{
    Caller, Circumstances, Policy, Refusal, Standing, Target,
    asked::Agreement,
    decide::{Asked, Finding, Scene},
    declared,
    slice::Slice,
};

/// What can be said of a slice's rules without the arguments.
#[derive(Debug, Default)]
struct Survey {
    /// Forbids that hold, or that could not be evaluated.
    forbidding: Vec<usize>,
    /// The first of them that could not.
    failed: Option<usize>,
    permitting: Vec<usize>,
    /// Permits that look at the arguments, at what was used, or at a ticket.
    open_permits: Vec<usize>,
    /// Forbids that do.
    open_forbids: Vec<usize>,
}

impl Policy {
    /// Where a caller stands with a tool and a target before the arguments are known. Never says more than
    /// [`Policy::decide`] would: `Allowed` holds for all arguments, `Denied` too.
    pub fn standing(
        &self,
        caller: &Caller,
        tool: &str,
        target: &Target,
        circumstances: &Circumstances,
    ) -> Standing {
        let standing = self.said(caller, tool, target, circumstances);
        let teamless = self.teamless(caller, tool, None).filter(|_| !self.is_development(target));
        match teamless {
            None => standing,
            Some(bare) => {
                let without = self.said(&bare, tool, target, circumstances);
                let permits = |of: &Caller| self.permits(of, tool, target, circumstances);
                let differ = permits(caller) != permits(&bare);
                declared::standing(standing, without, self.rehearses(tool), differ)
            }
        }
    }

    /// What the rules say, whoever says which teams the caller is in.
    fn said(&self, caller: &Caller, tool: &str, target: &Target, circumstances: &Circumstances) -> Standing {
        match self.stand(caller, tool, target, circumstances) {
            Ok(standing) => standing,
            Err(Refusal::NeedsApproval(needs)) => Standing::NeedsApproval(needs),
            Err(Refusal::Denied(denial)) => Standing::Denied(denial),
        }
    }

    fn stand(
        &self,
        caller: &Caller,
        tool: &str,
        target: &Target,
        circumstances: &Circumstances,
    ) -> Result<Standing, Refusal> {
        let asked = Asked::with(self, Cow::Borrowed(caller), tool, None, circumstances)?;
        let slice = asked.slice(target)?;
        let now = self.survey(&asked, &slice, target, asked.agreement())?;
        if now.possible() {
            let depends =
                [now.open_forbids.as_slice(), if now.sure() { &[] } else { &now.open_permits }].concat();
            return Ok(match depends.is_empty() {
                true => Standing::Allowed { policies: self.ids(now.permitting) },
                false => Standing::Depends { policies: self.ids(depends), declared: false },
            });
        }
        for more in asked.agreement().more() {
            let then = self.survey(&asked, &slice, target, more)?;
            if then.possible() {
                let reasons = if now.forbidding.is_empty() {
                    [then.permitting, then.open_permits].concat()
                } else {
                    now.forbidding
                };
                return Err(Refusal::NeedsApproval(asked.needs_for(target, more, &reasons)));
            }
        }
        let left = self.survey(&asked, &slice, target, asked.agreement().all())?;
        let finding = match (left.failed, left.forbidding.first()) {
            (Some(rule), _) => Finding::Failed(rule),
            (None, Some(rule)) => Finding::Forbidden(*rule),
            (None, None) => Finding::Nobody,
        };
        Err(Refusal::Denied(self.denial(finding)))
    }

    /// Permits that hold, or that may, with all the agreement that there can be.
    fn permits(
        &self,
        caller: &Caller,
        tool: &str,
        target: &Target,
        circumstances: &Circumstances,
    ) -> BTreeSet<usize> {
        let asked = || -> Result<Survey, Refusal> {
            let asked = Asked::with(self, Cow::Borrowed(caller), tool, None, circumstances)?;
            let slice = asked.slice(target)?;
            self.survey(&asked, &slice, target, asked.agreement().all())
        };
        let survey = asked().unwrap_or_default();
        survey.permitting.into_iter().chain(survey.open_permits).collect()
    }

    fn survey(
        &self,
        asked: &Asked<'_>,
        slice: &Slice,
        target: &Target,
        agreement: Agreement,
    ) -> Result<Survey, Refusal> {
        let asked = asked.agreed(agreement);
        let scene = Scene::whole(&asked, slice, target)?;
        let mut survey = Survey::default();
        for at in slice.rules.iter().copied() {
            let rule = &self.rules[at];
            match (rule.forbids(), rule.uses.call()) {
                (true, true) => survey.open_forbids.push(at),
                (false, true) => survey.open_permits.push(at),
                (true, false) => match scene.holds(rule) {
                    Ok(true) => survey.forbidding.push(at),
                    Ok(false) => {}
                    Err(()) => {
                        survey.failed.get_or_insert(at);
                        survey.forbidding.push(at);
                    }
                },
                (false, false) if scene.holds(rule) == Ok(true) => survey.permitting.push(at),
                (false, false) => {}
            }
        }
        Ok(survey)
    }
}

impl Survey {
    /// Whether some arguments may be permitted.
    fn possible(&self) -> bool {
        self.forbidding.is_empty() && (self.sure() || !self.open_permits.is_empty())
    }

    /// Whether some permit holds whatever the arguments.
    fn sure(&self) -> bool {
        !self.permitting.is_empty()
    }
}
