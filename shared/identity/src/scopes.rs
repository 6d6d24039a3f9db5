//! What a token lets its bearer do at most, whatever policy says.

/// Scopes that a token holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    /// `bailiwick:read`: to call at all.
    pub read: bool,
    /// `bailiwick:act`: to call what has an effect.
    pub act: bool,
    /// `bailiwick:approve`: to approve what others ask for.
    pub approve: bool,
}

impl Scopes {
    /// The word for [`Scopes::read`].
    pub const READ: &str = "bailiwick:read";
    /// The word for [`Scopes::act`].
    pub const ACT: &str = "bailiwick:act";
    /// The word for [`Scopes::approve`].
    pub const APPROVE: &str = "bailiwick:approve";

    /// Those among some words that are ours.
    pub fn of<'a>(words: impl IntoIterator<Item = &'a str>) -> Scopes {
        let mut scopes = Scopes::default();
        for word in words {
            scopes.read |= word == Scopes::READ;
            scopes.act |= word == Scopes::ACT;
            scopes.approve |= word == Scopes::APPROVE;
        }
        scopes
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self == Scopes::default()
    }
}
