//! Which change came just before? Commits that touch what moved first, and what the last of them did.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    agent::Agent,
    moved::Picture,
    table::{cell, clock, rows},
    tell::{Step, Tone},
};
use crate::family::Server;

/// The commit that stands where it moved first, just before it did.
pub(super) struct Suspect {
    pub(super) sha: String,
    pub(super) author: String,
    pub(super) subject: String,
    committed: Timestamp,
}

/// A change shows within this time: it is built, tested, and replaces one pod after the other.
const BEFORE: SignedDuration = SignedDuration::from_mins(45);
/// The first moment out of the ordinary is a scrape or two late, never early.
const AFTER: SignedDuration = SignedDuration::from_mins(2);
const SHOWN: usize = 4;
const FILES_SHOWN: usize = 3;
const LINES_SHOWN: usize = 6;

/// A moment as people write it.
fn whole(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl Suspect {
    pub(super) fn minutes_before(&self, onset: Timestamp) -> i64 {
        onset.duration_since(self.committed).as_mins()
    }
}

impl Agent<'_> {
    /// Step: what changed where it moved first.
    pub(super) async fn which_change(&mut self, picture: &Picture) -> anyhow::Result<Option<Suspect>> {
        let mut step = Step::new("changed", "Which change?");
        let (place, onset) = (&picture.first.place, picture.first.onset);
        let window = format!("{}/{}", whole(onset - BEFORE), whole(onset + AFTER));
        let all = self.read(&mut step, Server::Code, "list_commits", json!({ "window": window })).await?;
        let folder = format!("services/{place}");
        let listed = json!({ "window": window, "path": folder });
        let answer = self.read(&mut step, Server::Code, "list_commits", listed).await?;
        let found = rows(&answer);
        step.line(
            Tone::Fact,
            format!("{} commits in those minutes, {} of them in {folder}", all["seen"], answer["seen"]),
        );
        for row in found.iter().take(SHOWN) {
            let [sha, author, subject, owners] =
                ["sha", "author", "subject", "owners"].map(|it| cell(row, it));
            let at = cell(row, "committed").parse::<Timestamp>().map(clock).unwrap_or_default();
            let size = format!("+{} -{}", cell(row, "added"), cell(row, "removed"));
            step.line(Tone::Key, format!("{at}  {sha}  {author}: {subject}  {size}  {owners}"));
        }
        // Newest first: the last one before it moved.
        let suspect = found.first().map(|row| -> anyhow::Result<Suspect> {
            let committed = cell(row, "committed");
            let committed = committed.parse().map_err(|_| step.broken("a time of commit", &committed))?;
            let [sha, author, subject] = ["sha", "author", "subject"].map(|it| cell(row, it));
            Ok(Suspect { sha, author, subject, committed })
        });
        let suspect = suspect.transpose()?;
        match &suspect {
            Some(it) if self.has("compare_revisions") => self.show_difference(&mut step, it, &folder).await?,
            Some(_) => {}
            None => step.line(Tone::Fact, format!("nothing of ours changed at {place} before it moved")),
        }
        step.found(json!({ "commits": answer["seen"], "suspect": suspect.as_ref().map(|it| &it.sha) }));
        self.teller.tell(step).await?;
        Ok(suspect)
    }

    /// The lines that the commit changed, riskiest file first.
    async fn show_difference(
        &mut self,
        step: &mut Step,
        suspect: &Suspect,
        folder: &str,
    ) -> anyhow::Result<()> {
        let revisions = format!("{0}~1..{0}", suspect.sha);
        let listed = json!({ "revisions": revisions, "path": folder });
        let files = self.read(step, Server::Code, "compare_revisions", listed).await?;
        let paths: Vec<String> =
            rows(&files).iter().map(|it| cell(it, "path")).filter(|it| !it.is_empty()).collect();
        step.expect(!paths.is_empty(), "a file that the commit changed", &files)?;
        let changed = |line: &&str| (line.starts_with('+') || line.starts_with('-')) && line.len() > 1;
        let mut lines = 0;
        for path in paths.iter().take(FILES_SHOWN) {
            let asked = json!({ "revisions": revisions, "path": path });
            let diff = self.read(step, Server::Code, "compare_revisions", asked).await?;
            let text = diff["text"].as_str().unwrap_or_default();
            step.line(Tone::Quiet, path);
            // Each line of the diff stands behind its number.
            let own = text.lines().map(|it| it.trim_start().split_once(' ').map_or(it, |it| it.1));
            for line in own.filter(changed).take(LINES_SHOWN) {
                let tone = if line.starts_with('-') { Tone::Refused } else { Tone::Good };
                step.line(tone, line.replace('\t', "  "));
                lines += 1;
            }
        }
        step.expect(lines > 0, "a line that the commit changed", &files)
    }
}
