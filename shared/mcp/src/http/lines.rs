//! How does a client that knows only standard input and output reach a socket? A bridge asks for an upgrade, and from then on
//! there are lines, a message each, as on standard input: `bailiwick connect`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::Response,
    routing,
};
use hyper_util::rt::TokioIo;
use policy::Caller;
use telemetry::Telemetry;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Site, answer, listen::Peer};
use crate::{Opened, Server, Starter, server::serve_lines};

/// What a bridge asks for in its header `Upgrade`.
pub const UPGRADE: &str = "mcp-lines";

/// Most bridges of one user at once, so that nobody takes the room of all.
const BRIDGES_OF_ONE_MAX: usize = 64;
/// Most of all users.
const BRIDGES_MAX: usize = 1024;

/// The way into one site.
struct Lines {
    server: Server,
    site: Arc<gate::Gate>,
    telemetry: Telemetry,
    callers: fn(u32) -> Caller,
    bridges: Bridges,
    in_flight: TaskTracker,
    stop: CancellationToken,
}

/// How many bridges each user has open.
#[derive(Clone, Default)]
struct Bridges(Arc<Mutex<HashMap<u32, usize>>>);

/// One that is open.
struct Bridge {
    bridges: Bridges,
    user: u32,
}

/// Adds a way in for bridges to each site, and where there is one site only, one without a name.
pub(crate) fn open(
    mut router: Router,
    sites: &[Site],
    callers: fn(u32) -> Caller,
    in_flight: &TaskTracker,
    stop: &CancellationToken,
) -> Router {
    let bridges = Bridges::default();
    for site in sites {
        let lines = Arc::new(Lines {
            server: Server::of(site),
            site: site.gate.clone(),
            telemetry: site.telemetry.clone(),
            callers,
            bridges: bridges.clone(),
            in_flight: in_flight.clone(),
            stop: stop.clone(),
        });
        let way = routing::get(enter).with_state(lines);
        if sites.len() == 1 {
            router = router.route("/lines", way.clone());
        }
        router = router.route(&format!("/{}/lines", site.word), way);
    }
    if sites.len() != 1 {
        let words: Vec<&str> = sites.iter().map(|it| it.word.as_str()).collect();
        let problem = format!("several servers are served here; name one: {}", words.join(", "));
        router = router
            .route("/lines", routing::get(async move || answer::refuse(StatusCode::NOT_FOUND, &problem)));
    }
    router
}

async fn enter(State(lines): State<Arc<Lines>>, request: Request) -> Response {
    lines.let_in(request)
}

impl Lines {
    fn let_in(&self, mut request: Request) -> Response {
        // Taken before the look at `stop`, so that whoever waits for the last one cannot miss it.
        let token = self.in_flight.token();
        if self.stop.is_cancelled() {
            return answer::refuse(
                StatusCode::SERVICE_UNAVAILABLE,
                "this server is stopping; try again in a moment",
            );
        }
        let Some(Peer::User(user)) = request.extensions().get::<Peer>().copied() else {
            let problem = "the operating system does not say whose connection this is";
            return answer::refuse(StatusCode::FORBIDDEN, problem);
        };
        if request.headers().get(header::UPGRADE).is_none_or(|it| it != UPGRADE) {
            let problem =
                "this is for `bailiwick connect`; clients that speak HTTP use the path that ends in /mcp";
            return answer::refuse_with(StatusCode::UPGRADE_REQUIRED, problem, header::UPGRADE, UPGRADE);
        }
        let Some(bridge) = self.bridges.one_more(user) else {
            return answer::refuse(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many clients of yours are connected; end some",
            );
        };
        let upgraded = hyper::upgrade::on(&mut request);
        let caller = Starter::unproven((self.callers)(user)).fixed();
        let (gate, telemetry) = (self.site.clone(), self.telemetry.clone());
        let server = self.server.with(Opened { gate, caller, telemetry });
        let stop = self.stop.clone();
        self.in_flight.spawn(async move {
            let (_bridge, _token) = (bridge, token);
            let Ok(stream) = upgraded.await else { return };
            let (input, output) = tokio::io::split(TokioIo::new(stream));
            if let Err(error) = serve_lines(server, input, output, stop).await {
                tracing::debug!(%error, "a bridge ended early");
            }
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(UPGRADE));
        response
    }
}

impl Bridges {
    /// Room for one more of a user, if there is.
    fn one_more(&self, user: u32) -> Option<Bridge> {
        let mut open = self.open();
        let all: usize = open.values().sum();
        let own = open.get(&user).copied().unwrap_or_default();
        if own >= BRIDGES_OF_ONE_MAX || all >= BRIDGES_MAX {
            return None;
        }
        open.insert(user, own + 1);
        Some(Bridge { bridges: self.clone(), user })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u32, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let mut open = self.bridges.open();
        if let Some(own) = open.get_mut(&self.user) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_leaves_room_for_others_and_gets_it_back() {
        let bridges = Bridges::default();
        let mut open: Vec<Bridge> = (0..BRIDGES_OF_ONE_MAX).filter_map(|_| bridges.one_more(1)).collect();
        assert_eq!(open.len(), BRIDGES_OF_ONE_MAX);
        assert!(bridges.one_more(1).is_none());
        assert!(bridges.one_more(2).is_some());
        open.pop();
        assert!(bridges.one_more(1).is_some());
        drop(open);
        assert!(bridges.open().is_empty(), "nothing is kept of whoever left");
    }
}
