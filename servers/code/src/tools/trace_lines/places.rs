//! Which lines of which files are asked for, as the revision has them?

use std::collections::BTreeMap;

use gix::bstr::ByteSlice;
use tool::ToolError;

use crate::{
    arguments::{LineRange, RepositoryPath},
    backends::{Asked, Found, KIND, Opened, Resolved, Stop, is_binary},
    closed,
    frames::{self, Frames, Known, Meant},
    tools::clip,
};

/// Lines to trace.
pub(super) struct Places {
    pub(super) asked: Vec<Asked>,
    /// For each file asked for, what it holds.
    pub(super) contents: Vec<Vec<u8>>,
    /// How many a trace has.
    pub(super) frames: Option<u64>,
    pub(super) not_looked_at: Vec<String>,
}

/// Lines of one call.
const LINES_MAX: u64 = 1_000;
const BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Frames named one by one among those that were not traced.
const NAMED_MAX: usize = 5;
const PATH_MAX: usize = 120;

impl Places {
    /// Lines of one file.
    pub(super) fn of_lines(
        opened: &Opened<'_>,
        at: &Resolved,
        path: &RepositoryPath,
        lines: LineRange,
        stop: &Stop,
    ) -> Result<Places, ToolError> {
        let invalid = |problem| ToolError::Invalid { argument: "at", problem };
        let path = path.text();
        if let Some(rule) = closed::by_name(path) {
            return Err(rule.refuse(path));
        }
        let entry = match opened.find(at.tree, path)? {
            Found::File(entry) => entry,
            Found::Nothing => {
                let suggestions = opened.near_files(at.tree, path, stop);
                let name = format!("{path} at {}", opened.short(at.commit));
                return Err(ToolError::NotFound { kind: KIND, name, suggestions });
            }
            _ => return Err(invalid(format!("`{path}` is no plain file; name a file and its lines"))),
        };
        if entry.size_bytes > BYTES_MAX {
            let problem =
                format!("`{path}` is {} bytes; lines of at most {BYTES_MAX} are traced", entry.size_bytes);
            return Err(ToolError::TooCostly { problem, next: None });
        }
        let content = opened.content(Some(entry.id))?;
        if let Some(rule) = closed::by_content(path, &content) {
            return Err(rule.refuse(path));
        }
        let seen = count(&content);
        if is_binary(&content) || lines.first > seen {
            return Err(invalid(format!(
                "`{}` is beyond the end; `{path}` has {seen} lines of text",
                lines.first
            )));
        }
        let last = lines.last.min(seen).min(lines.first + LINES_MAX - 1);
        let mut not_looked_at = Vec::new();
        if last < lines.last.min(seen) {
            not_looked_at.push(format!("lines after {last}: at most {LINES_MAX} are traced at once"));
        }
        let asked = Asked { path: path.to_owned(), lines: (lines.first..=last).collect() };
        Ok(Places { asked: vec![asked], contents: vec![content], frames: None, not_looked_at })
    }

    /// The lines that a stack trace names.
    pub(super) fn of_trace(
        opened: &Opened<'_>,
        at: &Resolved,
        text: &str,
        stop: &Stop,
    ) -> Result<Places, ToolError> {
        let Frames { frames, more, long_lines } = frames::frames(text);
        if frames.is_empty() {
            let problem =
                "no `path:line` and no frame of a stack trace was found in it; write `src/pay.rs:120`";
            return Err(ToolError::Invalid { argument: "at", problem: problem.to_owned() });
        }
        let is_named = |path: &str| {
            let name = frames::name_of(path);
            frames.iter().any(|it| frames::name_of(&it.path) == name)
        };
        let listed = opened.files(at.tree, stop, is_named);
        let known = Known::of(listed.files.iter().map(|it| it.path.to_str_lossy().into_owned()));
        let mut wanted: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        let (mut outside, mut not_looked_at) = (Vec::new(), Vec::new());
        for frame in &frames {
            match known.meant(&frame.path) {
                Meant::File(path) => wanted.entry(path).or_default().push(frame.line),
                Meant::Unsure(paths) => not_looked_at.push(format!(
                    "{}:{}: it may be {}; ask for one of them",
                    clip(&frame.path, PATH_MAX),
                    frame.line,
                    clip(&paths.join(" or "), 2 * PATH_MAX)
                )),
                Meant::Outside => outside.push(format!("{}:{}", clip(&frame.path, PATH_MAX), frame.line)),
            }
        }
        for (count, what) in [
            (more, "frames after those that are traced"),
            (long_lines, "lines of the trace, too long for a frame"),
        ] {
            if count > 0 {
                not_looked_at.push(format!("{count} {what}"));
            }
        }
        if let Some(why) = listed.left {
            not_looked_at.push(format!("some files: {why}"));
        }
        if !outside.is_empty() {
            let more = outside.len().saturating_sub(NAMED_MAX);
            let count = outside.len();
            outside.truncate(NAMED_MAX);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            not_looked_at.push(format!(
                "{count} frames of files that this revision does not have: {}{more}",
                outside.join(", ")
            ));
        }
        let mut places = Places {
            asked: Vec::new(),
            contents: Vec::new(),
            frames: Some(frames.len() as u64),
            not_looked_at,
        };
        wanted.into_iter().try_for_each(|(path, lines)| places.add(opened, at, path, lines))?;
        Ok(places)
    }

    /// Adds lines of a file, or says why not.
    fn add(
        &mut self,
        opened: &Opened<'_>,
        at: &Resolved,
        path: String,
        mut lines: Vec<u64>,
    ) -> Result<(), ToolError> {
        let Found::File(entry) = opened.find(at.tree, &path)? else { return Ok(()) };
        let is_closed = closed::by_name(&path).is_some();
        let content = if is_closed || entry.size_bytes > BYTES_MAX {
            Vec::new()
        } else {
            opened.content(Some(entry.id))?
        };
        if is_closed || closed::by_content(&path, &content).is_some() {
            self.not_looked_at.push(format!("{}: a secret file: closed to everyone", clip(&path, PATH_MAX)));
            return Ok(());
        }
        let seen = count(&content);
        let all = lines.len();
        lines.retain(|it| *it <= seen);
        lines.sort_unstable();
        lines.dedup();
        if lines.len() < all {
            let path = clip(&path, PATH_MAX);
            self.not_looked_at
                .push(format!("{path}: it has {seen} lines at this revision; name the `revision` that ran"));
        }
        if !lines.is_empty() {
            self.asked.push(Asked { path, lines });
            self.contents.push(content);
        }
        Ok(())
    }
}

/// Lines of a text.
fn count(content: &[u8]) -> u64 {
    let ends = memchr::memchr_iter(b'\n', content).count() as u64;
    ends + u64::from(content.last().is_some_and(|it| *it != b'\n'))
}
