//! Which lines of which files does a stack trace name? Python, Java, Kotlin, JavaScript, TypeScript, Go, Rust, Ruby, C#,
//! PHP, and whatever else writes `path:line`.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use regex::{Captures, Regex};

/// A place in a stack trace, in the words of whoever ran the program.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Frame {
    /// With plain slashes.
    pub(crate) path: String,
    pub(crate) line: u64,
}

/// What a text names.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    pub(crate) frames: Vec<Frame>,
    /// How many more there are.
    pub(crate) more: u64,
    /// Lines too long to be a frame.
    pub(crate) long_lines: u64,
}

/// What a frame's path means in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meant {
    File(String),
    /// Several files end like it.
    Unsure(Vec<String>),
    /// A library, the runtime, or another repository.
    Outside,
}

/// Frames of one trace.
pub(crate) const FRAMES_MAX: usize = 200;
const LINE_BYTES_MAX: usize = 2_000;
const UNSURE_SHOWN: usize = 3;
/// Folders whose content is not this repository's, unless it has the very path.
const OUTSIDE: [&str; 12] = [
    "site-packages",
    "dist-packages",
    "node_modules",
    "gems",
    "registry",
    "rustc",
    "mod",
    "internal",
    "java.base",
    "vendor",
    "lib",
    "toolchains",
];

/// The forms, the surest first. Each has `path` and `line`; Java has `class` too.
static FORMS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        r#"File "(?P<path>[^"]+)", line (?P<line>\d+)"#,
        r"\bin (?P<path>[^:]+(?::[\\/][^:]*)?):line (?P<line>\d+)",
        r"(?P<class>[\w$.]+)\.[\w$<>]+\((?P<path>[\w$-]+\.(?:java|kt|kts|scala|groovy|clj)):(?P<line>\d+)\)",
        r"(?P<path>[\w@.+/\\: -]*[\w+-]\.php)(?:\(|:| on line )(?P<line>\d+)",
        r"(?P<path>(?:[A-Za-z]:[\\/])?[\w@.+~$\[\]/\\-]*[\w\]]\.[A-Za-z][A-Za-z0-9]{0,9}):(?P<line>\d+)",
    ]
    .iter()
    .map(|it| Regex::new(it).expect("a constant that a test compiles"))
    .collect()
});

/// The frames of a text, as they stand, each once.
pub(crate) fn frames(text: &str) -> Frames {
    let mut found = Frames::default();
    let mut seen: HashSet<Frame> = HashSet::new();
    for line in text.lines() {
        if line.len() > LINE_BYTES_MAX {
            found.long_lines += 1;
            continue;
        }
        let captured = FORMS.iter().find_map(|it| it.captures(line));
        let Some(frame) = captured.and_then(|it| frame(&it)) else { continue };
        if !seen.insert(frame.clone()) {
            continue;
        }
        match found.frames.len() < FRAMES_MAX {
            true => found.frames.push(frame),
            false => found.more += 1,
        }
    }
    found
}

fn frame(captures: &Captures<'_>) -> Option<Frame> {
    let line = captures.name("line")?.as_str().parse().ok().filter(|it| *it > 0)?;
    let path = captures.name("path")?.as_str().trim().replace('\\', "/");
    let path = match captures.name("class") {
        // `com.acme.Cart$Line` stands in `com/acme/`, in the file that the frame names.
        Some(class) => match class.as_str().rsplit_once('.') {
            Some((package, _)) => format!("{}/{path}", package.replace('.', "/")),
            None => path,
        },
        None => path,
    };
    let path = path.rsplit_once("://").map_or(path.as_str(), |it| it.1);
    let components: Vec<&str> = path.split('/').filter(|it| !matches!(*it, "" | "." | "..")).collect();
    Some(Frame { path: components.join("/"), line }).filter(|it| !it.path.is_empty())
}

/// Files of a repository by their names.
pub(crate) struct Known {
    by_name: HashMap<String, Vec<String>>,
}

impl Known {
    pub(crate) fn of(paths: impl Iterator<Item = String>) -> Known {
        let mut by_name: HashMap<String, Vec<String>> = HashMap::new();
        for path in paths {
            by_name.entry(name_of(&path).to_owned()).or_default().push(path);
        }
        Known { by_name }
    }

    /// The file that ends most like the frame's path. One shared name is enough only where one of the two is no more
    /// than that name, or all of it.
    pub(crate) fn meant(&self, path: &str) -> Meant {
        let wanted: Vec<&str> = path.split('/').collect();
        let shared =
            |file: &str| file.rsplit('/').zip(wanted.iter().rev()).take_while(|(a, b)| a == *b).count();
        let is_outside = wanted.iter().any(|it| OUTSIDE.contains(it));
        let enough = |file: &&String| {
            let (shared, length) = (shared(file), file.split('/').count());
            let is_whole = shared == length || shared == wanted.len();
            (is_whole && (!is_outside || shared > 1)) || (shared > 1 && !is_outside)
        };
        let files: Vec<&String> =
            self.by_name.get(name_of(path)).into_iter().flatten().filter(enough).collect();
        let most = files.iter().map(|it| shared(it)).max().unwrap_or(0);
        let mut best: Vec<String> = files.into_iter().filter(|it| shared(it) == most).cloned().collect();
        best.sort();
        match best.as_slice() {
            [] => Meant::Outside,
            [only] => Meant::File(only.clone()),
            _ => {
                best.truncate(UNSURE_SHOWN);
                Meant::Unsure(best)
            }
        }
    }
}

/// The last component.
pub(crate) fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_of_the_usual_languages_are_read() {
        for (text, path, line) in [
            ("  File \"/app/shop/pay.py\", line 42, in pay", "app/shop/pay.py", 42),
            ("\tat com.acme.pay.Cart$Line.total(Cart.java:120)", "com/acme/pay/Cart.java", 120),
            ("\tat app//com.acme.MainKt.main(Main.kt:7)", "com/acme/Main.kt", 7),
            ("    at Object.pay (/app/src/pay.ts:12:5)", "app/src/pay.ts", 12),
            ("    at async file:///app/src/pay.mjs:12:5", "app/src/pay.mjs", 12),
            ("    at webpack-internal:///./src/pay.tsx:3:1", "src/pay.tsx", 3),
            ("pay@https://shop.example.com/static/pay.js:12:5", "shop.example.com/static/pay.js", 12),
            ("\t/go/src/shop/pay/main.go:42 +0x1d", "go/src/shop/pay/main.go", 42),
            ("   3: shop::pay\n             at ./src/pay.rs:10:5", "src/pay.rs", 10),
            ("thread 'main' panicked at src/pay.rs:10:5:", "src/pay.rs", 10),
            ("app/models/cart.rb:12:in `total'", "app/models/cart.rb", 12),
            ("\tfrom /srv/app/models/cart.rb:12:in 'Cart#total'", "srv/app/models/cart.rb", 12),
            ("   at Shop.Pay.Total(Int32 n) in C:\\src\\Shop\\Pay.cs:line 42", "C:/src/Shop/Pay.cs", 42),
            ("   at Shop.Pay.Total() in /src/Shop/Pay.cs:line 42", "src/Shop/Pay.cs", 42),
            ("#0 /var/www/app/Pay.php(42): Shop\\Pay->total()", "var/www/app/Pay.php", 42),
            ("PHP Fatal error: x in /var/www/app/Pay.php on line 42", "x in /var/www/app/Pay.php", 42),
            ("src/pay.rs:7", "src/pay.rs", 7),
        ] {
            let found = frames(text).frames;
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            let ends = path.rsplit(' ').next().unwrap_or(path).trim_start_matches('/');
            assert!(found[0].path.ends_with(ends) && found[0].line == line, "{text}: {found:?}");
        }
        for text in ["", "at 12:30:15 it failed", "ValueError: bad", "goroutine 1 [running]:", "x.rs:0"] {
            assert!(frames(text).frames.is_empty(), "{text}");
        }
        assert_eq!(frames("a.rs:1\na.rs:1\na.rs:2").frames.len(), 2);
        let many: String = (1..=230).map(|it| format!("a.rs:{it}\na.rs:{it}\n")).collect();
        let found = frames(&format!("{many}{} a.rs:7\n", "x".repeat(LINE_BYTES_MAX)));
        assert_eq!((found.frames.len(), found.more, found.long_lines), (200, 30, 1));
    }

    #[test]
    fn a_frame_means_the_file_that_ends_most_like_it() {
        let files = [
            "src/main/java/com/acme/Cart.java",
            "pay.py",
            "shop/pay.py",
            "a/x.go",
            "b/x.go",
            "src/decoder.py",
        ];
        let known = Known::of(files.iter().map(|it| (*it).to_owned()));
        let file = |it: &str| Meant::File(it.to_owned());
        assert_eq!(known.meant("com/acme/Cart.java"), file("src/main/java/com/acme/Cart.java"));
        assert_eq!(known.meant("app/shop/pay.py"), file("shop/pay.py"));
        assert_eq!(known.meant("app/pay.py"), file("pay.py"));
        assert_eq!(known.meant("go/src/b/x.go"), file("b/x.go"));
        assert_eq!(known.meant("x.go"), Meant::Unsure(vec!["a/x.go".into(), "b/x.go".into()]));
        assert_eq!(known.meant("usr/lib/python3/json/decoder.py"), Meant::Outside);
        assert_eq!(known.meant("app/node_modules/x/pay.py"), Meant::Outside);
        assert_eq!(known.meant("nothing.py"), Meant::Outside);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_harm(text in "[ -~\n\t]{0,200}") {
            for frame in frames(&text).frames {
                prop_assert!(frame.line > 0 && !frame.path.is_empty() && !frame.path.split('/').any(|it| it == ".."));
            }
        }
    }
}
