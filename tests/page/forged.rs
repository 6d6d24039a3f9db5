//! What no browser would send: no login, another's login, another page's form, the same form again.

use crate::stage::{NAVIGATES, REASON, Stage, asked, run};

#[test]
fn the_link_alone_shows_and_authorises_nothing() {
    let stage = Stage::start();
    let mut agent = stage.agent();
    let id = asked(&mut agent, REASON);
    let nobody = "apr-aaaaaaaaaaaaaaaa";
    let mut visit = stage.visit();
    let page = visit.get(&format!("/decide/{id}"), &[]);
    let other = visit.get(&format!("/decide/{nobody}"), &[]);
    assert_eq!(
        (page.status, page.body.replace(&id, nobody)),
        (200, other.body.clone()),
        "whether it exists is not told"
    );
    assert!(
        !page.body.contains("silence") && !page.body.contains("alice") && page.header("set-cookie").is_none()
    );
    let (there, gone) = (
        visit.get(&format!("/decide/{id}"), &NAVIGATES),
        stage.visit().get(&format!("/decide/{nobody}"), &NAVIGATES),
    );
    assert_eq!((there.status, gone.status), (303, 303));
    assert!(
        there.header("location").is_some_and(|it| it.starts_with(&stage.provider.url()) && !it.contains(&id)),
        "{there:?}"
    );
    for odd in ["APR-x", "a%2F..%2Fb", "a%22b", &"a".repeat(65), "a%0Ab"] {
        assert_eq!(stage.visit().get(&format!("/decide/{odd}"), &NAVIGATES).status, 404, "{odd}");
    }
    let form = [("token", "x"), ("word", "approve")];
    assert_eq!(stage.visit().posts(&id, &form, &[]).status, 401);
    let mut forger = stage.visit();
    for value in ["x", "", &"A".repeat(200)] {
        forger.cookies = vec![("bailiwick-page".to_owned(), value.to_owned())];
        assert_eq!(forger.posts(&id, &form, &[]).status, 401, "{value}");
        // What counts for nothing sends no browser around in circles.
        assert_eq!(forger.get(&format!("/decide/{id}"), &NAVIGATES).status, 200, "{value}");
    }
    // A login that only began is none, and what it keeps counts for nothing else.
    let begun = visit.cookies.clone();
    forger.cookies = begun.iter().map(|(_, value)| ("bailiwick-page".to_owned(), value.clone())).collect();
    assert_eq!(forger.posts(&id, &form, &[]).status, 401);
    assert_eq!(stage.stands(&id), ("pending".to_owned(), 0));
    assert!(stage.refusals().contains("nobody is logged in"), "{}", stage.refusals());
    assert!(run(&mut agent, &id).is_error() && stage.effects() == 0);
}

#[test]
fn every_answer_says_what_browsers_may_do_with_it() {
    let stage = Stage::start();
    let id = asked(&mut stage.agent(), REASON);
    let mut carol = stage.visit_of("carol", &id);
    let answers = [
        carol.get(&format!("/decide/{id}"), &[]),
        carol.get("/decide/UPPER", &[]),
        carol.get("/decide/callback", &[]),
        carol.get(&format!("/decide/{id}/login?anew=true"), &[]),
        carol.posts(&id, &[("token", "x"), ("word", "approve")], &[]),
        stage.visit().get(&format!("/decide/{id}"), &NAVIGATES),
        carol.get(&format!("/decide/{id}"), &[("Host", "evil.example")]),
    ];
    let statuses: Vec<u16> = answers.iter().map(|it| it.status).collect();
    assert_eq!(statuses, [200, 404, 403, 303, 403, 303, 403]);
    let asks =
        |it: &testkit::http::Response| it.header("location").is_some_and(|it| it.contains("prompt=login"));
    assert!(asks(&answers[3]) && !asks(&answers[5]), "who is somebody else proves it anew");
    for answer in answers {
        let says = |name: &str, value: &str| answer.header(name).is_some_and(|it| it.contains(value));
        for (name, value) in [
            ("content-security-policy", "default-src 'none'"),
            ("content-security-policy", "frame-ancestors 'none'"),
            ("content-security-policy", "form-action 'self'"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert!(says(name, value), "{name}: {value} in {answer:?}");
        }
        assert!(!answer.body.contains("<script"), "{answer:?}");
        let kept: Vec<&str> =
            answer.headers.iter().filter(|it| it.0 == "set-cookie").map(|it| it.1.as_str()).collect();
        assert!(
            kept.iter().all(|it| it.contains("; Path=/; ") && it.contains("; HttpOnly; SameSite=Lax")),
            "{kept:?}"
        );
    }
}

#[test]
fn a_form_counts_from_this_page_for_one_login_request_and_action() {
    let stage = Stage::with(2, "client_id = \"page\"");
    let mut agent = stage.agent();
    let (id, other) = (asked(&mut agent, REASON), asked(&mut agent, "another reason"));
    let (mut carol, mut dave) = (stage.visit_of("carol", &id), stage.visit_of("dave", &id));
    let (token, others, daves) = (carol.token(&id), carol.token(&other), dave.token(&id));
    let approves =
        |token: &str| [("token".to_owned(), token.to_owned()), ("word".to_owned(), "approve".to_owned())];
    let mut sends = |token: &str, replaced: &[(&str, &str)]| {
        let form = approves(token);
        let form: Vec<(&str, &str)> =
            form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        carol.posts(&id, &form, replaced).status
    };
    for (token, replaced) in [
        (token.as_str(), [("Origin", "")]),
        (&token, [("Origin", "null")]),
        (&token, [("Origin", "https://evil.example")]),
        (&token, [("Origin", &format!("{}0", stage.base()))]),
        (&token, [("Sec-Fetch-Site", "same-site")]),
        (&token, [("Sec-Fetch-Site", "cross-site")]),
        (&token, [("Sec-Fetch-Site", "none")]),
        (&token, [("Host", "evil.example")]),
    ] {
        assert_eq!(sends(token, &replaced), 403, "{replaced:?}");
    }
    for token in [others.as_str(), &daves, "", "x", &token[1..], &format!("{token}A")] {
        assert_eq!(sends(token, &[]), 403, "{token}");
    }
    assert_eq!(sends(&token, &[("Content-Type", "text/plain")]), 415);
    assert_eq!(sends(&format!("{token}{}", "x".repeat(20_000)), &[]), 413);
    assert_eq!(carol.posts(&id, &[("token", &token), ("word", "confirm")], &[]).status, 400);
    assert_eq!(carol.posts(&id, &[("token", &token), ("word", "approve"), ("more", "x")], &[]).status, 422);
    assert_eq!(stage.stands(&id), ("pending".to_owned(), 0));
    // The same form twice is one vote, and an answer is looked at with GET.
    let form = [("token", token.as_str()), ("word", "approve")];
    let said = carol.posts(&id, &form, &[]);
    assert_eq!((said.status, said.header("location")), (303, Some(format!("/decide/{id}").as_str())));
    let again = carol.posts(&id, &form, &[]);
    assert!(again.status == 403 && again.body.contains("has agreed already"), "{again:?}");
    assert_eq!(stage.stands(&id), ("pending".to_owned(), 1));
    assert_eq!(dave.says(&id, "approve").status, 303);
    let late = carol.posts(&id, &form, &[]);
    assert_eq!((late.status, stage.stands(&id)), (409, ("approved".to_owned(), 2)), "{late:?}");
    let recorded = stage.refusals();
    for why in
        ["another site sent it", "its origin is another", "made for another login", "has agreed already"]
    {
        assert!(recorded.contains(why) && recorded.contains("carol"), "{why}: {recorded}");
    }
}

#[test]
fn nobody_approves_their_own_nor_what_policy_does_not_let_them() {
    let stage = Stage::start();
    let mut agent = stage.agent();
    let id = asked(&mut agent, REASON);
    let mut alice = stage.visit_of("alice", &id);
    let page = alice.get(&format!("/decide/{id}"), &[]);
    assert!(
        page.body.contains("You cannot approve this") && !page.body.contains("value=\"approve\""),
        "{}",
        page.body
    );
    let refused = alice.says(&id, "approve");
    assert!(refused.status == 403 && refused.body.contains("in their name"), "{refused:?}");
    // Bob is of no team that may, so he is shown why, and no form at all.
    let mut bob = stage.visit_of("bob", &id);
    let page = bob.get(&format!("/decide/{id}"), &[]);
    assert!(page.body.contains("denied by default") && !page.body.contains("<form"), "{}", page.body);
    assert_eq!(stage.stands(&id), ("pending".to_owned(), 0));
    assert!(stage.refusals().contains("in their name"), "{}", stage.refusals());
    // What was asked in her name she takes back.
    assert_eq!(alice.says(&id, "revoke").status, 303);
    assert_eq!(stage.stands(&id).0, "revoked");
    // Whoever approves everything is stopped here too.
    let mut carol = stage.visit_of("carol", &id);
    for (count, right) in [303, 303, 303, 429].into_iter().enumerate() {
        let id = asked(&mut agent, &format!("reason number {count}"));
        assert_eq!(carol.says(&id, "approve").status, right, "{count}");
    }
}
