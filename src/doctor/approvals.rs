//! Could people agree to anything, where that is kept?

use approval::{Place, Store, Tables};
use config::Config;

use super::Check;
use crate::open;

/// Whether the store opens and holds the tables that servers here work with. Nothing is made.
pub(super) async fn check(config: &Config) -> Check {
    let without = "until it opens no effect begins, and nobody can agree to one";
    let place = match open::place(config) {
        Ok(place) => place,
        Err(error) => {
            let instead = format!("provide the secret of [approvals] store; {without}");
            return Check::broken("approvals", format!("{error:#}"), &instead);
        }
    };
    let named = place.to_string();
    match Store::tables(&place).await {
        Ok(Tables::Current) => Check::well("approvals", format!("{named}: opens, its tables are current")),
        Ok(Tables::Older) => Check::well(
            "approvals",
            format!("{named}: opens; the next server that needs it renews its tables"),
        ),
        Ok(Tables::None) => Check::well(
            "approvals",
            format!("{named}: holds nothing yet; the first server that needs it makes it"),
        ),
        Err(error) => {
            let (found, what) = (
                error.to_string(),
                match place {
                    Place::File(_) => "the file",
                    Place::Postgres(_) => "the database and [approvals] store",
                },
            );
            let found = if found.contains(&named) { found } else { format!("{named}: {found}") };
            Check::broken("approvals", found, &format!("correct {what}; {without}"))
        }
    }
}
