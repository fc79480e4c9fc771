//! The webhook by which the API server has sidecars injected. Every replica serves it, whether it leads or not.
//!
//! - [`review`]: what is answered (pure); [`server`]: where;
//! - [`certificate`]: the authority that the replicas share, and what each signs with it for itself (pure);
//! - [`upkeep`]: keeps the authority in its Secret, and tells the API server of it.

mod certificate;
mod review;
mod server;
mod upkeep;

use std::{io, net::SocketAddr, sync::Arc};

use kube::Client;
use tokio::{sync::watch, task::JoinHandle};

use crate::http;

/// Where the webhook is, and what it keeps in the cluster.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it is served.
    pub address: SocketAddr,
    /// The name or address by which the API server knows it.
    pub host: String,
    /// The Secret, in the operator's own namespace, in which the replicas' authority is.
    pub secret: String,
    /// The MutatingWebhookConfiguration that is told of it.
    pub configuration: String,
}

/// Opens the port, and serves until the task is aborted.
///
/// # Errors
/// The address cannot be taken.
pub async fn start(options: Options, client: Client, image: Arc<str>) -> io::Result<JoinHandle<()>> {
    let socket = http::bind(options.address).await?;
    let (sender, certificate) = watch::channel(None);
    Ok(tokio::spawn(async move {
        tokio::join!(server::serve(socket, certificate, image), upkeep::run(options, client, sender));
    }))
}
