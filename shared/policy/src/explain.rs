//! Why is the answer what it is?

use std::collections::BTreeSet;

use crate::{Explanation, Policy, Question, Refusal, Verdict, decide::Asked};

impl Policy {
    /// The answer to a question with every rule that had a say in it.
    pub fn explain(&self, question: &Question<'_>) -> Explanation {
        let answer = match self.decide(question) {
            Ok(_) => Verdict::Permitted,
            Err(Refusal::NeedsApproval(needs)) => Verdict::NeedsApproval(needs),
            Err(Refusal::Denied(denial)) => Verdict::Denied(denial),
        };
        let (considered, determining) = self.weighed(question).unwrap_or_default();
        let (forbids, permits): (Vec<_>, Vec<_>) =
            determining.into_iter().map(|it| &self.rules[it]).partition(|it| it.forbids());
        Explanation {
            answer,
            determining: forbids.into_iter().chain(permits).map(|it| it.line.clone()).collect(),
            considered: considered.len(),
            of: self.rules.len(),
        }
    }

    /// Rules that could apply to some target, and those of them that hold.
    fn weighed(&self, question: &Question<'_>) -> Result<(BTreeSet<usize>, BTreeSet<usize>), Refusal> {
        let (mut considered, mut determining) = (BTreeSet::new(), BTreeSet::new());
        let mut weigh = |question: &Question<'_>| -> Result<(), Refusal> {
            let asked = Asked::new(self, question)?;
            for target in question.targets {
                let slice = asked.slice(target)?;
                determining.extend(asked.determining(&slice, target)?);
                considered.extend(slice.rules.iter().copied());
            }
            Ok(())
        };
        weigh(question)?;
        // What decides where the caller's teams count for nothing had a say too.
        if let Some((caller, targets)) = self.undeclared(question) {
            weigh(&Question { caller: &caller, targets: &targets, ..question.clone() })?;
        }
        Ok((considered, determining))
    }
}
