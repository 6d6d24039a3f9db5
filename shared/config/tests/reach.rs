//! How a system over HTTP is reached, and how it knows us.

mod estate;

use config::{Http, Secret, System};
use estate::estate;

const PROMETHEUS: &str = "[connections.x]\nkind = \"prometheus\"\nurl = \"https://a.example/prometheus\"\n";

fn reached(more: &str) -> Result<Http, String> {
    let config = estate().load_text(&format!("{PROMETHEUS}{more}"))?;
    match &config.connections[0].system {
        System::Prometheus(http) => Ok(http.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_header_is_a_text_or_a_secret_kept_elsewhere() {
    let http = reached("headers = { X-Scope-OrgID = \"tenant\", X-Api-Key = { env = \"KEY\" } }\n").unwrap();
    assert_eq!(http.headers, [("X-Scope-OrgID".to_owned(), "tenant".to_owned())]);
    assert_eq!(http.secret_headers, [("X-Api-Key".to_owned(), Secret::Env("KEY".to_owned()))]);
    let http = reached("headers = { Authorization = { file = \"token\" } }\n").unwrap();
    assert!(matches!(&http.secret_headers[0].1, Secret::File(path) if path.is_absolute()));
    for (more, said) in [
        ("headers = { X-Api-Key = \"hunter2\" }\n", "a secret never stands in this file"),
        ("headers = { X-Api-Key = 5 }\n", "expected a text, or { env"),
        ("headers = { Host = { env = \"A\" } }\n", "set for each request"),
        ("headers = { X-A = { env = \"a b\" } }\n", "expected the name of an environment variable"),
        ("bearer = { env = \"A\" }\nheaders = { authorization = { env = \"B\" } }\n", "keep one"),
    ] {
        let error = reached(more).unwrap_err();
        assert!(error.contains(said) && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_certificate_of_ours_is_a_file_and_its_key_and_shown_over_https_only() {
    let both = "client_certificate = { certificate = \"tls/client.pem\", key = \"tls/client.key\" }\n";
    let ours = reached(both).unwrap().client_certificate.unwrap();
    assert!(ours.certificate.is_absolute() && ours.key.ends_with("tls/client.key"));
    let plain = format!("{}{both}", PROMETHEUS.replace("https:", "http:"));
    let error = estate().load_text(&plain).unwrap_err();
    assert!(error.contains("a certificate is shown over https only"), "{error}");
    assert!(reached("client_certificate = { certificate = \"a\" }\n").unwrap_err().contains("key"));
}
