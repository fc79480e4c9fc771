//! What the API server is asked for, and whether it may be.

use std::{fmt, time::Duration};

use kube::{
    Client, Config,
    client::UpgradeConnectionError,
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::{error::PluginError, options::Where};

/// An API server that has not answered by then is not there.
const CONNECT: Duration = Duration::from_secs(10);

/// A right of Kubernetes' RBAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Right {
    /// The verb.
    pub(crate) verb: &'static str,
    /// The resource, with its subresource.
    pub(crate) resource: &'static str,
    /// The API group; empty for the core one.
    pub(crate) group: &'static str,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Right { verb, resource, group } = self;
        let dot = if group.is_empty() { "" } else { "." };
        write!(f, "{verb} {resource}{dot}{group}")
    }
}

/// A cluster, and the namespace that is meant.
#[derive(Clone)]
pub(crate) struct Cluster {
    /// The way to its API server.
    pub(crate) client: Client,
    /// The namespace.
    pub(crate) namespace: String,
}

impl Cluster {
    /// Finds the way as kubectl does: the options, `KUBECONFIG`, `~/.kube/config`, the pod that this runs in.
    pub(crate) async fn connect(place: &Where) -> Result<Cluster, PluginError> {
        let options = KubeConfigOptions { context: place.context.clone(), ..KubeConfigOptions::default() };
        let mut config = match &place.kubeconfig {
            Some(file) => {
                let kubeconfig = Kubeconfig::read_from(file).map_err(config_error)?;
                Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(config_error)?
            }
            None if place.context.is_some() => Config::from_kubeconfig(&options).await.map_err(config_error)?,
            None => Config::infer().await.map_err(config_error)?,
        };
        config.connect_timeout = Some(CONNECT);
        let namespace = place.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(config_error)?;
        Ok(Cluster { client, namespace })
    }

    /// Waits for an answer, and says of a refusal which right is missing.
    pub(crate) async fn ask<T>(
        &self,
        right: Right,
        answer: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, PluginError> {
        answer.await.map_err(|error| self.explain(right, &error))
    }

    /// What an error of the API server means for who asked.
    pub(crate) fn explain(&self, right: Right, error: &kube::Error) -> PluginError {
        match code(error) {
            Some(401) => PluginError::Config("the cluster does not know who you are (401 Unauthorized)".into()),
            Some(403) => PluginError::Forbidden { right, namespace: self.namespace.clone() },
            Some(404) if right.group == mailsluice_crds::GROUP && right.verb == "list" => PluginError::NotInstalled,
            _ => PluginError::Api { right, said: said(error) },
        }
    }
}

/// The HTTP status of an answer.
pub(crate) fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(status)) => Some(status.as_u16()),
        _ => None,
    }
}

/// What went wrong, with its causes, and without the name of an enum.
pub(crate) fn said(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return status.message.clone();
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

fn config_error(error: impl std::error::Error) -> PluginError {
    PluginError::Config(error.to_string())
}
