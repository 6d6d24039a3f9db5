//! Hostile and broken peers, and what the caller hears of each.

mod peer;
mod tls;

use std::{io::Write as _, time::Duration};

use config::{Auth, Http, Secret};
use peer::{Manner, Peer, gzip_bomb, json, say};
use serde_json::{Value, json as value};
use tokio::time::Instant;
use tool::ToolError;

use crate::{Endpoint, OutboundError};

const SECRET: &str = "hunter2-very-secret";

fn settings(url: &str) -> Http {
    Http { timeout_ms: 20_000, ..Http::plain(url.parse().unwrap()) }
}

fn endpoint(url: &str) -> Endpoint {
    Endpoint::new("prod", &settings(url)).unwrap()
}

/// An endpoint that proves itself with [`SECRET`] out of a file that lives as long as the second value.
fn with_secret(url: &str) -> (Endpoint, tempfile::NamedTempFile) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{SECRET}").unwrap();
    let auth = Auth::Bearer(Secret::File(file.path().to_owned()));
    (Endpoint::new("prod", &Http { auth, ..settings(url) }).unwrap(), file)
}

async fn read(manner: Manner) -> Result<Value, ToolError> {
    let peer = Peer::start(manner).await;
    endpoint(&peer.url()).get_json(&["api"], &[], None).await
}

async fn write(manner: Manner) -> Result<Value, ToolError> {
    let peer = Peer::start(manner).await;
    endpoint(&peer.url()).write_json(&["api"], &value!({ "a": 1 }), None).await
}

fn said(result: Result<Value, ToolError>) -> String {
    let error = result.expect_err("a failure");
    format!("{}: {error}", error.code())
}

#[tokio::test]
async fn an_argument_stays_one_segment_of_the_path_or_one_value_of_the_query() {
    let peer = Peer::start(json("200 OK", "{\"a\":1}")).await;
    let endpoint = endpoint(&format!("{}/prefix/", peer.url()));
    let path = ["api", "..", ".\t.", "\n..", "%2e%2e", "a/../../b?c#d"];
    let answer: Value = endpoint.get_json(&path, &[("query", "a&b=c")], None).await.unwrap();
    assert_eq!(answer, value!({ "a": 1 }));
    let line = peer.asked()[0].lines().next().unwrap().to_owned();
    assert_eq!(line, "GET /prefix/api/%252e%252e/a%2F..%2F..%2Fb%3Fc%23d?query=a%26b%3Dc HTTP/1.1");

    let _: Value = endpoint.post_form_read(&["api"], &[("query", "a&b")], None).await.unwrap();
    assert!(peer.asked()[1].ends_with("query=a%26b"), "{}", peer.asked()[1]);
}

#[tokio::test]
async fn a_secret_is_sent_to_its_host_and_shown_nowhere() {
    let peer = Peer::start(json("401 Unauthorized", &format!("{{\"error\":\"bad token {SECRET}\"}}"))).await;
    let (endpoint, file) = with_secret(&peer.url());
    let error = said(endpoint.get_json(&["api"], &[], None).await);
    assert_eq!(error, "unavailable: prod is unavailable: refused our credentials (HTTP 401)");
    assert!(peer.asked()[0].to_ascii_lowercase().contains(&format!("authorization: bearer {SECRET}")));
    assert!(!format!("{endpoint:?}").contains(SECRET));

    // Rotated on disk, used at once.
    std::fs::write(file.path(), "another").unwrap();
    said(endpoint.get_json(&["api"], &[], None).await);
    assert!(peer.asked()[1].to_ascii_lowercase().contains("authorization: bearer another\r\n"));
}

#[tokio::test]
async fn why_an_issuer_gives_no_token_is_an_answer_and_what_it_was_asked_with_comes_back_in_none() {
    for status in ["200 OK", "400 Bad Request", "401 Unauthorized"] {
        let peer = Peer::start(json(status, "{\"error\":\"slow_down\"}")).await;
        let answer: Value =
            endpoint(&peer.url()).post_form_grant(&[], &[("code", SECRET)], None).await.unwrap();
        assert_eq!(answer["error"], "slow_down", "{status}");
        assert!(peer.asked()[0].ends_with(&format!("code={SECRET}")), "{}", peer.asked()[0]);
    }
    for status in ["403 Forbidden", "404 Not Found", "500 Internal Server Error"] {
        let peer = Peer::start(json(status, &format!("{{\"error\":\"bad {SECRET}\"}}"))).await;
        let asked = endpoint(&peer.url()).post_form_grant(&[], &[("code", SECRET)], None).await;
        let error = said(asked);
        assert!(!error.contains(SECRET), "{status}: {error}");
    }
}

/// Gateways that answer an error with the request they refuse.
#[tokio::test]
async fn our_own_secrets_do_not_come_back_in_an_error() {
    let basic = "aHVudGVyOmh1bnRlcjItdmVyeS1zZWNyZXQ=";
    let echo = format!(
        "refused POST /api\r\nauthorization: Bearer {SECRET}\r\nauthorization: Basic {basic}\r\nx-api-key: key-{SECRET}\r\nexpected a tenant"
    );
    let kept = |text: &str| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "{text}").unwrap();
        file
    };
    let (secret, key) = (kept(SECRET), kept(&format!("key-{SECRET}")));
    let at = |file: &tempfile::NamedTempFile| Secret::File(file.path().to_owned());
    for auth in
        [Auth::Bearer(at(&secret)), Auth::Basic { username: "hunter".to_owned(), password: at(&secret) }]
    {
        for status in ["400 Bad Request", "503 Busy"] {
            for body in [echo.clone(), value!({ "error": echo }).to_string(), value!(echo).to_string()] {
                let peer = Peer::start(say(status, "Content-Type: text/plain\r\n", &body)).await;
                let secret_headers = vec![("X-Api-Key".to_owned(), at(&key))];
                let settings = Http { auth: auth.clone(), secret_headers, ..settings(&peer.url()) };
                let endpoint = Endpoint::new("prod", &settings).unwrap();
                let read = said(endpoint.get_json(&["api"], &[], None).await);
                let written = said(endpoint.write_json(&["api"], &value!({}), None).await);
                for error in [read, written] {
                    assert!(!error.contains("hunter2-v") && error.contains("[secret]"), "{error}");
                    assert!(error.contains("refused POST /api"), "what else it says stays: {error}");
                    let is_basic = matches!(auth, Auth::Basic { .. });
                    assert!(!(is_basic && error.contains(basic)), "{error}");
                }
            }
            // Cut off by the gateway, so that it is not the whole secret.
            let cut = format!("bad header: Bearer {}…", &SECRET[..12]);
            let peer = Peer::start(say(status, "Content-Type: text/plain\r\n", &cut)).await;
            let settings = Http { auth: auth.clone(), ..settings(&peer.url()) };
            let error = said(Endpoint::new("prod", &settings).unwrap().get_json(&["api"], &[], None).await);
            assert!(!error.contains("hunter2") && error.contains(&status[..3]), "{error}");
        }
    }
}

#[tokio::test]
async fn an_unreadable_or_unsendable_secret_sends_nothing() {
    let peer = Peer::start(json("200 OK", "{}")).await;
    let (endpoint, file) = with_secret(&peer.url());
    std::fs::write(file.path(), "two\nlines").unwrap();
    let error = said(endpoint.get_json(&["api"], &[], None).await);
    assert!(error.contains("secret") && !error.contains("two"), "{error}");
    file.close().unwrap();
    let error = said(endpoint.get_json(&["api"], &[], None).await);
    assert!(error.contains("secret could not be read"), "{error}");
    assert_eq!(peer.asked().len(), 0);
}

#[tokio::test]
async fn a_redirect_is_an_error_that_names_the_host_and_the_host_hears_nothing() {
    let other = Peer::start(json("200 OK", "{}")).await;
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let location = format!("Location: {}/login?next=hunter2\r\n", other.url());
        let peer = Peer::start(say(status, &location, "")).await;
        let (endpoint, _file) = with_secret(&peer.url());
        let error = said(endpoint.get_json(&["api"], &[], None).await);
        let host = other.url();
        let expected = format!(
            "unavailable: prod is unavailable: redirects to {host}, which is not followed; configure the final address"
        );
        assert_eq!(error, expected);
        let error = said(endpoint.write_json(&["api"], &value!({}), None).await);
        assert!(error.starts_with("outcome_unknown"), "{error}");
    }
    assert_eq!(other.asked().len(), 0);
}

#[tokio::test]
async fn what_is_not_json_is_told_by_its_kind_and_never_quoted() {
    let page = "<html>hunter2</html>";
    let html = "unavailable: prod is unavailable: answered text/html (a login page or proxy?), expected JSON";
    assert_eq!(said(read(say("200 OK", "Content-Type: text/html; charset=utf-8\r\n", page)).await), html);
    assert_eq!(said(read(json("200 OK", page)).await), html);
    for (manner, expected) in [
        (say("200 OK", "Content-Type: text/plain\r\n", "hunter2"), "answered text/plain, expected JSON"),
        (say("200 OK", "", "hunter2"), "answered something without a content type, expected JSON"),
        (json("200 OK", "{\"a\":"), "answered broken application/json, expected JSON"),
        (say("404 Not Found", "Content-Type: text/html\r\n", page), "answered HTTP 404 with text/html"),
        (say("502 Bad Gateway", "Content-Type: text/html\r\n", page), "answered HTTP 502"),
    ] {
        let error = said(read(manner).await);
        assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
    }
    let peer = Peer::start(json("200 OK", "{\"status\":\"hunter2\"}")).await;
    let wrong: Result<Vec<u64>, _> = endpoint(&peer.url()).get_json(&["api"], &[], None).await;
    let error = wrong.expect_err("not a list").to_string();
    assert!(error.contains("its API does not describe") && !error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn an_endless_answer_is_refused_at_the_limit() {
    let error = said(read(Manner::Flood(100)).await);
    assert_eq!(error, "unavailable: prod is unavailable: answered more than 32 MiB; ask for less");
    // Told in advance, so nothing of it is taken in.
    let told = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 104857600\r\n\r\n";
    let error = said(read(Manner::Say(told.as_bytes().to_vec())).await);
    assert!(error.contains("more than 32 MiB"), "{error}");
}

#[tokio::test]
async fn a_gzip_bomb_is_counted_as_what_it_unpacks_to() {
    let bomb = gzip_bomb(300 << 20);
    assert!(bomb.len() < 2 << 20, "{} bytes on the wire", bomb.len());
    let headers = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
    let error = said(read(say("200 OK", headers, &bomb)).await);
    assert!(error.contains("answered more than 32 MiB"), "{error}");
    let error = said(read(say("500 Oops", headers, &bomb)).await);
    assert!(error.contains("HTTP 500"), "{error}");
    let error = said(read(say("200 OK", headers, "not gzip")).await);
    assert!(error.contains("does not decompress"), "{error}");
}

#[tokio::test]
async fn a_slow_peer_costs_no_more_than_the_nearer_limit() {
    let peer = Peer::start(Manner::Hang).await;
    let started = Instant::now();
    let slow = Endpoint::new("prod", &Http { timeout_ms: 50, ..settings(&peer.url()) }).unwrap();
    let error = said(slow.get_json(&["api"], &[], None).await);
    assert_eq!(error, "unavailable: prod is unavailable: no complete answer within 50 ms");
    let soon = Some(Instant::now() + Duration::from_millis(50));
    let error = said(endpoint(&peer.url()).get_json(&["api"], &[], soon).await);
    assert_eq!(error, "unavailable: prod is unavailable: no complete answer before the call's deadline");
    let soon = Some(Instant::now() + Duration::from_millis(50));
    let error = said(endpoint(&peer.url()).write_json(&["api"], &value!({}), soon).await);
    assert!(error.starts_with("outcome_unknown: prod may or may not have done it"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_peer_that_is_down_certainly_did_nothing() {
    // Bound, so that nobody else gets the port, and never listening.
    let taken = tokio::net::TcpSocket::new_v4().unwrap();
    taken.bind((std::net::Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let down = endpoint(&format!("http://{}", taken.local_addr().unwrap()));
    let expected = "unavailable: prod is unavailable: connection refused";
    assert_eq!(said(down.get_json(&["api"], &[], None).await), expected);
    assert_eq!(said(down.write_json(&["api"], &value!({}), None).await), expected);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_or_unreadable_is_unknown() {
    for manner in [
        Manner::HangUp,
        Manner::Flood(40),
        json("500 Oops", "{}"),
        json("503 Busy", "{\"error\":\"busy\"}"),
        say("200 OK", "Content-Type: text/html\r\n", "<html>"),
        json("200 OK", "{\"cut\":"),
    ] {
        let error = said(write(manner).await);
        assert!(error.starts_with("outcome_unknown"), "{error}");
    }
    for (status, code) in [
        ("400 Bad Request", "rejected"),
        ("422 Unprocessable", "rejected"),
        ("401 Unauthorized", "unavailable"),
        ("403 Forbidden", "unavailable"),
        ("429 Too Many", "unavailable"),
    ] {
        let error = write(json(status, "{\"error\":\"no\"}")).await.expect_err("refused");
        assert_eq!(error.code(), code, "{status}");
    }
}

#[tokio::test]
async fn a_rejection_carries_the_systems_own_words_bounded() {
    let long = format!("{{\"error\":\"{}\"}}", "x".repeat(5000));
    for (body, words) in [
        ("{\"status\":\"error\",\"error\":\"bad\\ndata\"}", "bad data"),
        ("{\"code\":601,\"message\":\"matchers missing\"}", "matchers missing"),
        ("\"a silence needs an end\"", "a silence needs an end"),
        (&long, &format!("{}…", "x".repeat(300))),
        ("[1]", "HTTP 400"),
    ] {
        let Err(ToolError::Rejected { reason, .. }) = read(json("400 Bad Request", body)).await else {
            panic!("{body}");
        };
        assert_eq!(reason, words);
    }
}

#[tokio::test]
async fn more_requests_than_slots_wait_and_cancelled_reads_free_theirs() {
    let peer = Peer::start(Manner::Hang).await;
    let endpoint = endpoint(&peer.url());
    let soon = || Some(Instant::now() + Duration::from_millis(50));
    let held = (0..8).map(|_| endpoint.get_json::<Value>(&["api"], &[], None));
    let ninth = async {
        while peer.asked().len() < 8 {
            tokio::task::yield_now().await;
        }
        said(endpoint.get_json(&["api"], &[], soon()).await)
    };
    tokio::select! {
        _ = futures::future::join_all(held) => panic!("a peer that hangs answered"),
        error = ninth => assert!(error.contains("no free connection before the call's deadline"), "{error}"),
    }
    assert_eq!(peer.asked().len(), 8);
    let error = said(endpoint.get_json(&["api"], &[], soon()).await);
    assert!(error.contains("no complete answer"), "{error}");
}

#[test]
fn an_address_or_header_that_could_leak_or_mislead_is_refused_at_start() {
    for (url, said) in [
        ("ftp://a.example", "expected an http or https address with a host, got scheme `ftp`"),
        ("file:///etc/passwd", "got scheme `file`"),
        ("http://user:hunter2@a.example", "the address holds a user name or password"),
        ("http://a.example/?token=hunter2", "the address holds a query"),
        ("http://a.example/#x", "the address holds a fragment"),
    ] {
        let error = Endpoint::new("prod", &settings(url)).expect_err("refused").to_string();
        assert!(error.contains(said) && !error.contains("hunter2"), "{error}");
    }
    for (name, value) in [("Host", "b.example"), ("a b", "c"), ("x", "a\r\nb: hunter2")] {
        let headers = vec![(name.to_owned(), value.to_owned())];
        let error =
            Endpoint::new("prod", &Http { headers, ..settings("http://a.example") }).expect_err("refused");
        assert_eq!(error, OutboundError::Header { connection: "prod".to_owned(), header: name.to_owned() });
    }
}

#[tokio::test]
async fn a_deletion_is_done_when_nothing_or_json_is_answered_and_unknown_otherwise() {
    async fn remove(manner: Manner) -> Result<(), ToolError> {
        let peer = Peer::start(manner).await;
        let result = endpoint(&peer.url()).remove(&["api", "a/b"], None).await;
        assert!(peer.asked()[0].starts_with("DELETE /api/a%2Fb HTTP/1.1\r\n"), "{}", peer.asked()[0]);
        result
    }
    assert!(remove(say("200 OK", "", "")).await.is_ok());
    assert!(remove(json("200 OK", "{}")).await.is_ok());
    for manner in
        [say("200 OK", "Content-Type: text/html\r\n", "<html>"), Manner::HangUp, json("500 Oops", "{}")]
    {
        assert_eq!(remove(manner).await.expect_err("unknown").code(), "outcome_unknown");
    }
    assert_eq!(remove(json("404 Not Found", "{}")).await.expect_err("no such").code(), "rejected");
    assert!(read(say("200 OK", "", "")).await.is_err(), "a read that answers nothing has failed");
}

#[tokio::test]
async fn a_secret_header_is_read_where_it_is_kept_and_shown_nowhere() {
    let peer = Peer::start(json("401 Unauthorized", &format!("{{\"error\":\"{SECRET}\"}}"))).await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{SECRET}").unwrap();
    let secret_headers = vec![("X-Api-Key".to_owned(), Secret::File(file.path().to_owned()))];
    let headers = vec![("X-Scope-OrgID".to_owned(), "tenant-7".to_owned())];
    let settings = Http { headers, secret_headers, ..settings(&format!("{}/prometheus", peer.url())) };
    let endpoint = Endpoint::new("prod", &settings).unwrap();
    let error = said(endpoint.get_json(&["api"], &[], None).await);
    assert!(!error.contains(SECRET) && !format!("{endpoint:?}").contains(SECRET), "{error}");
    let asked = peer.asked()[0].to_ascii_lowercase();
    assert!(asked.starts_with("get /prometheus/api http"), "{asked}");
    assert!(
        asked.contains("x-scope-orgid: tenant-7\r\n") && asked.contains(&format!("x-api-key: {SECRET}\r\n"))
    );
    file.close().unwrap();
    assert!(said(endpoint.get_json(&["api"], &[], None).await).contains("secret could not be read"));
    assert_eq!(peer.asked().len(), 1, "without it nothing is sent");
}
