//! Where does a text name a person or their card? E-mail addresses and payment card numbers.

use super::Span;

/// Kind of an e-mail address.
pub(super) const EMAIL: &str = "email";
/// Kind of a payment card number.
pub(super) const CARD: &str = "card number";

/// Endings that look like a domain's and are a file's or a systemd unit's: `icon@2x.png`, `getty@tty1.service`.
const NO_DOMAIN: [&str; 16] = [
    "service", "socket", "timer", "target", "mount", "slice", "device", "scope", "path", "png", "jpg",
    "jpeg", "svg", "gif", "webp", "js",
];

/// Most bytes of an address before and after its `@`.
const LOCAL_MAX: usize = 64;
const DOMAIN_MAX: usize = 253;

/// Finds e-mail addresses and card numbers.
pub(super) fn scan(text: &str, spans: &mut Vec<Span>) {
    let mut from = 0;
    let mut authority = Authority { bytes: text.as_bytes(), looked: 0, mark: None };
    while let Some(found) = text[from..].find('@') {
        let at = from + found;
        from = at + 1;
        if let Some((start, end)) = email(text, at, &mut authority) {
            spans.push(Span { start, end, kind: EMAIL });
            from = end;
        }
    }
    cards(text.as_bytes(), spans);
}

/// The address around an `@`. Its ends stand between characters, also where the longest address would end within one.
fn email(text: &str, at: usize, authority: &mut Authority) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let local = |it: &u8| it.is_ascii_alphanumeric() || b"._+-".contains(it) || *it >= 0x80;
    let start = at - bytes[..at].iter().rev().take(LOCAL_MAX).take_while(|it| local(it)).count();
    let mut start = text.ceil_char_boundary(start);
    while start < at && b".-_+".contains(&bytes[start]) {
        start += 1;
    }
    let label = |it: &u8| it.is_ascii_alphanumeric() || *it == b'-' || *it >= 0x80;
    let after = bytes[at + 1..].iter().take(DOMAIN_MAX).take_while(|it| label(it) || **it == b'.').count();
    let mut end = text.floor_char_boundary(at + 1 + after);
    while end > at + 1 && b".-".contains(&bytes[end - 1]) {
        end -= 1;
    }
    let domain = &bytes[at + 1..end];
    let top = domain.iter().rposition(|it| *it == b'.').map(|it| &domain[it + 1..])?;
    let is_top =
        top.len() >= 2 && top.iter().all(|it| it.is_ascii_alphabetic() || *it >= 0x80 || *it == b'-');
    let is_file = NO_DOMAIN.iter().any(|it| it.as_bytes().eq_ignore_ascii_case(top));
    if start == at || domain[0] == b'.' || !is_top || is_file {
        return None;
    }
    let is_user = authority.holds(start) || bytes[start..at] == *b"git" && bytes.get(end) == Some(&b':');
    (!is_user).then_some((start, end))
}

/// Whether what stands at a place is the user of a URL: `scheme://user:`. Asked from left to right, it looks at each byte
/// once.
struct Authority<'a> {
    bytes: &'a [u8],
    looked: usize,
    /// The last mark before there that ends a scheme or anything else but an authority.
    mark: Option<usize>,
}

impl Authority<'_> {
    fn holds(&mut self, start: usize) -> bool {
        let new = &self.bytes[self.looked.min(start)..start];
        if let Some(found) = new.iter().rposition(|it| b"/?# \t\n\"'<>".contains(it)) {
            self.mark = Some(self.looked.min(start) + found);
        }
        self.looked = start;
        self.mark.is_some_and(|it| self.bytes[..=it].ends_with(b"://"))
    }
}

/// How the digits of a card are grouped.
const GROUPS: [&[usize]; 4] = [&[4, 4, 4, 4, 3], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4]];

/// Card numbers: a known issuer and length, Luhn's check, grouped as cards are or not at all, and not a part of something
/// longer such as a fraction, an id or a timestamp.
fn cards(bytes: &[u8], spans: &mut Vec<Span>) {
    let mut at = 0;
    while let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|it| at + it) {
        let first = group(bytes, start);
        at = first;
        let before = start.checked_sub(1).map(|it| bytes[it]);
        if before.is_some_and(|it| it.is_ascii_alphanumeric() || b"._+-".contains(&it)) {
            continue;
        }
        let alone = ((14..=19).contains(&(first - start))).then_some(first);
        let ends = GROUPS.iter().filter_map(|it| grouped(bytes, start, it)).chain(alone);
        let is_card = |end: &usize| {
            let digits: Vec<u32> = bytes[start..*end]
                .iter()
                .filter(|it| it.is_ascii_digit())
                .map(|it| u32::from(it - b'0'))
                .collect();
            is_apart(&bytes[*end..]) && is_issued(&digits) && luhn(&digits)
        };
        if let Some(end) = ends.into_iter().find(is_card) {
            spans.push(Span { start, end, kind: CARD });
            at = end;
        }
    }
}

/// Where the digits end that start here.
fn group(bytes: &[u8], start: usize) -> usize {
    start + bytes[start..].iter().take_while(|it| it.is_ascii_digit()).count()
}

/// Where the groups end that start here, all parted by the same blank or hyphen.
fn grouped(bytes: &[u8], start: usize, lengths: &[usize]) -> Option<usize> {
    let mark = bytes.get(start + lengths[0]).copied().filter(|it| matches!(it, b' ' | b'-'))?;
    let mut at = start;
    for (index, length) in lengths.iter().enumerate() {
        if index > 0 {
            at += 1;
        }
        if at > bytes.len() || group(bytes, at) != at + length || index > 0 && bytes[at - 1] != mark {
            return None;
        }
        at += length;
    }
    Some(at)
}

/// Whether a number ends before this and not within something longer. A full stop may end the sentence.
fn is_apart(after: &[u8]) -> bool {
    match after {
        [b'.' | b'-', next, ..] => !next.is_ascii_alphanumeric(),
        [next, ..] => !(next.is_ascii_alphanumeric() || b"_+".contains(next)),
        [] => true,
    }
}

/// Whether an issuer has numbers that start so and are so long.
fn is_issued(digits: &[u32]) -> bool {
    let first = |count: usize| digits[..count].iter().fold(0, |number, it| number * 10 + it);
    match digits.len() {
        14 => matches!(first(2), 36 | 38) || matches!(first(3), 300..=305),
        15 => matches!(first(2), 34 | 37),
        16 if first(1) == 4 || matches!(first(2), 51..=55) || matches!(first(4), 2221..=2720) => true,
        19 if first(1) == 4 => true,
        16..=19 => {
            matches!(first(4), 6011 | 3528..=3589)
                || matches!(first(2), 65 | 62)
                || matches!(first(3), 644..=649)
        }
        _ => false,
    }
}

fn luhn(digits: &[u32]) -> bool {
    let doubled = |it: u32| if it > 4 { it * 2 - 9 } else { it * 2 };
    let sum: u32 =
        digits.iter().rev().enumerate().map(|(at, it)| if at % 2 == 1 { doubled(*it) } else { *it }).sum();
    sum.is_multiple_of(10)
}
