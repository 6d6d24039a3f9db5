//! Who is no sender of this log gets nothing into it.

use super::*;

/// One POST with a token: status and body.
fn deliver(address: SocketAddr, token: &str, delivery: &[u8]) -> (u16, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let request = client.post(format!("http://{address}/deliver")).bearer_auth(token);
        match request.body(delivery.to_vec()).send().await {
            Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap_or_default()),
            // It need not read all of what it refuses.
            Err(_) => (0, String::new()),
        }
    })
}

/// The whole journal of a sender, as it would deliver it.
fn delivery(home: &Home) -> (String, Vec<u8>) {
    let report = home.run(["audit", "verify", "--json"]).json();
    let (origin, key) = (report["logs"][0]["origin"].clone(), report["keys"][0].clone());
    let (origin, key) = (origin.as_str().expect("text"), key.as_str().expect("text"));
    let mut frames = fs::read(home.state().join("logs/observability/0/journal")).expect("readable");
    frames.truncate(frames.iter().rposition(|it| *it != 0).map_or(0, |it| it + 1));
    (format!("bailiwick delivery v1\norigin {origin}\nkey {key}\nfrom 0\n\n"), frames)
}

#[test]
fn strangers_other_senders_and_what_is_no_delivery_are_declined() {
    let (_alerts, recorder) = backends();
    let other = "another-sender's-token-of-32-letters";
    let home = Home::new(env!("CARGO_BIN_EXE_bailiwick"))
        .config("[collector.senders.ci]\ntoken = { env = \"A\" }\n[collector.senders.lab]\ntoken = { env = \"B\" }\n")
        .variable("A", TOKEN)
        .variable("B", other);
    let collector = Collector::over(home, "127.0.0.1:0");
    let sender = sender(&collector.table(), &recorder);
    read(&sender);
    let (head, frames) = delivery(&sender);
    let whole = [head.as_bytes(), &frames].concat();
    let ask = |token: &str, body: &[u8]| deliver(collector.address, token, body);
    assert_eq!(ask("guessed", &whole).0, 401);
    assert_eq!(ask(other, &whole).0, 403, "another sender's log");
    let (status, size) = ask(TOKEN, &whole);
    assert_eq!((status, size.trim()), (409, "3"), "a replay is told what is held");
    assert_eq!(ask(TOKEN, b"hello").0, 400);
    let origin = |digits: &str| {
        head.replace(head.lines().nth(1).expect("lines"), &format!("origin bailiwick/code/0/{digits}"))
    };
    let elsewhere = [origin("0123456789abcdef").as_bytes(), &frames].concat();
    assert_eq!(ask(TOKEN, &elsewhere).0, 400, "frames of another log");
    let mut long = origin("0123456789abcdef").into_bytes();
    long.extend(u32::MAX.to_le_bytes());
    long.extend([0; 64]);
    assert_eq!(ask(TOKEN, &long).0, 400, "a frame longer than any");
    let flood = vec![b'x'; 25 << 20];
    assert!(matches!(ask(TOKEN, &flood).0, 413 | 0));
    assert_eq!(ask("guessed", &flood).0 / 100 % 4, 0, "strangers are not listened to");
    let report = collector.verify().expect(0).json();
    assert_eq!(report["logs"].as_array().map(Vec::len), Some(1), "nothing was begun: {report:#}");
}
