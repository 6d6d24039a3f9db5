//! What was committed before anything went wrong, and beside it?
//!
//! Made backwards: from what stands there now, line by line, to what stood there months ago. So every commit is a real
//! difference, and the last of them is the repository that the world's changes start from.

use std::{collections::BTreeMap, iter::Peekable, vec::IntoIter};

use jiff::{SignedDuration, Timestamp};

use super::{CHORES, OLDER, Step, material};
use crate::{Person, World, random::Draw};

/// Everything that is not a change of the world, oldest first.
pub(super) fn up_to_now(world: &World) -> Peekable<IntoIter<Step>> {
    let seed = world.plan().seed();
    let mut texts = material::around(world);
    let people = People::of(world);
    let draw = Draw::of(seed, "commits");
    let mut steps = Vec::new();
    // Beside the world's changes only what none of them touches is changed, so that their edits apply.
    let (from, to) = (world.plan().from(), world.plan().to());
    let stretch = (to.as_second() - from.as_second()) as f64 / (CHORES + 1) as f64;
    for number in 0..CHORES {
        let mut draw = draw.at(number as u64);
        let back = (number as f64 + draw.between(0.3, 1.3)) * stretch;
        let at = to - SignedDuration::from_secs(back as i64);
        steps.extend(step_back(&mut texts, &people, draw, at, material::is_aside));
    }
    let repository = world.repository();
    texts.extend(repository);
    let mut at = from;
    for number in 0..OLDER {
        let mut draw = draw.at(1_000 + number as u64);
        at -= SignedDuration::from_secs((draw.between(0.2, 14.0) * 3_600.0) as i64);
        steps.extend(step_back(&mut texts, &people, draw, at, |_| true));
    }
    steps.push(Step {
        at: at - SignedDuration::from_hours(30),
        author: people.anybody(&mut draw.at(9_999_u64)),
        message: "Bring the services into one repository\n".to_owned(),
        writes: texts.into_iter().map(|(path, text)| (path, Some(text))).collect(),
    });
    steps.sort_by_key(|it| it.at);
    steps.into_iter().peekable()
}

/// One commit less: what stood in one of the files before it, and the commit that made it what it is.
fn step_back(
    texts: &mut BTreeMap<String, String>,
    people: &People,
    mut draw: Draw,
    at: Timestamp,
    may: impl Fn(&str) -> bool,
) -> Option<Step> {
    let paths: Vec<&String> = texts.keys().filter(|it| may(it)).collect();
    // Not every file has a line that could have been another.
    for _ in 0..8 {
        let path = (*draw.one_of(&paths)).clone();
        let text = &texts[&path];
        let Some((older, subject)) = older(&path, text, &mut draw) else { continue };
        let author = people.of_path(&path, &mut draw);
        let newer = texts.insert(path.clone(), older)?;
        let step = Step { at, author, message: format!("{subject}\n"), writes: vec![(path, Some(newer))] };
        return Some(step);
    }
    None
}

/// An older text of a file, and what a commit that made the newer one of it would be called.
fn older(path: &str, text: &str, draw: &mut Draw) -> Option<(String, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let start = draw.whole(0, lines.len() as u64) as usize;
    let near = (0..lines.len()).map(|it| (start + it) % lines.len());
    let place = place(path);
    for at in near {
        let line = lines[at];
        if let Some((key, was, is)) = other_setting(line, draw) {
            let word = if was < is { "Raise" } else { "Lower" };
            let before = line.replacen(&is.to_string(), &was.to_string(), 1);
            let subject = format!("{place}: {} {key} from {was} to {is}", word.to_lowercase());
            return Some((replaced(&lines, at, Some(&before)), subject));
        }
        if is_remark(line) && lines.len() > 4 {
            let subject = match path.ends_with(".md") {
                true => format!("{place}: say {}", start_of(line)),
                false => format!("{place}: explain {}", start_of(line)),
            };
            return Some((replaced(&lines, at, None), subject));
        }
    }
    None
}

/// For a line that sets a number: the setting's name, a number that it may have had, and the one that it has.
fn other_setting(line: &str, draw: &mut Draw) -> Option<(String, u64, u64)> {
    let (key, value) = line.split_once(": ").or_else(|| line.split_once(" = "))?;
    let key = key.trim().trim_matches('"');
    let is_name = !key.is_empty() && key.chars().all(|it| it.is_ascii_alphanumeric() || "_-.".contains(it));
    let digits: String = value.trim_start_matches('"').chars().take_while(char::is_ascii_digit).collect();
    // A version or a date is no setting, and what stands twice in a line cannot be told apart.
    let rest = value.trim_start_matches('"').get(digits.len()..).unwrap_or_default();
    let is_plain = !rest.starts_with(['.', '-', ':']) && line.matches(&digits).count() == 1;
    let known = ["version", "port", "apiVersion", "tier"];
    if !is_name || digits.is_empty() || !is_plain || known.contains(&key) {
        return None;
    }
    let is: u64 = digits.parse().ok().filter(|it| (2..100_000).contains(it))?;
    let was = (is as f64 * draw.between(0.5, 1.8)).round() as u64;
    (was != is && was > 0).then(|| (key.to_owned(), was, is))
}

/// Whether a line only explains, so that the file stands without it.
fn is_remark(line: &str) -> bool {
    let line = line.trim_start();
    ["// ", "# ", "-- ", "- "].iter().any(|it| line.starts_with(it)) && line.len() > 24
}

/// The first words of a remark, as a subject line has them.
fn start_of(line: &str) -> String {
    let words = line.trim_start_matches(|it: char| !it.is_alphanumeric()).split_whitespace();
    let words: Vec<&str> = words.take(6).collect();
    let text = words.join(" ");
    let text = text.trim_end_matches(|it: char| !it.is_alphanumeric());
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |it| it.to_lowercase().collect::<String>() + letters.as_str())
}

fn replaced(lines: &[&str], at: usize, with: Option<&str>) -> String {
    let line = |(index, line): (usize, &&str)| match index == at {
        true => with.map(|it| format!("{it}\n")),
        false => Some(format!("{line}\n")),
    };
    lines.iter().enumerate().filter_map(line).collect()
}

/// What a subject line begins with: the service, or the folder.
fn place(path: &str) -> &str {
    let mut parts = path.split('/');
    match (parts.next(), parts.next()) {
        (Some("services" | "deploy" | "config" | "runbooks"), Some(name)) => {
            name.split('.').next().unwrap_or(name)
        }
        (Some(folder), Some(_)) => folder,
        _ => path.split('.').next().unwrap_or(path),
    }
}

/// Who could have written something.
struct People {
    of_service: BTreeMap<&'static str, Vec<Person>>,
    all: Vec<Person>,
}

impl People {
    /// Owners, and whoever changed something.
    fn of(world: &World) -> People {
        let mut of_team: BTreeMap<&str, Vec<Person>> = BTreeMap::new();
        for service in world.services() {
            of_team.entry(service.team).or_default().push(service.owner);
            let own = world.changes().iter().filter(|it| it.service == service.name);
            of_team.entry(service.team).or_default().extend(own.map(|it| it.author));
        }
        for people in of_team.values_mut() {
            people.sort_by_key(|it| it.email);
            people.dedup();
        }
        let team = |it: &str| of_team.get(it).cloned().unwrap_or_default();
        let of_service = world.services().iter().map(|it| (it.name, team(it.team))).collect();
        let mut all: Vec<Person> = of_team.values().flatten().copied().collect();
        all.sort_by_key(|it| it.email);
        all.dedup();
        People { of_service, all }
    }

    fn of_path(&self, path: &str, draw: &mut Draw) -> Person {
        let name = place(path);
        match self.of_service.get(name) {
            Some(team) if !team.is_empty() => *draw.one_of(team),
            _ => self.anybody(draw),
        }
    }

    fn anybody(&self, draw: &mut Draw) -> Person {
        *draw.one_of(&self.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_had_another_number_and_a_version_is_none() {
        let mut draw = Draw::of(1, "test");
        let (key, was, is) = other_setting("  timeout_ms: 800", &mut draw).expect("a setting");
        assert_eq!((key.as_str(), is), ("timeout_ms", 800));
        assert_ne!(was, is);
        for line in [
            "version: 2",
            "image: shop/cart:v1.2.3",
            "at = 2026-01-01",
            "a: 1.5",
            "if x == 4 {",
            "retries: 1",
        ] {
            assert!(other_setting(line, &mut draw).is_none(), "{line}");
        }
    }

    #[test]
    fn a_remark_can_be_left_out() {
        let text = "a\nb\nc\n// Asked twice, because the first answer may be old.\nd\n";
        let mut draw = Draw::of(1, "test");
        let (before, subject) = older("services/cart/main.go", text, &mut draw).expect("an older one");
        assert_eq!(before, "a\nb\nc\nd\n");
        assert_eq!(subject, "cart: explain asked twice, because the first answer");
    }
}
