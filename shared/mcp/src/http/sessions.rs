//! Whose session is it? Sessions of clients before 2026-07-28, each with the caller who began it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use policy::Caller;
use rmcp::{
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
    transport::{
        common::server_side_http::{ServerSseMessage, SessionId},
        streamable_http_server::{SessionManager, session::local::LocalSessionManager},
    },
};
use telemetry::{Telemetry, Transport};

/// The SDK's sessions in memory, and who began each.
#[derive(Default)]
pub(crate) struct Sessions {
    sessions: LocalSessionManager,
    owners: Mutex<HashMap<SessionId, Owner>>,
    /// Who hears how long each lasted, and since when it lasts; none where nobody does.
    told: Telemetry,
    transport: Transport,
    begun: Mutex<HashMap<SessionId, Instant>>,
}

/// The caller of a session: the agent and its person. Teams may change while a session lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    agent: String,
    person: Option<String>,
}

/// Most sessions at once; each takes memory until its client leaves or is silent for five minutes.
const SESSIONS_MAX: usize = 4096;
/// Most of one caller, so that nobody takes the room of all.
const SESSIONS_OF_ONE_MAX: usize = 1024;

impl Owner {
    pub(crate) fn of(caller: &Caller) -> Owner {
        Owner { agent: caller.agent.clone(), person: caller.on_behalf_of.clone() }
    }
}

impl Sessions {
    /// No session yet. Of each that ends, telemetry is told.
    pub(crate) fn told_to(telemetry: &Telemetry, transport: Transport) -> Sessions {
        Sessions { told: telemetry.clone(), transport, ..Sessions::default() }
    }

    /// Notes who began a session. Its id is random and not told to anybody before this.
    pub(crate) fn own(&self, id: &str, owner: Owner) {
        self.owners().insert(id.into(), owner);
    }

    /// Whether a session is this caller's.
    pub(crate) fn is_of(&self, id: &str, owner: &Owner) -> bool {
        self.owners().get(id) == Some(owner)
    }

    /// Whether there is room for another of this caller.
    pub(crate) fn has_room(&self, owner: &Owner) -> bool {
        let owners = self.owners();
        owners.len() < SESSIONS_MAX && owners.values().filter(|it| *it == owner).count() < SESSIONS_OF_ONE_MAX
    }

    fn owners(&self) -> MutexGuard<'_, HashMap<SessionId, Owner>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begun(&self) -> MutexGuard<'_, HashMap<SessionId, Instant>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Failed = <LocalSessionManager as SessionManager>::Error;

impl SessionManager for Sessions {
    type Error = Failed;
    type Transport = <LocalSessionManager as SessionManager>::Transport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Failed> {
        let (id, transport) = self.sessions.create_session().await?;
        if self.told.is_on() {
            self.begun().insert(id.clone(), Instant::now());
        }
        Ok((id, transport))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Failed> {
        self.sessions.initialize_session(id, message).await
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Failed> {
        self.sessions.has_session(id).await
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Failed> {
        self.owners().remove(id);
        // It is closed by its client, and again by the SDK.
        if let Some(begun) = self.begun().remove(id) {
            self.told.session_ended(self.transport, begun.elapsed());
        }
        self.sessions.close_session(id).await
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl futures::Stream<Item = ServerSseMessage> + Send + Sync + 'static, Failed> {
        self.sessions.create_stream(id, message).await
    }

    async fn accept_message(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<(), Failed> {
        self.sessions.accept_message(id, message).await
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl futures::Stream<Item = ServerSseMessage> + Send + Sync + 'static, Failed> {
        self.sessions.create_standalone_stream(id).await
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl futures::Stream<Item = ServerSseMessage> + Send + Sync + 'static, Failed> {
        self.sessions.resume(id, last_event_id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(agent: &str, person: Option<&str>) -> Owner {
        Owner { agent: agent.to_owned(), person: person.map(str::to_owned) }
    }

    #[test]
    fn a_session_is_of_the_caller_who_began_it_and_of_nobody_else() {
        let sessions = Sessions::default();
        let alice = owner("claude-code", Some("alice"));
        sessions.own("s1", alice.clone());
        assert!(sessions.is_of("s1", &alice));
        for other in
            [owner("claude-code", Some("bob")), owner("claude-code", None), owner("x", Some("alice"))]
        {
            assert!(!sessions.is_of("s1", &other), "{other:?}");
        }
        assert!(!sessions.is_of("s2", &alice), "what nobody began is nobody's");
    }

    #[test]
    fn one_caller_leaves_room_for_others() {
        let sessions = Sessions::default();
        let greedy = owner("greedy", None);
        for at in 0..SESSIONS_OF_ONE_MAX {
            assert!(sessions.has_room(&greedy));
            sessions.own(&at.to_string(), greedy.clone());
        }
        assert!(!sessions.has_room(&greedy));
        assert!(sessions.has_room(&owner("other", None)));
    }
}
