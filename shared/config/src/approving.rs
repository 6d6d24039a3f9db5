//! On what terms are people asked to agree, and where is it kept?

use std::time::Duration;

use policy::Vocabulary;

use crate::{
    ConfigError, Issuer, Notify, Page, Secret, document::Excerpt, interpret::Reading, table::ApprovalsTable,
};

/// How agreement is asked for.
#[derive(Clone, Debug)]
pub struct Approving {
    /// Address of the PostgreSQL database that all replicas share; a file in the state folder unless told.
    pub store: Option<Secret>,
    /// How long people have to agree.
    pub approve_within: Duration,
    /// How long after that the action can be carried out.
    pub execute_within: Duration,
    /// Most approvals of one person within an hour.
    pub approvals_per_hour: u64,
    /// Longest that one person may approve alone, once they break the glass.
    pub break_glass_max: Duration,
    /// How long after its end another person has to review it.
    pub review_within: Duration,
    /// Who hears of it.
    pub notify: Vec<Notify>,
    /// Where they look at it and decide in a browser; nowhere unless told.
    pub page: Option<Page>,
}

const MINUTE: Duration = Duration::from_secs(60);
/// A day is a shift or three: who has not agreed by then does not know what it is about any more.
const APPROVE_MAX: Duration = Duration::from_secs(24 * 3600);
/// What was looked at hours ago is not what is there now.
const EXECUTE_MAX: Duration = Duration::from_secs(4 * 3600);
/// Whoever acts alone for longer can wake somebody up.
const GLASS_MAX: Duration = Duration::from_secs(4 * 3600);
/// What nobody looked at for a month nobody remembers.
const REVIEW_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

impl Default for Approving {
    fn default() -> Approving {
        Approving {
            store: None,
            approve_within: 60 * MINUTE,
            execute_within: 15 * MINUTE,
            approvals_per_hour: 30,
            break_glass_max: 60 * MINUTE,
            review_within: 72 * 60 * MINUTE,
            notify: Vec::new(),
            page: None,
        }
    }
}

impl Reading<'_, '_> {
    pub(crate) fn approving(
        &mut self,
        table: &ApprovalsTable,
        vocabulary: &Vocabulary,
        issuers: &[Issuer],
    ) -> Result<Approving, ConfigError> {
        let usual = Approving::default();
        let store = table.store.clone().map(|it| self.secret(&["approvals", "store"], it)).transpose()?;
        let within = |key: &str, text: &Option<String>, most: Duration, usual: Duration, right: &str| {
            let Some(text) = text else { return Ok(usual) };
            let span: Option<jiff::Span> = text.parse().ok();
            let within = span.and_then(|it| it.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok());
            let within = within.and_then(|it| Duration::try_from(it).ok());
            let wrong = || self.document.wrong(&["approvals", key], right, Excerpt::ShowsValue);
            within.filter(|it| (MINUTE..=most).contains(it)).ok_or_else(wrong)
        };
        let right = "expected 1 minute to 24 hours, e.g. `60m`";
        let approve_within =
            within("approve_within", &table.approve_within, APPROVE_MAX, usual.approve_within, right)?;
        let right = "expected 1 minute to 4 hours, e.g. `15m`";
        let execute_within =
            within("execute_within", &table.execute_within, EXECUTE_MAX, usual.execute_within, right)?;
        let approvals_per_hour = table.approvals_per_hour.unwrap_or(usual.approvals_per_hour);
        if !(1..=1000).contains(&approvals_per_hour) {
            let path = ["approvals", "approvals_per_hour"];
            return Err(self.document.wrong(&path, "expected 1 to 1000", Excerpt::ShowsValue));
        }
        let right = "expected 1 minute to 4 hours, e.g. `1h`";
        let break_glass_max =
            within("break_glass_max", &table.break_glass_max, GLASS_MAX, usual.break_glass_max, right)?;
        let right = "expected 1 minute to 30 days, e.g. `72h`";
        let review_within =
            within("review_within", &table.review_within, REVIEW_MAX, usual.review_within, right)?;
        let notify = self.notify(&table.notify, vocabulary)?;
        let page = table.page.as_ref().map(|it| self.page(it, issuers)).transpose()?;
        Ok(Approving {
            store,
            approve_within,
            execute_within,
            approvals_per_hour,
            break_glass_max,
            review_within,
            notify,
            page,
        })
    }
}
