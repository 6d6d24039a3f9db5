//! Where traces and metrics go.

mod estate;

use config::{Secret, Telemetry};
use estate::estate;

fn telemetry(text: &str) -> Result<Telemetry, String> {
    let config = estate().load_text(&format!("[telemetry]\n{text}"))?;
    Ok(config.telemetry.expect("it is told"))
}

#[test]
fn an_address_is_enough() {
    let local = telemetry("otlp = \"http://127.0.0.1:4318\"\n").unwrap();
    assert_eq!(local.http.url.as_str(), "http://127.0.0.1:4318/");
    assert_eq!((local.service_name.as_str(), local.attributes.len()), ("bailiwick", 0));
}

#[test]
fn nothing_is_told_unless_the_file_says_so() {
    let mut estate = estate();
    for name in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] {
        estate.set(name, "http://127.0.0.1:4318");
    }
    assert!(estate.load().unwrap().telemetry.is_none(), "without a file");
    assert!(estate.load_text("").unwrap().telemetry.is_none(), "with one");
}

#[test]
fn who_we_are_and_how_we_prove_it_stands_in_the_file_and_secrets_do_not() {
    let told = telemetry(
        "otlp = \"https://otlp.example.com/tenant\"\nservice_name = \"shop\"\n\
         attributes = { \"deployment.environment.name\" = \"production\" }\n\
         headers = { X-Tenant = \"shop\", X-Api-Key = { env = \"OTLP_KEY\" } }\n",
    )
    .unwrap();
    assert_eq!(told.service_name, "shop");
    let environment = ("deployment.environment.name".to_owned(), "production".to_owned());
    assert_eq!(told.attributes, [environment]);
    assert_eq!(told.http.secret_headers, [("X-Api-Key".to_owned(), Secret::Env("OTLP_KEY".to_owned()))]);
}

#[test]
fn plain_http_stays_on_this_machine_unless_the_file_says_otherwise() {
    let error = telemetry("otlp = \"http://otlp.example.com\"\n").unwrap_err();
    assert!(error.contains("telemetry.otlp") && error.contains("plain = true"), "{error}");
    assert!(telemetry("otlp = \"http://otlp.example.com\"\nplain = true\n").is_ok());
}

#[test]
fn what_cannot_be_meant_is_refused_at_its_place() {
    for (text, place, said) in [
        ("otlp = \"https://u:hunter2@a.example\"\n", "telemetry.otlp", "must not hold a user name"),
        ("otlp = \"grpc://a.example:4317\"\n", "telemetry.otlp", "https://"),
        ("otlp = \"https://a.example/v1/traces\"\n", "telemetry.otlp", "are appended"),
        ("otlp = \"https://a.example\"\nservice_name = \"\"\n", "telemetry.service_name", "1 to 256"),
        (
            "otlp = \"https://a.example\"\nattributes = { \"service.name\" = \"x\" }\n",
            "telemetry.attributes.service.name",
            "service_name",
        ),
        (
            "otlp = \"https://a.example\"\nheaders = { X-Api-Key = \"hunter2\" }\n",
            "telemetry.headers.X-Api-Key",
            "a secret never stands in this file",
        ),
        ("otlp = \"https://a.example\"\nendpoint = \"x\"\n", "telemetry", "unknown key"),
    ] {
        let error = telemetry(text).unwrap_err();
        assert!(
            error.contains(place) && error.contains(said) && !error.contains("hunter2"),
            "{text}: {error}"
        );
    }
}
