//! The systems behind the tools, and the one place where blocking work runs.

mod authors;
mod blame;
mod change;
mod commit;
mod edit;
mod file;
mod files;
mod gone;
mod odd;
mod repository;
mod resolve;
mod search;
mod similar;
mod stop;
mod touched;
mod walk;

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use config::{Connection, System};
use policy::Target;
use tokio::{
    sync::Semaphore,
    task::JoinError,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tool::{Context, ToolError, args::Slug};

use crate::filters::Least;

pub(crate) use authors::{Author, Places};
pub(crate) use blame::{Asked, Origin};
pub(crate) use change::{Budget, is_binary};
pub(crate) use commit::Commit;
pub(crate) use edit::Edit;
pub(crate) use file::{Entry, Found, KIND};
pub(crate) use files::{Files, TreeFile};
pub(crate) use repository::{Opened, Repository};
pub(crate) use resolve::Resolved;
pub(crate) use search::{FILE_BYTES_MAX, Matched, Searched};
pub(crate) use stop::Stop;
pub(crate) use touched::{Side, Touched};
pub(crate) use walk::{Filter, Listed, Walk, Walked};

/// Repositories read at once; more wait.
const READS_MAX: usize = 8;

/// What the tools of this server share.
pub struct Backends {
    repositories: Vec<Arc<Repository>>,
    reads: Arc<Semaphore>,
}

/// A connection that cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// Write where it is, in full.
    #[error("connection `{connection}`: `{path}` depends on the working directory; write an absolute path")]
    Relative {
        /// Its name.
        connection: String,
        /// As configured.
        path: String,
    },
}

impl Backends {
    /// Takes the connections that are git repositories. None is opened before it is asked, so that starting costs
    /// nothing and a repository that is missing today may be there tomorrow.
    pub fn new(connections: &[Connection]) -> Result<Backends, ConnectionError> {
        let mut repositories = Vec::new();
        for connection in connections {
            let System::Git(git) = &connection.system else { continue };
            if !git.path.is_absolute() {
                let (connection, path) = (connection.name.clone(), git.path.display().to_string());
                return Err(ConnectionError::Relative { connection, path });
            }
            repositories.push(Arc::new(Repository::new(connection.clone(), git.path.clone())));
        }
        Ok(Backends { repositories, reads: Arc::new(Semaphore::new(READS_MAX)) })
    }

    /// Searches with filters below a cache folder, and makes them beside the searches that would have been quicker with them.
    /// The thread that makes them ends when the last that holds this lets go of it.
    pub fn filtering(mut self, cache: &Path) -> Backends {
        let busy = Arc::new(AtomicBool::new(false));
        let filtering = |it: &Arc<Repository>| Arc::new(it.filtering(cache, &busy, Least::USUAL));
        self.repositories = self.repositories.iter().map(filtering).collect();
        self
    }

    /// Opens a repository as a call would, and reads nothing of it. Blocks; for a person who asks what is broken.
    pub fn check(&self, connection: &str) -> Result<(), ToolError> {
        let named = self.repositories.iter().find(|it| it.name() == connection);
        let absent = || ToolError::NotFound {
            kind: "connection",
            name: connection.to_owned(),
            suggestions: Vec::new(),
        };
        named.ok_or_else(absent)?.open().map(drop)
    }

    /// The repository that an argument means.
    pub(crate) fn repository(&self, wanted: Option<&Slug>) -> Result<Arc<Repository>, ToolError> {
        tool::pick(&self.repositories, wanted, "git", |it| it.target()).cloned()
    }

    /// The repository that an argument means, as a target.
    pub(crate) fn target(&self, wanted: Option<&Slug>) -> Result<Target, ToolError> {
        self.repository(wanted).map(|it| it.target())
    }

    /// Reads a repository on a blocking thread: the one place where this server blocks. The work stops when the call is
    /// cancelled, when its deadline nears, and when nobody waits for it any more.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        context: &Context,
        repository: Arc<Repository>,
        work: impl FnOnce(&Opened, &Stop) -> Result<T, ToolError> + Send + 'static,
    ) -> Result<T, ToolError> {
        self.read_until(context.deadline(), context.cancelled(), repository, work).await
    }

    async fn read_until<T: Send + 'static>(
        &self,
        deadline: Instant,
        cancelled: &CancellationToken,
        repository: Arc<Repository>,
        work: impl FnOnce(&Opened, &Stop) -> Result<T, ToolError> + Send + 'static,
    ) -> Result<T, ToolError> {
        let busy = || repository.unavailable(&format!("{READS_MAX} other reads did not end in time"));
        let slot = timeout_at(deadline, self.reads.clone().acquire_owned()).await;
        let slot = slot.map_err(|_| busy())?.map_err(|_| busy())?;
        let given_up = cancelled.child_token();
        let _stops_with_this_future = given_up.clone().drop_guard();
        let stop = Stop::new(given_up, deadline.into_std());
        let reading = {
            let repository = repository.clone();
            tokio::task::spawn_blocking(move || {
                // Held by the thread: when nobody waits any more, the read still counts until it has ended.
                let _slot = slot;
                let answer = work(&repository.open()?, &stop)?;
                match stop.is_cancelled() {
                    true => Err(repository.unavailable("the call was cancelled")),
                    false => Ok(answer),
                }
            })
        };
        match reading.await.map_err(JoinError::try_into_panic) {
            Ok(answer) => answer,
            // The gate catches panics of tools in one place; this one is its business too.
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            Err(Err(_)) => Err(repository.unavailable("the server is shutting down")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;
    use crate::tests::Fixture;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_cancelled_read_stops_and_so_does_one_that_nobody_waits_for() {
        let fixture = Fixture::with_commits();
        let backends = fixture.backends();
        let repository = backends.repository(None).expect("the only one");
        let cancelled = CancellationToken::new();
        let (started, has_started) = mpsc::channel();
        let (ended, has_ended) = mpsc::channel();
        let work = move |_: &Opened<'_>, stop: &Stop| {
            started.send(()).expect("the test waits");
            while !stop.is_reached() {
                std::thread::yield_now();
            }
            ended.send(()).expect("the test waits");
            Ok(())
        };
        let reading = backends.read_until(soon(), &cancelled, repository.clone(), work.clone());
        let cancelling = async {
            tokio::task::yield_now().await;
            cancelled.cancel();
        };
        let (answer, ()) = tokio::join!(reading, cancelling);
        assert_eq!(answer.expect_err("cancelled").code(), "unavailable");
        has_ended.recv_timeout(Duration::from_secs(10)).expect("the thread ended");

        has_started.try_iter().count();
        let never = CancellationToken::new();
        let mut abandoned = Box::pin(backends.read_until(soon(), &never, repository, work));
        assert!(futures_poll(abandoned.as_mut()).await.is_none());
        has_started.recv_timeout(Duration::from_secs(10)).expect("the thread started");
        drop(abandoned);
        has_ended.recv_timeout(Duration::from_secs(10)).expect("the thread ended");
    }

    /// Polls once.
    async fn futures_poll<T>(future: std::pin::Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Option<T> {
        tokio::time::timeout(Duration::ZERO, future).await.ok()
    }

    #[tokio::test]
    async fn work_ends_before_the_deadline_does() {
        let fixture = Fixture::with_commits();
        let backends = fixture.backends();
        let repository = backends.repository(None).expect("the only one");
        let deadline = Instant::now() + Duration::from_secs(3);
        let work = |_: &Opened<'_>, stop: &Stop| {
            while !stop.is_reached() {
                std::thread::yield_now();
            }
            Ok(())
        };
        backends.read_until(deadline, &CancellationToken::new(), repository, work).await.expect("an answer");
        assert!(Instant::now() < deadline);
    }

    #[test]
    fn a_path_that_depends_on_the_working_directory_is_refused() {
        let connection = crate::tests::connection("shop", "repositories/shop".as_ref());
        let problem = Backends::new(&[connection]).err().expect("relative").to_string();
        assert!(problem.contains("write an absolute path"), "{problem}");
    }

    #[test]
    fn starting_opens_nothing_and_a_missing_repository_is_said_when_asked() {
        let connection = crate::tests::connection("shop", "/nonexistent/shop".as_ref());
        let backends = Backends::new(&[connection]).expect("not opened");
        let repository = backends.repository(None).expect("configured");
        let problem = repository.open().err().expect("missing").to_string();
        assert_eq!(problem, "shop is unavailable: its configured path does not exist");
    }
}
