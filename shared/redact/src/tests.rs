//! What is masked, what is not, and that neither encoding nor hidden characters help. Secrets are put together from parts, so
//! that this file holds none.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn masked(text: &str) -> String {
    redact(text, false).0.into_owned()
}

/// One of each known form, with its kind.
fn secrets() -> Vec<(&'static str, String)> {
    let letters = "aB3dE5gH7jK9mN1pQ2sT4vW6yZ8bC0fL3hR5xU7";
    let hex = "0123456789abcdef0123456789abcdef";
    let upper = "Q3XZ5YK7LNPW2TRS";
    vec![
        ("aws access key id", format!("AKIA{upper}")),
        ("aws access key id", format!("ASIA{upper}")),
        ("github token", format!("ghp_{}", &letters[..36])),
        ("github token", format!("ghs_{}", &letters[..36])),
        ("github token", format!("github_pat_{letters}_{letters}")),
        ("gitlab token", format!("glpat-{}", &letters[..20])),
        ("slack token", format!("xoxb-{}-{}", "123456789012", &letters[..24])),
        ("stripe key", format!("sk_live_{}", &letters[..24])),
        ("google key", format!("AIza{}", &letters[..35])),
        ("google token", format!("ya29.{letters}")),
        ("npm token", format!("npm_{}", &letters[..36])),
        ("pypi token", format!("pypi-AgEIcHlwaS5vcmc{letters}{letters}")),
        ("jwt", format!("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{}", &letters[..30])),
        ("anthropic key", format!("sk-ant-api03-{letters}-{letters}")),
        ("openai key", format!("sk-proj-{letters}")),
        ("openai key", format!("sk-{letters}")),
        ("sendgrid key", format!("SG.{}.{letters}abcde", &letters[..22])),
        ("twilio key", format!("SK{hex}")),
        ("vault token", format!("hvs.{letters}")),
        ("databricks token", format!("dapi{hex}")),
        ("digitalocean token", format!("dop_v1_{hex}{hex}")),
        ("hugging face token", format!("hf_{}", &letters[..34])),
        ("grafana token", format!("glsa_{}_1a2b3c4d", &letters[..32])),
    ]
}

#[test]
fn every_known_form_is_masked_and_named_wherever_it_stands() {
    for (kind, secret) in secrets() {
        for (before, after) in
            [("", ""), ("got ", " from env"), ("x=\"", "\","), ("(", ")."), ("https://x/?q=", "&y=1")]
        {
            let text = format!("{before}{secret}{after}");
            assert_eq!(masked(&text), format!("{before}[secret: {kind}]{after}"), "{text}");
            let (_, counts) = redact(&text, true);
            assert_eq!(counts.iter().collect::<Vec<_>>(), [(kind, 1)], "secrets are never revealed: {text}");
        }
    }
}

#[test]
fn secrets_with_a_telling_neighbour_are_masked() {
    let aws = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzR3dQ5v1xK";
    let azure = format!("{aws}{aws}0123Q==");
    for (text, right) in [
        (format!("aws_secret_access_key = {aws}"), "aws_secret_access_key = [secret: aws secret key]"),
        (format!("\"SecretAccessKey\": \"{aws}\""), "\"SecretAccessKey\": \"[secret: aws secret key]\""),
        (
            format!("AccountName=x;AccountKey={azure};Suffix=y"),
            "AccountName=x;AccountKey=[secret: azure key];Suffix=y",
        ),
        ("Authorization: Bearer abc.def-123_xyz".into(), "Authorization: Bearer [secret: authorization]"),
        ("authorization: basic dXNlcjpwYXNz".into(), "authorization: basic [secret: authorization]"),
        (
            "curl -H 'AUTHORIZATION: token 0a1b2c3d4e'".into(),
            "curl -H 'AUTHORIZATION: token [secret: authorization]'",
        ),
        (
            "postgres://app:hunter2@db.internal:5432/shop".into(),
            "postgres://app:[secret: password]@db.internal:5432/shop",
        ),
        ("redis://:s3cr3t!@cache/0".into(), "redis://:[secret: password]@cache/0"),
        ("https://u:p@ss@host/x".into(), "https://u:[secret: password]@host/x"),
        ("password=hunter2&next=1".into(), "password=[secret: password]&next=1"),
        ("DB_PASSWORD='correct horse'".into(), "DB_PASSWORD='[secret: password]'"),
        ("\"api_key\": \"a1b2c3d4\"".into(), "\"api_key\": \"[secret: key]\""),
        ("db:\n  password: opensesame\n  user: x".into(), "db:\n  password: [secret: password]\n  user: x"),
        ("mysql --password hunter2 -u root".into(), "mysql --password [secret: password] -u root"),
        ("<password>hunter2</password>".into(), "<password>[secret: password]</password>"),
        ("client_secret: 8f14e45fceea167a".into(), "client_secret: [secret: secret]"),
        ("Set-Cookie: session=0a1b2c3d4e5f; Path=/".into(), "Set-Cookie: [secret: cookie]"),
        ("DB_PASS=hunter2".into(), "DB_PASS=[secret: password]"),
        ("SMTP_PASS: \"correct horse\"".into(), "SMTP_PASS: \"[secret: password]\""),
        ("spring.datasource.pass=opensesame".into(), "spring.datasource.pass=[secret: password]"),
        ("auth: { user: 'x', pass: 'hunter2' }".into(), "auth: { user: 'x', pass: '[secret: password]'"),
        ("\"smtpPass\": \"opensesame\"".into(), "\"smtpPass\": \"[secret: password]\""),
        ("password='$ecretPass99'".into(), "password='[secret: password]'"),
        ("password=xxxS3cretReal99".into(), "password=[secret: password]"),
        ("PASSWORD=yourS3cretReal99".into(), "PASSWORD=[secret: password]"),
    ] {
        assert!(masked(&text).starts_with(right), "{text}: {}", masked(&text));
    }
}

#[test]
fn personal_details_are_masked_unless_revealed() {
    for (text, right) in [
        ("Carol Jones <carol.jones+ops@mail.example.co.uk>", "Carol Jones <[email]>"),
        ("mailto:a@b.io, c_d@e-f.org.", "mailto:[email], [email]."),
        ("to=bob%40example.com&x=1", "to=[email]&x=1"),
        ("paid with 4111111111111111.", "paid with [card number]."),
        ("4111 1111 1111 1111 exp 2027", "[card number] exp 2027"),
        ("card=5555-5555-5555-4444,", "card=[card number],"),
        ("3782 822463 10005", "[card number]"),
    ] {
        assert_eq!(masked(text), right);
        assert_eq!(redact(text, true), (Cow::Borrowed(text), Masked::default()));
    }
}

#[test]
fn what_only_looks_like_a_secret_stays() {
    for text in [
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8 by alice",
        "image: registry.local/shop@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "123e4567-e89b-42d3-a456-426614174000 4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "rate(http_requests_total{code=~\"5..\",job=\"api\"}[5m]) > 0.25 offset 1h @ 1609746000",
        "histogram_quantile(0.99, sum by (le) (rate(x_bucket[1h30m])))",
        "4398046511104 1700000000000 1700000000000000000 0.4111111111111111 1.7976931348623157e308",
        "order 4111111111111112, trace 41111111111111111111111, id-4111111111111111, x4111111111111111",
        "node_memory_MemAvailable_bytes{instance=\"10.0.0.1:9100\"} 5.368709e+10",
        "fn token(password: &str, secret: Secret) -> Token { let token = parser.next(); }",
        "password: String, api_key: Option<String>, token=self.token, secret = os.environ[\"X\"]",
        "compass=hunter2 bypass: 'a1b2c3d4' pass=12 fail=3, pass: 99.5% tests, \"pass\": \"inline\", passed=true",
        "PASS=$1 DB_PASS=$DB_PASS db_pass: $db_pass SMTP_PASS=your-password X_PASS=xxx-xxx-xxx Y_PASS=XXXXXXXX",
        "password=${DB_PASSWORD} token: $TOKEN secret={{ .Values.secret }} PASSWORD=<your password>",
        "kube_secret_info{namespace=\"shop\",secret=\"grafana-admin-credentials\"} 1",
        "max_tokens: 2000, tokens=1234, next_page_token=CAUQAA1x, total_tokens: 99",
        "git@github.com:acme/shop.git actions/checkout@v4.1.2 lodash@4.17.21 getty@tty1.service icon@2x.png",
        "https://example.com:8080/a?b=c@d http://[::1]:9090/ ssh://git@host/x",
        "starts with -----BEGIN CERTIFICATE----- and sk-learn, task-force-one-two-three-four-five",
        "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==",
        "credentials = Some(RequestCredentials::Basic1(x)); let authorization = request1.headers().get(name)",
        "ClientSecret => \"CLIENT_TRAFFIC_SECRET_0\", authorization = authorize(\"Basic authentication\")",
        "the password is incorrect; Invalid token: expired; secret not found",
        "Basic authentication and bearer authentication-required are both refused",
    ] {
        assert_eq!(masked(text), text);
    }
}

#[test]
fn hidden_characters_and_escapes_do_not_save_a_secret() {
    let token = format!("ghp_{}", "aB3dE5gH7jK9mN1pQ2sT4vW6yZ8bC0fL3hR5");
    for hidden in ['\u{200b}', '\u{202e}', '\u{feff}', '\u{ad}', '\u{7}', '\u{e0041}', '\u{fe0f}', '\r'] {
        let broken: String = token.chars().flat_map(|it| [it, hidden]).collect();
        assert_eq!(masked(&format!("a {broken} b")), "a [secret: github token] b", "{hidden:?}");
    }
    for encoded in [
        token.replace('_', "%5F"),
        token.replace('_', "%255f"),
        token.replace('g', "\\u0067"),
        token.replace('h', "\\x68"),
        token.replace('_', "\\\\u005f"),
    ] {
        assert_eq!(masked(&format!("a {encoded} b")), "a [secret: github token] b", "{encoded}");
    }
    for (text, right) in [
        (r#"{\"password\":\"hunter2\",\"x\":1}"#, r#"{\"password\":\"[secret: password]\",\"x\":1}"#),
        (r#"{\\\"api_key\\\":\\\"a1b2c3d4\\\"}"#, r#"{\\\"api_key\\\":\\\"[secret: key]\\\"}"#),
        ("https%3A%2F%2Fu%3Ahunter2%40host%2Fx", "https%3A%2F%2Fu%3A[secret: password]%40host%2Fx"),
        ("password%3Dhunter2%26x", "password%3D[secret: password]%26x"),
        ("password=&quot;hunter2&quot;", "password=&quot;[secret: password]&quot;"),
    ] {
        assert_eq!(masked(text), right);
    }
}

fn key(kind: &str) -> (String, Vec<String>, String) {
    let body = "MIIEpAIBAAKCAQEA1x5Qm3Vh8cT0yZpLk2WnR7uJdE4sFgHbNqXoCvPiAaBtYwMz";
    let body = (0..12).map(|it| format!("{}{it:02}", &body[..62])).chain(["q8Xw==".to_owned()]).collect();
    (format!("-----BEGIN {kind}-----"), body, format!("-----END {kind}-----"))
}

#[test]
fn a_private_key_is_masked_whole_in_one_text() {
    for kind in ["PRIVATE KEY", "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK"] {
        let (begin, body, end) = key(kind);
        let lines = format!("{begin}\n{}\n{end}", body.join("\n"));
        assert_eq!(masked(&format!("before\n{lines}\nafter")), "before\n[secret: private key]\nafter");
        let escaped = lines.replace('\n', "\\n");
        assert_eq!(
            masked(&format!("{{\"private_key\": \"{escaped}\", \"a\": 1}}")),
            "{\"private_key\": \"[secret: private key]\", \"a\": 1}"
        );
        assert_eq!(masked(&format!("a\n{begin}\n{}", body.join("\n"))), "a\n[secret: private key]");
        let indented: String = lines.lines().map(|it| format!("+    {it}\n")).collect();
        assert!(!masked(&indented).contains("MIIE"), "{}", masked(&indented));
    }
    let certificate = lines_of("CERTIFICATE");
    assert_eq!(masked(&certificate), certificate);
}

fn lines_of(kind: &str) -> String {
    let (begin, body, end) = key(kind);
    format!("{begin}\n{}\n{end}", body.join("\n"))
}

#[test]
fn a_private_key_is_masked_line_by_line_forwards_backwards_and_among_other_lines() {
    let (begin, body, end) = key("RSA PRIVATE KEY");
    let forwards: Vec<String> = [begin].into_iter().chain(body).chain([end]).collect();
    let backwards: Vec<String> = forwards.iter().rev().cloned().collect();
    let among: Vec<String> =
        forwards.iter().flat_map(|it| [format!("12:00 app: {it}"), "GET /healthz 200".to_owned()]).collect();
    for lines in [forwards, backwards, among] {
        let mut redactor = Redactor::new(false);
        let told: Vec<String> = lines.iter().map(|it| redactor.text(it).into_owned()).collect();
        assert!(!told.iter().any(|it| it.contains("MIIE")), "{told:#?}");
        let healthy = |lines: &[String]| lines.iter().filter(|it| it.as_str() == "GET /healthz 200").count();
        assert_eq!(healthy(&told), healthy(&lines));
        assert_eq!(redactor.text("and all is well").as_ref(), "and all is well");
    }
}

#[test]
fn a_text_that_starts_within_a_private_key_is_masked() {
    let (_, body, end) = key("RSA PRIVATE KEY");
    let mut redactor = Redactor::continuing(false);
    for line in body[4..].iter().chain([&end]) {
        assert_eq!(redactor.text(line).as_ref(), "[secret: private key]");
    }
    let mut redactor = Redactor::continuing(false);
    assert_eq!(redactor.text("fn main() {").as_ref(), "fn main() {");
    assert_eq!(redactor.text(&body[0]).as_ref(), body[0]);
}

#[test]
fn values_are_masked_at_every_depth_under_telling_names_and_in_keys() {
    let token = format!("ghp_{}", "aB3dE5gH7jK9mN1pQ2sT4vW6yZ8bC0fL3hR5");
    let mut value = json!({
        "password": "hunter2",
        "pin_password": 1234,
        "deep": [{ "note": format!("see {token}") }],
        (token): true,
        "env": [{ "name": "DB_PASSWORD", "value": "hunter2" }, { "name": "DB_HOST", "value": "db.internal" }],
        "max_tokens": 2000,
    });
    let mut counts = Masked::default();
    redact_value(&mut value, false, &mut counts);
    assert_eq!(
        value,
        json!({
            "password": "[secret: password]",
            "pin_password": "[secret: password]",
            "deep": [{ "note": "see [secret: github token]" }],
            "[secret: github token]": true,
            "env": [{ "name": "DB_PASSWORD", "value": "[secret: password]" }, { "name": "DB_HOST", "value": "db.internal" }],
            "max_tokens": 2000,
        })
    );
    assert_eq!(counts.iter().collect::<Vec<_>>(), [("github token", 2), ("password", 3)]);
}

/// Text that is dense in what the rules look for.
fn dense() -> impl Strategy<Value = String> {
    let parts: Vec<String> = secrets()
        .into_iter()
        .map(|it| it.1)
        .chain(
            [
                "password=",
                "token: ",
                "\"secret\": \"",
                "://u:",
                "@",
                "host.org",
                "Bearer ",
                "Authorization: ",
                "\n",
                " ",
                "\\n",
                "%40",
                "\\\"",
                "\\",
                "&quot;",
                "-----BEGIN PRIVATE KEY-----",
                "-----END PRIVATE KEY-----",
                "4111 1111 1111 1111",
                "[secret: x]",
                "[email]",
                "\u{200b}",
                "hunter2",
                "é",
                "漢",
                "=",
                "\"",
                "'",
                "Cookie: a=",
                "aws_secret_key=",
                "eyJ",
                "sk-",
                ".",
            ]
            .map(str::to_owned),
        )
        .collect();
    prop::collection::vec(prop_oneof![3 => prop::sample::select(parts), 1 => "[ -~]{0,12}"], 0..14)
        .prop_map(|it| it.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn masking_twice_changes_nothing(text in dense(), any in any::<String>(), reveal in any::<bool>()) {
        for text in [text, any] {
            let once = redact(&text, reveal).0.into_owned();
            prop_assert_eq!(redact(&once, reveal).0, once.as_str(), "from {:?}", text);
        }
    }

    #[test]
    fn a_secret_is_masked_among_whatever_text(before in "[a-z ,.:;\"'(\\n]{0,20}", pick in 0..23_usize, after in "[ ,;\"')\\n][a-z ,.:;\"'(\\n]{0,20}") {
        let secret = &secrets()[pick].1;
        let text = format!("{before} {secret}{after}");
        prop_assert!(!masked(&text).contains(secret.as_str()), "{}", masked(&text));
    }

    #[test]
    fn words_that_are_not_searched_hold_nothing_that_a_search_finds(
        start in prop::sample::select(vec!["", "ghp_", "sk_live_", "npm_", "xoxb-", "SG.", "sk-", "eyJ", "hvs.", "dp.pt.", "AKIA", "4111"]),
        plain in "[A-Za-z0-9_.-]{0,13}",
        letters in "[a-z_]{0,17}",
    ) {
        let words = [format!("{start}{plain}"), format!("{start}{letters}")];
        for word in words.into_iter().filter(|it| is_word(it)) {
            // The blank makes it a text that is searched.
            prop_assert_eq!(masked(&format!("{word} ")), format!("{word} "));
        }
    }

    #[test]
    fn digests_ids_and_numbers_are_never_masked(sha in "[0-9a-f]{40}", uuid in "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{12}", digest in "sha256:[0-9a-f]{64}", number in "[0-9]{1,3}\\.[0-9]{1,17}", nanos in "1[67][0-9]{17}") {
        let text = format!("{sha} {uuid} {digest} {number} {nanos}");
        prop_assert_eq!(masked(&text), text);
    }
}

#[test]
fn the_key_of_a_kubeconfig_is_masked_though_it_is_no_pem() {
    let line = "client-key-data: bm90IGEgcGVtIGJ1dCBhIGtleSBhbGwgdGhlIHNhbWU=";
    let (masked, kinds) = redact(line, false);
    assert!(!masked.contains("bm90IGEg"), "{masked}");
    assert_eq!(kinds.total(), 1);
}
