//! Who is let in to the page, until when, and in which browser?

use testkit::{DEADLINE, cli::Home, wait_until};

use crate::stage::{NAVIGATES, REASON, Stage, asked};

#[test]
fn a_login_counts_once_and_in_the_browser_in_which_it_began() {
    let stage = Stage::start();
    let id = asked(&mut stage.agent(), REASON);
    let (mut carol, mut thief) = (stage.visit(), stage.visit());
    let callback = carol.until_callback("carol", &id);
    // Another browser, with no login of its own begun and with one.
    assert_eq!(thief.get(&callback, &NAVIGATES).status, 403);
    thief.get(&format!("/decide/{id}"), &NAVIGATES);
    let refused = thief.get(&callback, &NAVIGATES);
    assert!(
        refused.status == 403 && refused.body.contains("no login that began in this browser"),
        "{refused:?}"
    );
    assert!(thief.cookies.is_empty(), "{:?}", thief.cookies);
    // Whoever sends a victim to a login of their own does not get them logged in as somebody else.
    let (state, other) =
        (callback.replace("state=", "state=x"), format!("{callback}&iss=https%3A%2F%2Fevil.example"));
    let begun = carol.cookies.clone();
    for wrong in [state.as_str(), &other, "/decide/callback?error=access_denied", "/decide/callback"] {
        carol.cookies = begun.clone();
        let refused = carol.get(wrong, &NAVIGATES);
        assert!([400, 403].contains(&refused.status) && !is_in(&carol.cookies), "{wrong}: {refused:?}");
    }
    carol.cookies = begun.clone();
    assert_eq!(carol.get(&callback, &NAVIGATES).status, 303);
    assert!(is_in(&carol.cookies), "{:?}", carol.cookies);
    // The same again with everything that was kept: the provider gives nothing for a code that was used.
    let mut again = stage.visit();
    again.cookies = begun;
    let refused = again.get(&callback, &NAVIGATES);
    assert!(refused.status == 403 && !is_in(&again.cookies), "{refused:?}");
    assert!(stage.refusals().contains("invalid_grant"), "{}", stage.refusals());
    // A code of hers under a state of the thief's own: only who began can exchange it.
    let callback = stage.visit().until_callback("carol", &id);
    let own =
        thief.get(&format!("/decide/{id}"), &NAVIGATES).header("location").map(|it| parameter(it, "state"));
    let stolen = callback.replace(&parameter(&callback, "state"), &own.expect("a login begins"));
    let refused = thief.get(&stolen, &NAVIGATES);
    assert!(
        refused.status == 403 && refused.body.contains("invalid_grant") && !is_in(&thief.cookies),
        "{refused:?}"
    );
}

fn parameter(address: &str, name: &str) -> String {
    let (_, rest) = address.split_once(&format!("{name}=")).unwrap_or_else(|| panic!("no {name}: {address}"));
    rest.split('&').next().unwrap_or_default().to_owned()
}

fn is_in(cookies: &[(String, String)]) -> bool {
    cookies.iter().any(|it| it.0 == "bailiwick-page")
}

#[test]
fn whoever_lacks_the_scope_or_is_nobody_is_told_so_and_sees_nothing() {
    let stage = Stage::with(1, "client_id = \"page\"\nscopes = [\"openid\", \"bailiwick:read\"]");
    let id = asked(&mut stage.agent(), REASON);
    let enters = |stage: &Stage, person: &str| {
        let mut visit = stage.visit();
        let callback = visit.until_callback(person, &id);
        let refused = visit.get(&callback, &NAVIGATES);
        assert!(refused.status == 403 && visit.cookies.is_empty(), "{refused:?}");
        refused.body
    };
    let told = enters(&stage, "carol");
    assert!(
        told.contains("does not hold the scope bailiwick:approve") && !told.contains("silence"),
        "{told}"
    );
    assert!(stage.refusals().contains("the token lacks a scope"), "{}", stage.refusals());
    let stage = Stage::start();
    let told = enters(&stage, "nobody");
    assert!(told.contains("names no person"), "{told}");
    assert!(stage.refusals().contains("the token names no person"), "{}", stage.refusals());
}

#[test]
fn a_login_ends_with_its_token_and_what_is_sent_after_it_decides_nothing() {
    let stage = Stage::start();
    let id = asked(&mut stage.agent(), REASON);
    // Its tokens last five minutes, all but some seconds of which have passed then.
    stage.provider.behind(292);
    let mut carol = stage.visit_of("carol", &id);
    let token = carol.token(&id);
    wait_until("the login to end", DEADLINE, || {
        carol.get(&format!("/decide/{id}"), &[]).body.contains("Your login has ended").then_some(())
    });
    let late = carol.posts(&id, &[("token", &token), ("word", "approve")], &[]);
    assert!(late.status == 401 && late.body.contains("nothing was decided"), "{late:?}");
    assert_eq!(stage.stands(&id), ("pending".to_owned(), 0));
}

#[test]
fn whoever_is_logged_in_at_one_replica_is_at_every_other() {
    let stage = Stage::start();
    let id = asked(&mut stage.agent(), REASON);
    let carol = stage.visit_of("carol", &id);
    let other = testkit::remote::Served::start(&stage.home, &["observability"], &[]);
    let (name, value) = carol.cookies.first().expect("a session");
    let path = format!("/decide/{id}");
    let shown = |value: &str| {
        let cookie = format!("{name}={value}");
        testkit::http::send_with(other.address(), "GET", &path, &[("Cookie", &cookie)], b"")
            .expect("an answer")
            .body
    };
    assert!(shown(value).contains("You are <strong>carol</strong>"), "{}", shown(value));
    assert!(shown(&value[1..]).contains("Your login has ended"), "and nobody else is");
}

#[test]
fn a_page_that_has_a_secret_proves_itself_with_it() {
    let page = "client_id = \"page-with-a-secret\"\nclient_secret = { env = \"PAGE_SECRET\" }";
    let stage = Stage::with(1, page);
    let id = asked(&mut stage.agent(), REASON);
    assert_eq!(stage.visit_of("carol", &id).says(&id, "approve").status, 303);
    let stage = Stage::with(1, &page.replace("PAGE_SECRET", "PATH"));
    let mut visit = stage.visit();
    let callback = visit.until_callback("carol", &id);
    let refused = visit.get(&callback, &NAVIGATES);
    assert!(refused.status == 403 && refused.body.contains("invalid_client"), "{refused:?}");
}

#[test]
fn while_the_issuer_is_away_people_are_told_and_nothing_is_decided() {
    let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&format!(
        "[approvals.page]\nissuer = \"company\"\nclient_id = \"page\"\n[issuers.company]\nurl = \"http://{}\"\n",
        testkit::free_address(),
    ));
    let served = testkit::remote::Served::start(&home, &["observability"], &[]);
    let answer =
        testkit::http::send_with(served.address(), "GET", "/decide/apr-aaaaaaaaaaaaaaaa", &NAVIGATES, b"");
    let answer = answer.expect("the page answers");
    assert!(answer.status == 503 && answer.body.contains("cannot log in here at the moment"), "{answer:?}");
    assert!(served.errors().contains("nobody can log in to the page"), "{}", served.errors());
}

#[test]
fn without_the_table_there_is_no_page() {
    let stage = Stage::start();
    let config = std::fs::read_to_string(stage.home.config_path()).expect("its configuration");
    let without = config.replace("[approvals.page]\nissuer = \"company\"\nclient_id = \"page\"\n", "");
    assert_ne!(config, without);
    let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&without);
    home.file("who.cedar", "");
    let served = testkit::remote::Served::start(&home, &["observability"], &[]);
    let answer =
        testkit::http::send_with(served.address(), "GET", "/decide/apr-aaaaaaaaaaaaaaaa", &NAVIGATES, b"");
    assert_eq!(answer.expect("an answer").status, 404);
}

#[test]
fn the_doctor_says_whether_people_could_log_in_and_what_their_issuer_has_to_know() {
    let provider = testkit::backends::OpenIdProvider::start();
    let check = |url: &str, page: &str| {
        let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&format!(
            "{url}[approvals.page]\nissuer = \"company\"\nclient_id = \"page\"\n{page}[issuers.company]\nurl = \"{}\"\n",
            provider.url(),
        ));
        let checks = home.run(["doctor", "--json"]).json()["checks"].clone();
        let found = checks.as_array().expect("checks").iter().find(|it| it["kind"] == "page").cloned();
        found.unwrap_or_else(|| panic!("{checks}")).to_string()
    };
    let url = "[http]\npublic_url = \"https://bailiwick.example.com\"\n";
    let well = check(url, "");
    assert!(well.contains("people log in by company") && well.contains("\"broken\":false"), "{well}");
    assert!(
        well.contains("https://bailiwick.example.com/decide/callback has to be a redirect address"),
        "{well}"
    );
    let nowhere = check("", "");
    assert!(nowhere.contains("give [http] public_url") && nowhere.contains("\"broken\":true"), "{nowhere}");
    let secretless = check(url, "client_secret = { env = \"NO_SUCH_VARIABLE\" }\n");
    assert!(
        secretless.contains("NO_SUCH_VARIABLE") && secretless.contains("\"broken\":true"),
        "{secretless}"
    );
}
