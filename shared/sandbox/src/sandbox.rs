//! How is a sandbox started, and how does it end?

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::serve::ListenerExt;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    Plan, SandboxError, World,
    faces::{self, git::GitFace},
    production::Production,
};

/// How often the world is asked to go on; it scrapes at its own pace.
const TICK: Duration = Duration::from_secs(1);

/// A small production that runs: its world goes on with the clock, its faces answer on loopback ports. All of it ends
/// when this is dropped.
#[derive(Debug)]
pub struct Sandbox {
    production: Arc<Production>,
    /// Where each face listens, by its name.
    addresses: Vec<(&'static str, SocketAddr)>,
    repository: Arc<Mutex<GitFace>>,
    _folder: TempDir,
    /// Servers and the clock; dropping ends them.
    _tasks: JoinSet<()>,
}

impl Sandbox {
    /// Makes the world of a plan with all of its history, and has its faces listen. Returns when they answer.
    ///
    /// Runs in the surrounding tokio runtime, and ends with it at the latest.
    pub async fn start(plan: Plan) -> Result<Sandbox, SandboxError> {
        let folder = tempfile::tempdir().map_err(SandboxError::Start)?;
        let path = folder.path().join("estate.git");
        let made = tokio::task::spawn_blocking(move || {
            let production = Production::new(plan);
            let repository = GitFace::make(&path, &production.world())?;
            Ok::<_, SandboxError>((Arc::new(production), Arc::new(Mutex::new(repository))))
        });
        let (production, repository) =
            made.await.map_err(std::io::Error::other).map_err(SandboxError::Start)??;
        let mut tasks = JoinSet::new();
        let mut addresses = Vec::new();
        for face in faces::HTTP {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(SandboxError::Start)?;
            addresses.push((face.name, listener.local_addr().map_err(SandboxError::Start)?));
            let routes = (face.routes)(Arc::clone(&production));
            // Without it, answers wait for acknowledgements of the ones before. A socket that refuses is only slower.
            let listener = listener.tap_io(|it| drop(it.set_nodelay(true)));
            tasks.spawn(async move {
                // It has no end of its own; it is dropped with the sandbox.
                let _ = axum::serve(listener, routes).await;
            });
        }
        tasks.spawn(live(Arc::clone(&production), Arc::clone(&repository)));
        Ok(Sandbox { production, addresses, repository, _folder: folder, _tasks: tasks })
    }

    /// Base address of its Prometheus.
    pub fn prometheus_url(&self) -> String {
        self.url("prometheus")
    }

    /// Base address of its Alertmanager.
    pub fn alertmanager_url(&self) -> String {
        self.url("alertmanager")
    }

    /// Its bare git repository.
    pub fn repository(&self) -> PathBuf {
        self.lock_repository().path().to_owned()
    }

    /// The commit that brought a change, by the change's id.
    pub fn commit_of(&self, change: &str) -> Option<String> {
        self.lock_repository().commit_of(change).map(str::to_owned)
    }

    /// The world, for acts. It stands still while this is held, so hold it briefly.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.production.world()
    }

    /// What it was made from.
    pub fn plan(&self) -> &Plan {
        self.production.plan()
    }

    fn lock_repository(&self) -> MutexGuard<'_, GitFace> {
        self.repository.lock().unwrap_or_else(|it| it.into_inner())
    }

    fn url(&self, face: &str) -> String {
        let address = self.addresses.iter().find(|it| it.0 == face).map(|it| it.1);
        format!("http://{}", address.expect("every face of the list listens"))
    }
}

/// Goes on with the clock until it is dropped.
async fn live(production: Arc<Production>, repository: Arc<Mutex<GitFace>>) {
    let mut clock = tokio::time::interval(TICK);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        clock.tick().await;
        let (production, repository) = (Arc::clone(&production), Arc::clone(&repository));
        let step = tokio::task::spawn_blocking(move || {
            production.advance(Timestamp::now());
            let world = production.world();
            repository.lock().unwrap_or_else(|it| it.into_inner()).follow(&world)
        });
        match step.await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(%error, "the sandbox's repository does not follow its world"),
            Err(error) => {
                tracing::error!(%error, "the sandbox's world no longer goes on");
                return;
            }
        }
    }
}
