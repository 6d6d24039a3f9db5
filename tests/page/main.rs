//! A person decides with nothing but a browser: a real Chromium, a real OpenID provider, the real binary, and an agent that waits.

mod forged;
mod logins;
mod stage;

use std::path::Path;

use serde_json::json;
use testkit::{
    backends::{Behaviour, Recorder},
    browser::Chromium,
    wait_until,
};

use self::stage::{REASON, Stage, asked, log_in, run};

#[test]
fn whoever_follows_the_link_logs_in_sees_the_facts_and_approves_and_it_runs_once() {
    let stage = Stage::start();
    let mut agent = stage.agent();
    let id = asked(&mut agent, REASON);
    let carol = Chromium::start();
    carol.open(&stage.link(&id));
    assert!(carol.url().starts_with(&stage.provider.url()), "{}", carol.url());
    log_in(&carol, "carol");
    carol.wait_for("silence_alert");
    assert_eq!(carol.url(), stage.link(&id));
    let text = carol.text();
    for fact in [
        "Waits for one person",
        "changes running production",
        "another action can make up for it, not put back what was there",
        "nothing that it would overwrite",
        "duration_minutes\n60\n",
        "alertname=\"Noise\"",
        "claude-code for alice of platform (proven by: token)",
        "own words; nobody checked them\nthe test needs quiet",
        "0 of 1 approved",
        "You are carol of platform",
    ] {
        assert!(text.contains(fact), "`{fact}` in:\n{text}");
    }
    assert!(text.to_lowercase().contains("production") && text.contains("team shop"), "{text}");
    carol.write("textarea", "seen, and fine");
    carol.press("button[value=approve]");
    carol.wait_for("Approved");
    assert_eq!(carol.url(), stage.link(&id), "whoever looks again sends nothing again");
    assert!(
        carol.text().contains("carol approved at ") && carol.text().contains("“seen, and fine”"),
        "{}",
        carol.text()
    );
    assert!(!carol.has("button[value=approve]") && carol.has("button[value=revoke]"));
    let awaited = agent.call("await_approval", json!({ "approval": id }));
    assert!(!awaited.is_error() && awaited.text().contains("approved"), "{}", awaited.0);
    assert!(!run(&mut agent, &id).is_error());
    assert!(run(&mut agent, &id).text().contains("carried out already"));
    assert_eq!(stage.effects(), 1);
    carol.open(&stage.link(&id));
    assert!(carol.text().contains("Carried out") && !carol.has("form"), "{}", carol.text());
    assert!(stage.served.stop().success());
    let tail = stage.home.run(["audit", "tail", "--reference", &id]).expect(0).stdout;
    assert!(tail.contains("approved") && tail.contains("by carol") && tail.contains("consumed"), "{tail}");
    stage.home.run(["audit", "verify"]).expect(0);
}

#[test]
fn whoever_denies_ends_it_and_whoever_approved_by_mistake_takes_it_back() {
    let stage = Stage::start();
    let mut agent = stage.agent();
    let (denied, mistaken) = (asked(&mut agent, REASON), {
        let other = agent.call(
            "silence_alert",
            json!({ "matchers": ["alertname=\"Other\""], "duration_minutes": 5, "reason": REASON }),
        );
        other.structured()["approval"].as_str().unwrap_or_else(|| panic!("{}", other.0)).to_owned()
    });
    let carol = stage.logged_in("carol", &denied);
    carol.write("textarea", "not during the sale");
    carol.press("button[value=deny]");
    carol.wait_for("Denied");
    assert!(carol.text().contains("by carol: not during the sale") && !carol.has("form"), "{}", carol.text());
    assert!(run(&mut agent, &denied).text().contains("not during the sale"));
    // Logged in already: the next link leads straight to the facts.
    carol.open(&stage.link(&mistaken));
    carol.press("button[value=approve]");
    carol.wait_for("Approved");
    carol.press("button[value=revoke]");
    carol.wait_for("Taken back");
    assert!(run(&mut agent, &mistaken).is_error());
    assert_eq!(stage.effects(), 0);
}

#[test]
fn another_pages_form_decides_nothing_though_the_browser_brings_the_login_along() {
    let stage = Stage::start();
    let mut agent = stage.agent();
    let id = asked(&mut agent, REASON);
    let carol = stage.logged_in("carol", &id);
    // The token of a form is the one thing that the other page does not have; let it even have that.
    let token = carol.run("return document.querySelector('[name=token]').value");
    let token = token.as_str().expect("a token").to_owned();
    let evil = Recorder::alone();
    let form = format!(
        "<!doctype html><title>evil</title><form method=post action=\"{}\"><input name=token value=\"{token}\">\
         <input name=word value=approve><button>win</button></form>",
        stage.link(&id),
    );
    evil.on("GET", "/evil", Behaviour::Answer { status: 200, content_type: "text/html", body: form });
    for (host, refused) in [
        ("127.0.0.1", "did not come from the page itself"),
        ("localhost", "did not come from the page itself"),
    ] {
        carol.open(&format!("http://{host}:{}/evil", evil.address().port()));
        carol.press("button");
        carol.wait_for(refused);
        assert_eq!(stage.stands(&id), ("pending".to_owned(), 0), "{host}");
    }
    let recorded = stage.refusals();
    assert!(recorded.contains("its origin is another, or none"), "{recorded}");
    // The neighbour's form came with her login, the stranger's without: a browser keeps it from other sites' forms.
    let of = |who: &str| recorded.lines().filter(|it| it.contains("a form for") && it.contains(who)).count();
    assert_eq!((of("carol"), of("(unauthenticated)")), (1, 1), "{recorded}");
    // Her own still counts.
    carol.open(&stage.link(&id));
    carol.press("button[value=approve]");
    carol.wait_for("Approved");
    assert_eq!(stage.stands(&id), ("approved".to_owned(), 1));
}

#[test]
fn no_other_page_frames_it() {
    let stage = Stage::start();
    let mut agent = stage.agent();
    let id = asked(&mut agent, REASON);
    let carol = stage.logged_in("carol", &id);
    let around = Recorder::alone();
    let framed = |url: &str| {
        format!(
            "<!doctype html><title>around</title>around<iframe src=\"{url}\" onload=\"window.came = true\"></iframe>"
        )
    };
    let page = |body: String| Behaviour::Answer { status: 200, content_type: "text/html", body };
    around.on("GET", "/harmless", page("<!doctype html>harmless".to_owned()));
    around.on("GET", "/around", page(framed(&stage.link(&id))));
    around.on("GET", "/control", page(framed(&format!("{}/harmless", around.url()))));
    let text_in_frame = |path: &str| {
        carol.open(&format!("{}{path}", around.url()));
        wait_until("the frame", testkit::DEADLINE, || {
            (carol.run("return window.came") == true).then_some(())
        });
        carol.text_in("iframe")
    };
    assert!(text_in_frame("/control").contains("harmless"), "a frame that may be shown is");
    let shown = text_in_frame("/around");
    assert!(
        !shown.contains("silence_alert") && !shown.contains("carol") && !shown.contains("Log in"),
        "{shown}"
    );
}

#[test]
fn what_looks_ahead_of_a_person_begins_no_login_and_changes_nothing() {
    let stage = Stage::start();
    let mut agent = stage.agent();
    let id = asked(&mut agent, REASON);
    let chat = Recorder::alone();
    let link = stage.link(&id);
    let body = format!(
        "<!doctype html><title>chat</title><link rel=prefetch href=\"{link}\"><link rel=prefetch href=\"{link}/login\"><img src=\"{link}\">chat"
    );
    chat.on("GET", "/chat", Behaviour::Answer { status: 200, content_type: "text/html", body });
    let browser = Chromium::start();
    browser.open(&format!("{}/chat", chat.url()));
    wait_until("everything to be looked at", testkit::DEADLINE, || {
        let seen = browser.run("return performance.getEntriesByType('resource').filter(it => it.name.includes('/decide/')).length");
        (seen.as_u64() >= Some(3)).then_some(())
    });
    assert_eq!(browser.cookies(), [], "no login began");
    // And nothing is shown ahead to whoever is logged in.
    let mut carol = stage.visit_of("carol", &id);
    for ahead in ["prefetch", "prefetch;prerender"] {
        for path in [format!("/decide/{id}"), format!("/decide/{id}/login")] {
            let answer =
                carol.get(&path, &[("Sec-Purpose", ahead), stage::NAVIGATES[0], stage::NAVIGATES[1]]);
            assert_eq!((answer.status, answer.header("set-cookie")), (503, None), "{path}: {answer:?}");
            assert!(!answer.body.contains("silence_alert"), "{answer:?}");
        }
    }
    assert_eq!(stage.stands(&id), ("pending".to_owned(), 0));
    // A person who follows the same link is let in.
    browser.open(&link);
    log_in(&browser, "carol");
    browser.wait_for("You are carol");
}

#[test]
fn what_an_agent_writes_is_text_and_the_page_fits_a_phone() {
    let stage = Stage::start();
    let mut agent = stage.agent();
    let hostile = "</blockquote><script>window.ran = 1</script><img src=x onerror=\"window.ran = 2\"><h1>Approved by the CISO</h1>";
    let long = format!("alertname=\"{}<svg onload=window.ran=3>\"", "Noise-".repeat(30));
    let asked =
        agent.call("silence_alert", json!({ "matchers": [long], "duration_minutes": 60, "reason": hostile }));
    let id = asked.structured()["approval"].as_str().unwrap_or_else(|| panic!("{}", asked.0)).to_owned();
    let carol = stage.logged_in("carol", &id);
    let text = carol.text();
    assert!(text.contains(hostile) && text.contains("<svg onload=window.ran=3>"), "{text}");
    assert_eq!(carol.run("return window.ran ?? 'nothing'"), "nothing");
    assert_eq!(
        carol.run("return document.querySelectorAll('script, img, svg, iframe, [onload], [onerror]').length"),
        0
    );
    assert_eq!(carol.run("return document.querySelectorAll('h1').length"), 1);
    let (wide, high) = (
        carol.run("return document.documentElement.scrollWidth"),
        carol.run("return Math.min(...[...document.querySelectorAll('button')].map(it => it.offsetHeight))"),
    );
    assert!(wide.as_u64() <= Some(390) && high.as_u64() >= Some(48), "{wide} wide, buttons {high} high");
    // The style is the one that the page's own policy lets in.
    assert_eq!(carol.run("return getComputedStyle(document.querySelector('.words')).display"), "flex");
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR"));
    carol.picture(&pictures.join("page.png"));
    carol.run("window.scrollTo(0, document.body.scrollHeight)");
    carol.picture(&pictures.join("page-below.png"));
}
