//! HTTP over TLS: with the configured certificate, and never without.

use std::fs;

use testkit::{backends::GitRepository, cli::Home, http, remote::Served};

/// A home whose server shows a certificate for this machine, and that certificate.
fn home() -> (Home, GitRepository, String) {
    let shop = GitRepository::shop();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate can be made");
    let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&format!(
        "[http]\ncertificate = {{ certificate = \"tls.crt\", key = \"tls.key\" }}\n\
         [connections.shop]\nkind = \"git\"\npath = {:?}\n",
        shop.path(),
    ));
    home.file("tls.crt", &made.cert.pem());
    home.file("tls.key", &made.signing_key.serialize_pem());
    (home, shop, made.cert.pem())
}

#[tokio::test]
async fn a_certificate_is_shown_and_plain_http_is_not_understood() {
    let (home, _shop, pem) = home();
    let served = Served::start(&home, &["code"], &["--unproven"]);
    let address = served.address();
    assert!(served.errors().contains(&format!("https://{address}/code/mcp")), "{}", served.errors());
    let trusted = reqwest::Certificate::from_pem(pem.as_bytes()).expect("PEM");
    let client =
        reqwest::Client::builder().add_root_certificate(trusted).no_proxy().build().expect("a client");
    let alive = client.get(format!("https://{address}/healthz")).send().await.expect("an answer");
    assert_eq!(alive.status(), 200);
    let strange = reqwest::Client::builder().no_proxy().build().expect("a client");
    let untrusted = strange.get(format!("https://{address}/healthz")).send().await;
    assert!(untrusted.is_err(), "nobody else vouches for it");
    let plain = http::get(address, "/healthz");
    assert!(plain.is_err(), "{plain:?}");
    assert!(served.stop().success());
}

#[test]
fn a_certificate_that_cannot_be_read_serves_nothing() {
    let (home, _shop, _) = home();
    for (file, text) in [("tls.key", "no key"), ("tls.crt", "no certificate"), ("tls.crt", "")] {
        let path = home.config_folder().join(file);
        let right = fs::read(&path).expect("it was written");
        fs::write(&path, text).expect("a temporary folder is writable");
        let ended = home.run(["serve", "code", "--http", "127.0.0.1:0", "--unproven"]).expect(5);
        assert!(ended.stderr.contains("cannot be served"), "{ended:?}");
        fs::write(&path, right).expect("a temporary folder is writable");
    }
}
