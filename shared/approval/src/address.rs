//! Does the address of a shared database say only what its driver understands?
//!
//! The driver would put a parameter that it does not know into the log, value and all, and go on without it: a misspelt `password`
//! is a secret, and a misspelt `sslmode` was meant to hold.

use crate::StoreError;

/// What the driver reads from an address: <https://docs.rs/sqlx/0.9/sqlx/postgres/struct.PgConnectOptions.html>.
const KNOWN: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];
/// Longest name that an error repeats.
const NAME_BYTES_MAX: usize = 32;

/// Refuses an address with another parameter. The error names it, and never what it says.
pub(crate) fn understood(address: &str) -> Result<(), StoreError> {
    // What is no address at all is refused when it is opened.
    let Ok(address) = url::Url::parse(address) else { return Ok(()) };
    let parts = address.query().unwrap_or_default().split('&').filter(|it| !it.is_empty());
    for (at, part) in parts.enumerate() {
        let (name, _) = url::form_urlencoded::parse(part.as_bytes()).next().unwrap_or_default();
        let setting = name.strip_prefix("options[").is_some_and(|it| it.ends_with(']'));
        if setting || KNOWN.contains(&&*name) {
            continue;
        }
        let letter = |it: u8| it.is_ascii_alphabetic() || b"_-".contains(&it);
        let plain = name.len() <= NAME_BYTES_MAX && name.bytes().all(letter);
        // Without a value it may be the end of the value before, which has to write its `&` as %26.
        let named = match plain && part.contains('=') {
            true => format!("parameter `{name}`"),
            false => format!("parameter number {}", at + 1),
        };
        let known = KNOWN.join(", ");
        return Err(StoreError::Unavailable(format!("its address has an unknown {named}; known: {known}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;

    const BASE: &str = "postgres://bailiwick:secret@db.example.com:5433/approvals";

    #[test]
    fn what_the_driver_knows_is_understood() {
        understood(BASE).unwrap();
        for name in KNOWN {
            understood(&format!("{BASE}?sslmode=verify-full&{name}=x")).unwrap();
        }
        understood(&format!("{BASE}?options[search_path]=one&options%5Bstatement_timeout%5D=2&")).unwrap();
    }

    #[test]
    fn another_parameter_is_named_and_never_what_it_says() {
        for (query, named) in [
            ("pasword=hunter2", "parameter `pasword`"),
            ("sslmode=require&Password=hunter2", "parameter `Password`"),
            ("pass%77rd=hunter2", "parameter `passwrd`"),
            ("password=left&hunter2", "parameter number 2"),
            ("password=left&hunter2=1", "parameter number 2"),
            ("options[hunter2", "parameter number 1"),
            ("=hunter2", "parameter ``"),
        ] {
            let told = understood(&format!("{BASE}?{query}")).unwrap_err().to_string();
            assert!(told.contains(&format!("an unknown {named}; known: application_name, ")), "{told}");
            assert!(!told.contains("hunter2") && !told.contains("secret"), "{told}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_an_address_says_is_told(secret in "[A-Z0-9&=?#%+]{6,40}") {
            let told = understood(&format!("{BASE}?unknown=S3CR3T{secret}"));
            let told = told.expect_err("no driver knows it").to_string();
            prop_assert!(!told.contains("S3CR3T"), "{told}");
        }
    }
}
