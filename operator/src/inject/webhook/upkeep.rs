//! Keeps the replicas' authority in its Secret, tells the API server of it, and signs this replica's certificate.

use std::{sync::Arc, time::Duration};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use json_patch::{AddOperation, Patch as JsonPatch, PatchOperation, jsonptr::PointerBuf};
use k8s_openapi::{
    ByteString,
    api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Secret},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use rustls::ServerConfig;
use tokio::{sync::watch, time};
use tracing::{info, warn};

use super::{
    Options,
    certificate::{Authority, CertificateError},
};
use crate::names;

/// How often it is looked at whether all is as it should be.
const LOOK: Duration = Duration::from_secs(60);
/// After something failed, or another replica was quicker.
const RETRY: Duration = Duration::from_secs(5);
/// How long a look may take.
const CALLS: Duration = Duration::from_secs(30);
/// How often this replica signs another certificate, which is good for three times as long.
const OWN_DAYS: i32 = 10;

/// Why the webhook is not in order.
#[derive(Debug, thiserror::Error)]
enum UpkeepError {
    #[error("the Secret {0:?}: {1}")]
    Secret(String, #[source] kube::Error),
    #[error("the MutatingWebhookConfiguration {0:?}: {1}")]
    Configuration(String, #[source] kube::Error),
    #[error("the certificate: {0}")]
    Certificate(#[from] CertificateError),
    #[error("the API server has not answered within {} s", CALLS.as_secs())]
    Late,
}

/// What is served now.
struct Served {
    authority: Authority,
    signed: Date,
}

/// Keeps it in order for ever.
pub(super) async fn run(options: Options, client: Client, certificate: watch::Sender<Option<Arc<ServerConfig>>>) {
    let mut served: Option<Served> = None;
    loop {
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        let looked = time::timeout(CALLS, look(&options, &client, &certificate, &mut served, today)).await;
        let wait = match looked.unwrap_or(Err(UpkeepError::Late)) {
            Ok(()) => LOOK,
            Err(error) => {
                warn!(%error, "the webhook is not in order, and pods go without a sidecar; it is tried again");
                RETRY
            }
        };
        time::sleep(wait).await;
    }
}

async fn look(
    options: &Options,
    client: &Client,
    certificate: &watch::Sender<Option<Arc<ServerConfig>>>,
    served: &mut Option<Served>,
    today: Date,
) -> Result<(), UpkeepError> {
    let authority = authority(options, client, today).await?;
    // The API server first, so that it knows the authority of what it is shown.
    tell(options, client, &authority).await?;
    let good = |served: &Served| served.authority == authority && (today - served.signed).get_days() < OWN_DAYS;
    if !served.as_ref().is_some_and(good) {
        certificate.send_replace(Some(authority.serve_as(&options.host, today)?));
        info!(host = options.host, "the webhook has a new certificate");
        *served = Some(Served { authority, signed: today });
    }
    Ok(())
}

/// The authority that is in the Secret, or a new one where it is time. Of several replicas one is the quickest, and the others read it then.
async fn authority(options: &Options, client: &Client, today: Date) -> Result<Authority, UpkeepError> {
    let secrets: Api<Secret> = Api::default_namespaced(client.clone());
    let failed = |error| UpkeepError::Secret(options.secret.clone(), error);
    let mut secret = secrets.get(&options.secret).await.map_err(failed)?;
    let before = Authority::of(&secret);
    if let Some(authority) = before.as_ref().filter(|before| !before.is_due(today)) {
        return Ok(authority.clone());
    }
    let authority = Authority::new(before.as_ref(), today)?;
    secret.data = Some(authority.data());
    secret.metadata.managed_fields = None;
    let parameters = PostParams { field_manager: Some(names::MANAGER.into()), ..PostParams::default() };
    // Not over what another replica has written since: the version is part of the metadata.
    secrets.replace(&options.secret, &parameters, &secret).await.map_err(failed)?;
    info!(secret = options.secret, "the webhook has a new authority");
    Ok(authority)
}

/// Tells the API server whom to believe, where it does not know.
async fn tell(options: &Options, client: &Client, authority: &Authority) -> Result<(), UpkeepError> {
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let failed = |error| UpkeepError::Configuration(options.configuration.clone(), error);
    let configuration = configurations.get(&options.configuration).await.map_err(failed)?;
    let bundle = ByteString(authority.certificates.clone().into_bytes());
    let stale = configuration.webhooks.iter().flatten().enumerate();
    let stale = stale.filter(|(_, webhook)| webhook.client_config.ca_bundle.as_ref() != Some(&bundle));
    let patch: Vec<_> = stale
        .map(|(place, _)| {
            let path = PointerBuf::from_tokens(["webhooks", &place.to_string(), "clientConfig", "caBundle"]);
            PatchOperation::Add(AddOperation { path, value: serde_json::json!(bundle) })
        })
        .collect();
    if !patch.is_empty() {
        let patch = Patch::<MutatingWebhookConfiguration>::Json(JsonPatch(patch));
        configurations.patch(&options.configuration, &PatchParams::default(), &patch).await.map_err(failed)?;
        info!(configuration = options.configuration, "the API server knows the webhook's authority");
    }
    Ok(())
}
