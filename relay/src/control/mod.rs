//! Control of a relay that runs: what `mailsluice-relay ctl` asks and tells it, as JSON over HTTP on a Unix socket in the spool's
//! folder. Never on a port: who may write to the socket is the relay's own user or root, and in a pod whoever Kubernetes lets
//! run a program there.
//!
//! - [`socket`]: the socket, and who is at its other end; [`client`]: that other end;
//! - [`act`]: retry, hold, release, reject, drop; [`holding`]: what is held; [`store`]: that on disk;
//! - [`queue`]: the messages of a host, page by page; [`status`]: how the relay does; [`level`]: the Log Level; [`test`]: a dry run;
//! - [`trace`]: what a log says of a message, for which no relay is asked.
//!
//! A new word is a question in `mailsluice-ctl`, a file here, and a line in [`routes`].

mod act;
pub mod client;
mod holding;
mod level;
mod queue;
mod socket;
mod status;
mod store;
mod test;
mod trace;

use std::{io, path::Path, sync::Arc};

use axum::{
    Json, Router,
    extract::{ConnectInfo, State},
    http::StatusCode,
    middleware,
    response::{IntoResponse, Response},
    routing::post,
};
use jiff::Timestamp;
use mailsluice_crds::LogLevel;
use mailsluice_ctl::{
    Question,
    words::{
        act::{Act, Acted},
        level::{LevelSet, SetLevel},
        monitor::{MonitorAsked, MonitorSaid},
        queue::{QueueAsked, QueueSaid},
        status::{StatusAsked, StatusSaid},
        test::{Test, Tested},
    },
};
use tokio::{net::UnixListener, sync::Mutex, task::JoinHandle};

pub use holding::Holding;
pub use socket::unbind;
pub use store::Store;

use crate::{clock, delivery::Courier, log::Tag, monitor::Monitor};
use socket::{Peer, SOCKET};

/// What the control socket works with.
struct Control {
    courier: Arc<Courier>,
    monitor: Arc<Monitor>,
    holding: Arc<Holding>,
    started: Timestamp,
    /// One action at a time.
    turn: Mutex<()>,
}

impl Control {
    fn new(courier: Arc<Courier>, monitor: Arc<Monitor>, holding: Arc<Holding>, started: Timestamp) -> Arc<Control> {
        Arc::new(Control { courier, monitor, holding, started, turn: Mutex::default() })
    }
}

/// Opens the socket in the spool's folder, and answers on it until the relay stops. A relay that cannot be told anything still does
/// its work, and says so in its log.
#[must_use]
pub fn start(
    courier: &Arc<Courier>,
    monitor: &Arc<Monitor>,
    holding: Arc<Holding>,
    folder: &Path,
    started: Timestamp,
) -> Option<JoinHandle<io::Result<()>>> {
    match socket::bind(folder) {
        Ok(socket) => {
            let control = Control::new(courier.clone(), monitor.clone(), holding, started);
            Some(tokio::spawn(serve(socket, control)))
        }
        Err(error) => {
            let socket = folder.join(SOCKET);
            let record = courier.log.at(LogLevel::Failures, Tag::Relay);
            record.say(format_args!("`ctl` cannot reach this relay: {}: {error}", socket.display()));
            None
        }
    }
}

async fn serve(socket: UnixListener, control: Arc<Control>) -> io::Result<()> {
    let stop = control.courier.stop.clone();
    axum::serve(socket, routes(control).into_make_service_with_connect_info::<Peer>())
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

fn routes(control: Arc<Control>) -> Router {
    Router::new()
        .route(StatusAsked::PATH, post(status))
        .route(MonitorAsked::PATH, post(monitor))
        .route(QueueAsked::PATH, post(queue))
        .route(Act::PATH, post(act))
        .route(SetLevel::PATH, post(level))
        .route(Test::PATH, post(dry_run))
        .route_layer(middleware::from_fn(socket::authorize))
        .with_state(control)
}

async fn status(State(control): State<Arc<Control>>, Json(StatusAsked {}): Json<StatusAsked>) -> Json<StatusSaid> {
    Json(control.status())
}

async fn monitor(State(control): State<Arc<Control>>, Json(MonitorAsked {}): Json<MonitorAsked>) -> Json<MonitorSaid> {
    Json(MonitorSaid { now: clock::now(), snapshot: control.monitor.whole() })
}

async fn queue(State(control): State<Arc<Control>>, Json(asked): Json<QueueAsked>) -> Json<QueueSaid> {
    Json(control.queue(&asked).await)
}

async fn act(
    State(control): State<Arc<Control>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(wanted): Json<Act>,
) -> Result<Json<Acted>, Refused> {
    // It is done to its end, whether or not anybody waits for the answer.
    let sessions = control.courier.sessions.clone();
    let doing = sessions.spawn(async move { control.act(&wanted, peer).await });
    match doing.await {
        Ok(Ok(acted)) => Ok(Json(acted)),
        Ok(Err(error)) => Err(Refused(error.to_string())),
        Err(error) => Err(Refused(error.to_string())),
    }
}

async fn level(
    State(control): State<Arc<Control>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(wanted): Json<SetLevel>,
) -> Json<LevelSet> {
    Json(control.set_level(wanted, peer))
}

async fn dry_run(
    State(control): State<Arc<Control>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(wanted): Json<Test>,
) -> Json<Tested> {
    // It ends with the answer that somebody waits for, or where nobody does any more.
    Json(control.test(&wanted, peer).await)
}

/// Something could not be done, and why.
struct Refused(String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.0).into_response()
    }
}
