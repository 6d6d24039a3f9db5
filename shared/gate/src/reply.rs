//! How does a call end, as its caller hears it?

use audit::Receipt;

use crate::{
    Decided,
    ending::Refusal,
    shape::{Frame, Shaped, refuse},
};

/// How the call ended, as the caller may hear it.
#[derive(Debug)]
pub struct Reply {
    /// Facts and rows, or the error: both as data and as text.
    pub shaped: Shaped,
    /// Why there is no result; none when there is one.
    pub refusal: Option<Refusal>,
    /// Proof of the record; none when the log failed.
    pub receipt: Option<Receipt>,
    /// Whether the receipt is that of an effect.
    pub effect: bool,
    /// What a person should look at soon: the log takes no effects any more.
    pub warning: Option<String>,
    /// How it was decided.
    pub decided: Decided,
}

/// What may leave, and why there is no result; none when there is one.
pub(crate) type Told = (Shaped, Option<Refusal>);

impl Reply {
    pub(crate) fn of(refusal: Refusal, receipt: Option<Receipt>, effect: bool) -> Reply {
        let decided = Decided::by(&refusal);
        let (shaped, refusal) = Reply::told(refusal);
        Reply { shaped, refusal, receipt, effect, warning: None, decided }
    }

    /// A refusal without regard to who asks: nothing is shown that policy could hide.
    pub(crate) fn told(refusal: Refusal) -> Told {
        let frame = Frame { tool: "", max_tokens: 2000, shows: &|_| false, reveal_pii: false };
        (refuse(refusal.text(), &frame), Some(refusal))
    }

    /// The line itself broke, and nothing is known but whether an effect had begun.
    pub(crate) fn crashed(intent: Option<Receipt>) -> Reply {
        let effect = intent.is_some();
        Reply::of(Refusal::crashed(intent.as_ref()), intent, effect)
    }

    pub(crate) fn not_waited_for(intent: Receipt) -> Reply {
        Reply::of(Refusal::OutcomeUnknown { intent: intent.index() }, Some(intent), true)
    }

    pub(crate) fn unrecorded(error: audit::AuditError, intent: Option<Receipt>) -> Reply {
        let refusal = match intent {
            Some(intent) => Refusal::OutcomeUnrecorded { intent: intent.index(), error },
            None => Refusal::Unrecorded(error),
        };
        Reply::of(refusal, None, false)
    }
}
