//! Which lines did an edit add and remove?

use gix::{
    ObjectId,
    diff::blob::{Algorithm, Diff, Hunk, InternedInput},
};
use tool::ToolError;

use super::{Opened, is_binary};
use crate::{closed, excerpt};

/// Two contents of one file, and where they differ.
pub(crate) struct Edit<'a> {
    lines: InternedInput<&'a [u8]>,
    hunks: Vec<Hunk>,
    closed: [Vec<std::ops::Range<usize>>; 2],
    /// Whether it changes how lines end, so that ends must be seen.
    shows_ends: bool,
}

/// Lines around a change that show where it stands.
const CONTEXT: u32 = 3;
/// Longest line handed on.
const LINE_BYTES_MAX: usize = 2048;

impl Opened<'_> {
    /// What a blob holds; nothing where there is none.
    pub(crate) fn content(&self, id: Option<ObjectId>) -> Result<Vec<u8>, ToolError> {
        match id {
            None => Ok(Vec::new()),
            Some(id) => Ok(self.git.find_blob(id).map_err(|_| self.damaged("file", id))?.take_data()),
        }
    }

    /// How large both ends are together; none when one cannot be read.
    pub(crate) fn sizes(&self, ends: [Option<ObjectId>; 2]) -> Option<[u64; 2]> {
        let size = |id: Option<ObjectId>| match id {
            None => Some(0),
            Some(id) => self.git.find_header(id).ok().map(|it| it.size()),
        };
        Some([size(ends[0])?, size(ends[1])?])
    }
}

impl<'a> Edit<'a> {
    /// Compares two contents; none when one is binary.
    pub(crate) fn between(before: &'a [u8], after: &'a [u8]) -> Option<Edit<'a>> {
        if is_binary(before) || is_binary(after) {
            return None;
        }
        let lines = InternedInput::new(before, after);
        let mut diff = Diff::compute(Algorithm::Histogram, &lines);
        diff.postprocess_lines(&lines);
        let closed = [closed::key_lines(before), closed::key_lines(after)];
        let mut edit = Edit { hunks: diff.hunks().collect(), lines, closed, shows_ends: false };
        edit.shows_ends = edit.changes_ends();
        Some(edit)
    }

    /// Whether some of the lines removed and added end with CR LF and others do not.
    fn changes_ends(&self) -> bool {
        let ends = |end: usize, range: &std::ops::Range<u32>| {
            range.clone().map(|it| self.bytes(end, it as usize).ends_with(b"\r\n")).collect::<Vec<_>>()
        };
        let mut all = self.hunks.iter().flat_map(|it| [ends(0, &it.before), ends(1, &it.after)]).flatten();
        let first = all.next();
        all.any(|it| Some(it) != first)
    }

    fn bytes(&self, end: usize, index: usize) -> &'a [u8] {
        let token = if end == 0 { self.lines.before[index] } else { self.lines.after[index] };
        self.lines.interner[token]
    }

    /// How many lines it added and removed.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let sum = |length: fn(&Hunk) -> u32| self.hunks.iter().map(|it| u64::from(length(it))).sum();
        (sum(|it| it.after.end - it.after.start), sum(|it| it.before.end - it.before.start))
    }

    /// Where a line of the new content stood in the old one, both from 0; none when the edit wrote it.
    pub(crate) fn line_before(&self, line: u64) -> Option<u64> {
        let line = u32::try_from(line).ok()?;
        // The last hunk that starts at or before the line.
        let at = self.hunks.partition_point(|it| it.after.start <= line);
        let Some(hunk) = at.checked_sub(1).map(|it| &self.hunks[it]) else { return Some(u64::from(line)) };
        (line >= hunk.after.end).then(|| u64::from(hunk.before.end + (line - hunk.after.end)))
    }

    /// Lines removed and added, as they stand, each behind its sign.
    pub(crate) fn changed(&self) -> impl Iterator<Item = String> {
        self.hunks.iter().flat_map(|it| self.signed(it)).filter(|it| it.len() > 1)
    }

    /// A unified diff, without its file names.
    pub(crate) fn unified(&self) -> Vec<String> {
        let (old, new) = (self.lines.before.len() as u32, self.lines.after.len() as u32);
        let mut out = Vec::new();
        let mut groups: Vec<&[Hunk]> = Vec::new();
        let mut rest = self.hunks.as_slice();
        while !rest.is_empty() {
            let far = |pair: &[Hunk]| pair[1].before.start - pair[0].before.end > 2 * CONTEXT;
            let length = rest.windows(2).position(far).map_or(rest.len(), |it| it + 1);
            let (group, others) = rest.split_at(length);
            groups.push(group);
            rest = others;
        }
        for group in groups {
            let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
            let before = first.before.start.saturating_sub(CONTEXT)..(last.before.end + CONTEXT).min(old);
            let after = first.after.start.saturating_sub(CONTEXT)..(last.after.end + CONTEXT).min(new);
            out.push(format!("@@ -{} +{} @@", place(&before), place(&after)));
            let mut at = before.start;
            for hunk in group {
                out.extend((at..hunk.before.start).map(|it| self.line(' ', 0, it)));
                out.extend(self.signed(hunk));
                at = hunk.before.end;
            }
            out.extend((at..before.end).map(|it| self.line(' ', 0, it)));
        }
        out
    }

    fn signed(&self, hunk: &Hunk) -> impl Iterator<Item = String> {
        let removed = hunk.before.clone().flat_map(|it| self.with_end('-', 0, it));
        removed.chain(hunk.after.clone().flat_map(|it| self.with_end('+', 1, it)))
    }

    /// A line, and when it ends without a line end, word of it: two lines may differ in nothing else.
    fn with_end(&self, sign: char, end: usize, index: u32) -> impl Iterator<Item = String> {
        let is_open = !self.bytes(end, index as usize).ends_with(b"\n");
        let word = is_open.then(|| "\\ No newline at end of file".to_owned());
        std::iter::once(self.line(sign, end, index)).chain(word)
    }

    fn line(&self, sign: char, end: usize, index: u32) -> String {
        let index = index as usize;
        if closed::is_within(&self.closed[end], index) {
            return format!("{sign}{}", closed::CLOSED_LINE);
        }
        let bytes = self.bytes(end, index);
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let (bytes, mark) = match bytes.strip_suffix(b"\r") {
            Some(bytes) if self.shows_ends && sign != ' ' => (bytes, "␍"),
            Some(bytes) => (bytes, ""),
            None => (bytes, ""),
        };
        format!("{sign}{}{mark}", excerpt::beginning(bytes, LINE_BYTES_MAX))
    }
}

/// As unified diffs write it: the first line and how many.
fn place(lines: &std::ops::Range<u32>) -> String {
    let count = lines.end - lines.start;
    let first = if count == 0 { lines.start } else { lines.start + 1 };
    if count == 1 { first.to_string() } else { format!("{first},{count}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unified(before: &str, after: &str) -> Vec<String> {
        Edit::between(before.as_bytes(), after.as_bytes()).expect("text").unified()
    }

    #[test]
    fn hunks_stand_with_three_lines_around_them_and_their_places() {
        let before: String = (1..=20).map(|it| format!("{it}\n")).collect();
        let after = before.replace("\n10\n", "\nten\n");
        assert_eq!(
            unified(&before, &after),
            ["@@ -7,7 +7,7 @@", " 7", " 8", " 9", "-10", "+ten", " 11", " 12", " 13"]
        );
        assert_eq!(unified("", "a\n"), ["@@ -0,0 +1 @@", "+a"]);
        assert_eq!(unified("a\r\n", "b\r\n"), ["@@ -1 +1 @@", "-a", "+b"]);
        assert_eq!(unified("a\r\n", "a\n"), ["@@ -1 +1 @@", "-a␍", "+a"]);
        assert_eq!(unified("a", "a\n"), ["@@ -1 +1 @@", "-a", "\\ No newline at end of file", "+a"]);
        assert!(unified("a\n", "a\n").is_empty());
        assert!(Edit::between(b"a\0", b"b").is_none());
    }

    #[test]
    fn lines_of_private_keys_are_never_in_a_hunk() {
        let key = |body: &str| {
            format!("a: 1\n-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\nb: 2\n")
        };
        let told = unified(&key("hunter2"), &key("hunter3")).join("\n");
        assert!(!told.contains("hunter") && told.contains(" a: 1") && told.contains("closed"), "{told}");
    }

    proptest! {
        #[test]
        fn what_is_removed_and_added_makes_one_content_from_the_other(
            before in proptest::collection::vec(0_u8..4, 0..30), after in proptest::collection::vec(0_u8..4, 0..30)
        ) {
            let text = |it: &[u8]| it.iter().map(|it| format!("{it}\n")).collect::<String>();
            let (old, new) = (text(&before), text(&after));
            let edit = Edit::between(old.as_bytes(), new.as_bytes()).expect("text");
            let lines = edit.unified();
            let count = |sign| lines.iter().filter(|it| it.starts_with(sign)).count() as u64;
            prop_assert_eq!(edit.counts(), (count('+'), count('-')));
            let kept = before.len() as u64 - count('-');
            prop_assert_eq!(kept + count('+'), after.len() as u64);
        }
    }
}
