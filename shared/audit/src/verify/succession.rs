//! Which keys count, and which of their records? Forward from the keys that were given, as long as each names one successor; backward
//! only along what a key that counts has closed.

use ed25519_dalek::VerifyingKey as PublicKey;

use super::leaf::{Head, Leaf};

/// An operators' log, as far as one key signed it.
pub(super) struct Book {
    /// `<server>/<n>`.
    pub(super) log: String,
    pub(super) key: PublicKey,
    /// Where it ends.
    pub(super) head: Head,
    pub(super) deeds: Vec<Leaf>,
}

/// The keys that count, and what they led to.
#[derive(Default)]
pub(super) struct Succession<'a> {
    /// The given keys first.
    pub(super) keys: Vec<PublicKey>,
    /// Keys that another one has followed.
    pub(super) retired: Vec<PublicKey>,
    /// Keys that several others claim to follow: none of these is believed.
    pub(super) forked: Vec<PublicKey>,
    /// Heads of the logs that were closed with their keys.
    pub(super) closed: Vec<Head>,
    /// Books whose records count.
    pub(super) books: Vec<&'a Book>,
}

impl<'a> Succession<'a> {
    pub(super) fn of(given: &[PublicKey], books: &'a [Book]) -> Succession<'a> {
        let mut it = Succession { keys: given.to_vec(), ..Succession::default() };
        it.forward(books);
        it.backward(books);
        it
    }

    /// Whoever holds a key can name any successor, so a retired one is followed only where it was given; and a second successor
    /// shows that somebody kept it.
    fn forward(&mut self, books: &[Book]) {
        let mut at = 0;
        while let Some(old) = self.keys.get(at).copied() {
            at += 1;
            match successors(&old, books).as_slice() {
                [] => {}
                [next] if self.keys.contains(next) => {}
                [next] => self.keys.push(*next),
                _ => self.forked.push(old),
            }
        }
    }

    /// What a key that has a successor says counts only as far as that one closed it: so the youngest are heard first.
    fn backward(&mut self, books: &'a [Book]) {
        let is_last = |key: &&PublicKey| !successors(key, books).iter().any(|it| self.keys.contains(it));
        let mut heard: Vec<PublicKey> = self.keys.iter().filter(is_last).copied().collect();
        if heard.is_empty() {
            // Keys that follow each other in a circle: nobody retires a key in favour of its own successor.
            self.forked.extend(&self.keys);
            heard.clone_from(&self.keys);
        }
        let mut at = 0;
        while let Some(key) = heard.get(at).copied() {
            at += 1;
            let counts = |it: &&Book| {
                it.key == key && (!self.retired.contains(&key) || self.closed.contains(&it.head))
            };
            let counted: Vec<&Book> = books.iter().filter(counts).collect();
            for leaf in counted.iter().flat_map(|it| &it.deeds) {
                let Some(old) = leaf.previous.filter(|old| successors(old, books).contains(&key)) else {
                    continue;
                };
                self.closed.extend(leaf.closed.iter().cloned());
                for known in [&mut self.retired, &mut self.keys, &mut heard] {
                    if !known.contains(&old) {
                        known.push(old);
                    }
                }
            }
            self.books.extend(counted);
        }
    }
}

/// Keys that a key names as the next one, and that name it as the one before.
pub(super) fn successors(old: &PublicKey, books: &[Book]) -> Vec<PublicKey> {
    let named = |by: &PublicKey| {
        let follows = |it: &Leaf| it.previous.as_ref() == Some(old);
        books.iter().any(|it| it.key == *by && it.deeds.iter().any(follows))
    };
    let mut found = Vec::new();
    for next in books.iter().filter(|it| it.key == *old).flat_map(|it| &it.deeds).filter_map(|it| it.next) {
        if next != *old && named(&next) && !found.contains(&next) {
            found.push(next);
        }
    }
    found
}
