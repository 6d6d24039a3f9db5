//! Which forms of secrets are known? One line each; a pattern is compiled when its keyword first occurs.

use std::{
    ops::Range,
    sync::{LazyLock, OnceLock},
};

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex::bytes::{Regex, RegexBuilder};

use super::{
    Span,
    assigned::{NAME_STEMS, is_placeholder},
    is_marked, worked,
};

/// One form of a secret.
struct Rule {
    kind: &'static str,
    /// Texts without any of them, in whatever case, do not hold such a secret.
    keywords: &'static [&'static str],
    /// The secret is group 1, or all of the match when there is no group.
    pattern: &'static str,
    limit: Limit,
    compiled: OnceLock<Regex>,
}

/// What else must hold for a match.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Limit {
    /// The form says enough.
    None,
    /// Neither a letter nor a digit before it.
    Start,
    /// Neither before nor after it.
    Both,
    /// As [`Limit::Both`], and not a digest: upper and lower case and digits.
    Mixed,
    /// As [`Limit::Start`], and not words: a digit and an upper-case letter.
    Random,
    /// Not a placeholder.
    Real,
}

const fn rule(
    kind: &'static str,
    limit: Limit,
    keywords: &'static [&'static str],
    pattern: &'static str,
) -> Rule {
    Rule { kind, keywords, pattern, limit, compiled: OnceLock::new() }
}

#[rustfmt::skip]
static RULES: [Rule; 49] = [
    rule("aws access key id", Limit::Both, &["akia", "asia", "abia", "acca"], r"A(?:KIA|SIA|BIA|CCA)[A-Z2-7]{16}"),
    rule("aws secret key", Limit::Mixed, &["aws", "secretaccesskey"], r#"(?i)(?:aws|secret)[a-z0-9_. -]{0,24}(?:secret|key|sk)[a-z_]{0,20}["'\\]{0,2}[ \t]{0,8}[:=>, \t]{1,3}[ \t"'\\]{0,8}([a-z0-9/+]{40})"#),
    rule("aws secret key", Limit::Mixed, &["akia", "asia"], r"A(?:KIA|SIA)[A-Z2-7]{16}[^A-Za-z0-9/+]{1,20}(?:[A-Za-z_ ]{1,40}[^A-Za-z0-9/+]{1,8})?([A-Za-z0-9/+]{40})"),
    rule("signature", Limit::None, &["x-amz-"], r"(?i)x-amz-(?:signature|security-token|credential)=([a-z0-9%/+=_.-]{16,})"),
    rule("github token", Limit::None, &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], r"gh[pousr]_[A-Za-z0-9]{20,}"),
    rule("github token", Limit::None, &["github_pat_"], r"github_pat_[A-Za-z0-9_]{20,}"),
    rule("gitlab token", Limit::None, &["glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glsoat-", "glagent-"], r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent)-[A-Za-z0-9_.=-]{16,}"),
    rule("slack token", Limit::None, &["xox", "xapp-"], r"(?:xox[a-z](?:\.xox[a-z])?|xapp)-[A-Za-z0-9-]{10,}"),
    rule("slack webhook", Limit::None, &["hooks.slack.com"], r"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9/+_-]{20,})"),
    rule("discord webhook", Limit::None, &["/api/webhooks/"], r"/api/webhooks/[0-9]{10,}/([A-Za-z0-9_-]{30,})"),
    rule("stripe key", Limit::None, &["k_live_", "k_test_"], r"[srp]k_(?:live|test)_[A-Za-z0-9]{10,}"),
    rule("stripe key", Limit::Start, &["whsec_"], r"whsec_[A-Za-z0-9+/=]{20,}"),
    rule("google key", Limit::Both, &["aiza"], r"AIza[A-Za-z0-9_-]{35}"),
    rule("google token", Limit::Start, &["ya29."], r"ya29\.[A-Za-z0-9_.-]{20,}"),
    rule("google token", Limit::None, &["gocspx-"], r"GOCSPX-[A-Za-z0-9_-]{20,}"),
    rule("npm token", Limit::Start, &["npm_"], r"npm_[A-Za-z0-9]{36,}"),
    rule("pypi token", Limit::None, &["pypi-"], r"pypi-[A-Za-z0-9_-]{50,}"),
    rule("docker token", Limit::None, &["dckr_pat_", "dckr_oat_"], r"dckr_[po]at_[A-Za-z0-9_-]{20,}"),
    rule("rubygems token", Limit::None, &["rubygems_"], r"rubygems_[a-f0-9]{40,}"),
    rule("crates.io token", Limit::Both, &["cio"], r"cio[A-Za-z0-9]{32}"),
    rule("jwt", Limit::Start, &["eyj"], r"eyJ[A-Za-z0-9_=-]{10,}\.[A-Za-z0-9_=-]{8,}(?:\.[A-Za-z0-9_=-]*){0,3}"),
    rule("anthropic key", Limit::None, &["sk-ant-"], r"sk-ant-[A-Za-z0-9_-]{16,}"),
    rule("openai key", Limit::Random, &["sk-"], r"sk-[A-Za-z0-9_-]{20,}"),
    rule("hugging face token", Limit::Both, &["hf_"], r"hf_[A-Za-z0-9]{30,}"),
    rule("sendgrid key", Limit::Start, &["sg."], r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{32,}"),
    rule("mailgun key", Limit::Both, &["key-"], r"key-[0-9a-f]{32}"),
    rule("twilio key", Limit::Both, &["sk"], r"SK[0-9a-f]{32}"),
    rule("vault token", Limit::Start, &["hvs.", "hvb.", "hvr."], r"hv[sbr]\.[A-Za-z0-9_-]{20,}"),
    rule("terraform token", Limit::None, &[".atlasv1."], r"[A-Za-z0-9]{10,}\.atlasv1\.[A-Za-z0-9_=-]{40,}"),
    rule("databricks token", Limit::Both, &["dapi"], r"dapi[0-9a-f]{32}(?:-[0-9])?"),
    rule("digitalocean token", Limit::None, &["_v1_"], r"do[opr]_v1_[0-9a-f]{64}"),
    rule("grafana token", Limit::Start, &["glsa_", "glc_"], r"(?:glsa_[A-Za-z0-9_]{30,}|glc_[A-Za-z0-9+/=]{30,})"),
    rule("new relic key", Limit::None, &["nrak-"], r"NRAK-[A-Za-z0-9]{20,}"),
    rule("linear key", Limit::None, &["lin_api_"], r"lin_api_[A-Za-z0-9]{30,}"),
    rule("shopify token", Limit::None, &["shpat_", "shpca_", "shppa_", "shpss_"], r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    rule("atlassian token", Limit::None, &["atatt3", "atbb"], r"(?:ATATT3[A-Za-z0-9_=-]{50,}|ATBB[A-Za-z0-9]{28,})"),
    rule("doppler token", Limit::None, &["dp."], r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{30,}"),
    rule("telegram token", Limit::Both, &[":aa"], r"[0-9]{8,10}:AA[A-Za-z0-9_-]{32,}"),
    rule("age key", Limit::None, &["age-secret-key-"], r"AGE-SECRET-KEY-1[A-Z0-9]{40,}"),
    rule("azure key", Limit::None, &["accountkey", "sharedaccesskey"], r"(?i)(?:accountkey|sharedaccesskey)[ \t]*=[ \t]*([a-z0-9+/]{30,}={0,2})"),
    rule("signature", Limit::None, &["sig="], r"(?i)[?&]sig=([a-z0-9%+/=_-]{30,})"),
    rule("private key", Limit::None, &["ls0tls1crudjti"], r"LS0tLS1CRUdJTi(?:BSU0Eg|BQUklW|BFQy|BPUEVO|BFTkNS|BEU0Eg|BQR1Ag)[A-Za-z0-9+/=]{16,}"),
    rule("private key", Limit::None, &["private-lines:"], r"(?i)private-lines:[ \t]*[0-9]+\r?\n([a-z0-9+/=\r\n]{20,})"),
    rule("authorization", Limit::Real, &["authorization"], r#"(?i)authorization["'\]\\]{0,3}[ \t]{0,32}[:=,][ \t"'\\\[]{0,32}(?:(?:bearer|basic|token|apikey|negotiate|digest|bot|splunk|genie-?key|aws4-hmac-sha256)[ \t]{1,32})([^ \t\r\n"'\\,;<>\])]{4,})"#),
    rule("authorization", Limit::Random, &["authorization"], r#"(?i)authorization["'\]\\]{0,3}[ \t]{0,32}[:=][ \t"'\\\[]{0,32}([^ \t\r\n"'\\,;<>\])\[(:]{16,})"#),
    rule("authorization", Limit::Random, &["bearer"], r"(?i)bearer[ \t]{1,32}([a-z0-9._~+/=-]{16,})"),
    rule("cookie", Limit::None, &["cookie"], r#"(?i)(?:set-)?cookie["'\]\\]{0,3}[ \t]{0,32}[:=][ \t"'\\\[]{0,32}([^ \t\r\n"'\\;<>\]=]{1,64}=[^\r\n"'\\<>\]]{6,})"#),
    rule("password", Limit::Real, &["://"], r#"(?i)[a-z][a-z0-9+.-]*://[^ \t\r\n/?#"'<>@:\[\]]*:([^ \t\r\n/?#"'<>]+)@"#),
    rule("token", Limit::Random, &["://"], r#"(?i)https?://([a-z0-9_-]{20,})@"#),
];

/// Keywords of every rule, and the rule of each; beyond the rules, the words that a telling name has in it.
static KEYWORDS: LazyLock<(AhoCorasick, Vec<usize>)> = LazyLock::new(|| {
    let pairs = RULES.iter().enumerate().flat_map(|(at, it)| it.keywords.iter().map(move |word| (*word, at)));
    let (words, rules): (Vec<_>, Vec<_>) = pairs.chain(NAME_STEMS.map(|it| (it, RULES.len()))).unzip();
    let search = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        .build(words)
        .expect("the keywords are few and short");
    (search, rules)
});

/// Finds secrets of a known form, and says whether the text has a word of [`NAME_STEMS`].
pub(super) fn scan(text: &str, spans: &mut Vec<Span>) -> bool {
    let (search, rules) = &*KEYWORDS;
    let mut wanted = 0_u64;
    for found in search.find_overlapping_iter(text) {
        wanted |= 1 << rules[found.pattern().as_usize()];
    }
    let rules = RULES.iter().enumerate().filter(|(at, _)| wanted & (1 << at) != 0);
    rules.for_each(|(_, it)| it.scan(text, spans));
    wanted & (1 << RULES.len()) != 0
}

/// Longest stretch between the start of a match and the secret in it, in bytes.
const PREFIX_MAX: usize = 128;

impl Rule {
    /// Each byte is looked at a bounded number of times, whatever the text: see [`Rule::after`].
    fn scan(&self, text: &str, spans: &mut Vec<Span>) {
        let pattern = self.compiled.get_or_init(|| self.compile());
        let bytes = text.as_bytes();
        let mut from = 0;
        while let Some(found) = pattern.captures_at(bytes, from) {
            let whole = found.get(0).map_or(from..bytes.len(), |it| it.range());
            let secret = found.get(1).map_or(whole.clone(), |it| it.range());
            worked(whole.end - from);
            let holds = self.limit.holds(bytes, &secret);
            if holds && !is_marked(&String::from_utf8_lossy(&bytes[secret.clone()])) {
                spans.push(Span { start: secret.start, end: secret.end, kind: self.kind });
            }
            from = if holds { whole.end.max(from + 1) } else { self.after(&whole, &secret) };
            if from >= bytes.len() {
                return;
            }
        }
        worked(bytes.len() - from);
    }

    /// Where to go on after a match that does not hold: it may hide one that starts within it. A short match is looked at
    /// again from its second byte. A long secret ends where its run of characters ends, and so does every other that starts
    /// in the run: those hold no more than it does, unless the run ends within what stands before a secret.
    fn after(&self, whole: &Range<usize>, secret: &Range<usize>) -> usize {
        match (self.is_bounded(), self.has_group()) {
            (true, _) => whole.start + 1,
            (false, false) => whole.end,
            (false, true) => secret.end.saturating_sub(PREFIX_MAX).max(secret.start).max(whole.start + 1),
        }
    }

    /// The start of a long secret is looked for, not looked at afterwards: else every keyword in a long run would have the
    /// rest of the run looked at.
    fn compile(&self) -> Regex {
        let at_start = !self.has_group()
            && !self.is_bounded()
            && matches!(self.limit, Limit::Start | Limit::Both | Limit::Random);
        let pattern = match at_start {
            true => format!(r"(?:\A|[^0-9A-Za-z])({})", self.pattern),
            false => self.pattern.to_owned(),
        };
        RegexBuilder::new(&pattern).unicode(false).build().expect("every pattern is compiled by a test")
    }

    /// Whether no match is longer than a few hundred bytes.
    fn is_bounded(&self) -> bool {
        [",}", "]*", "]+"].iter().all(|it| !self.pattern.contains(it))
    }

    fn has_group(&self) -> bool {
        self.pattern.split('(').skip(1).any(|it| !it.starts_with('?'))
    }
}

impl Limit {
    fn holds(self, bytes: &[u8], secret: &Range<usize>) -> bool {
        let word = |it: Option<&u8>| it.is_some_and(u8::is_ascii_alphanumeric);
        let start = !word(secret.start.checked_sub(1).and_then(|it| bytes.get(it)));
        let end = !word(bytes.get(secret.end)) && !matches!(bytes.get(secret.end), Some(b'/' | b'+'));
        let value = &bytes[secret.clone()];
        let has = |class: fn(&u8) -> bool| value.iter().any(class);
        let upper_and_digit = has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit);
        match self {
            Limit::None => true,
            Limit::Start => start,
            Limit::Both => start && end,
            Limit::Mixed => start && end && upper_and_digit && has(u8::is_ascii_lowercase),
            Limit::Random => start && (upper_and_digit || value.len() >= 24 && has(u8::is_ascii_digit)),
            Limit::Real => !is_placeholder(&String::from_utf8_lossy(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles_and_the_rules_fit_a_word() {
        assert!(RULES.len() < 64);
        for rule in &RULES {
            let groups = RegexBuilder::new(rule.pattern).unicode(false).build().map(|it| it.captures_len());
            assert_eq!(groups.ok(), Some(if rule.has_group() { 2 } else { 1 }), "{}", rule.pattern);
            assert!(rule.compile().captures_len() <= 2, "{}", rule.pattern);
            // What is repeated without end is the secret: what stands before it has no more than PREFIX_MAX bytes.
            let before =
                if rule.has_group() { rule.pattern.rsplit_once('(').map_or("", |it| it.0) } else { "" };
            let is_url = before.contains("://");
            let is_bounded = ["]*", "]+", ",}"].iter().all(|it| !before.contains(it));
            assert!(rule.limit == Limit::None || is_url || is_bounded, "{}", rule.pattern);
        }
    }
}
