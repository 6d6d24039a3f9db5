//! What did we show a system that it must not show to a model? A proxy that answers an error may repeat the request, and so
//! our own secrets.

use std::fmt;

use zeroize::Zeroizing;

/// What proves who we are, as one request carried it.
#[derive(Default)]
pub(crate) struct Shown {
    secrets: Vec<Zeroizing<String>>,
    /// Plain headers, which may hold a key as well.
    headers: Vec<String>,
}

/// What stands in place of a secret.
const MARK: &str = "[secret]";
/// Shorter ones are found within plain words: what repeats one is not told at all, or the mark would say what it was.
const SECRET_BYTES_MIN: usize = 8;
/// As many bytes of a secret are a part that must not be told either.
const PART_BYTES: usize = 8;

impl Shown {
    /// Adds a secret.
    pub(crate) fn secret(&mut self, text: &str) {
        self.secrets.push(Zeroizing::new(text.to_owned()));
        // A header that holds `Bearer …` is often repeated without its first word.
        for part in text.split(' ').filter(|it| *it != text && it.len() >= SECRET_BYTES_MIN) {
            self.secrets.push(Zeroizing::new(part.to_owned()));
        }
    }

    /// Adds a header that is not said to be secret.
    pub(crate) fn header(&mut self, text: &str) {
        if text.len() >= SECRET_BYTES_MIN {
            self.headers.push(text.to_owned());
        }
    }

    /// A text without what we showed; none when it repeats what cannot be taken out.
    pub(crate) fn taken_out_of(&self, text: &str) -> Option<String> {
        let long = |it: &&str| it.len() >= SECRET_BYTES_MIN;
        let secrets = || self.secrets.iter().map(|it| it.as_str());
        if secrets().filter(|it| !long(it)).any(|it| text.contains(it)) {
            return None;
        }
        let mut wanted: Vec<&str> =
            secrets().filter(long).chain(self.headers.iter().map(String::as_str)).collect();
        // One may be a part of another.
        wanted.sort_by_key(|it| std::cmp::Reverse(it.len()));
        Some(wanted.into_iter().fold(text.to_owned(), |text, it| text.replace(it, MARK)))
    }

    /// Whether a short text repeats a part of a secret: the rest may have been cut off, or be written in another way.
    pub(crate) fn is_partly_in(&self, text: &str) -> bool {
        let mut parts =
            text.as_bytes().windows(PART_BYTES).filter(|it| *it != &MARK.as_bytes()[..PART_BYTES]);
        parts.any(|part| self.secrets.iter().any(|it| it.as_bytes().windows(PART_BYTES).any(|it| it == part)))
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> Shown {
        let mut shown = Shown::default();
        shown.secret("hunter2-very-secret");
        shown.secret("hunter2-very-secret-and-longer");
        shown.header("tenant-0123456789");
        shown.header("1");
        shown
    }

    #[test]
    fn what_we_showed_is_taken_out_wherever_it_stands() {
        let told = shown()
            .taken_out_of("got hunter2-very-secret-and-longer, hunter2-very-secret of tenant-0123456789: 1");
        assert_eq!(told.as_deref(), Some("got [secret], [secret] of [secret]: 1"));
    }

    #[test]
    fn a_part_of_a_secret_is_noticed_and_a_mark_is_none() {
        assert!(shown().is_partly_in("Authorization: Bearer hunter2-ve…"));
        assert!(!shown().is_partly_in("got [secret], and hunter2 is short"));
        assert!(!shown().is_partly_in(""));
    }

    #[test]
    fn a_short_secret_silences_what_repeats_it() {
        let mut shown = Shown::default();
        shown.secret("pw1");
        assert_eq!(shown.taken_out_of("user has pw1"), None);
        assert_eq!(shown.taken_out_of("bad data").as_deref(), Some("bad data"));
    }

    #[test]
    fn a_scheme_before_a_secret_does_not_hide_it() {
        let mut shown = Shown::default();
        shown.secret("Bearer hunter2-very-secret");
        assert_eq!(shown.taken_out_of("token hunter2-very-secret!").as_deref(), Some("token [secret]!"));
        assert!(!format!("{shown:?}").contains("hunter2"));
    }
}
