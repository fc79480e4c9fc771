//! The sidecar in a pod that asks for it by the label `mailsluice.dev/inject`.
//!
//! - [`wanted`]: what the pod asks for, and why it may get nothing;
//! - [`sidecar`]: the container and the volume that come into it;
//! - [`fault`]: what is wrong with a pod that asks for one;
//! - [`webhook`]: where the API server asks for it.
//!
//! What is injected follows from the pod and the sidecar's image alone, so that it is the same whoever does it.

pub mod fault;
mod sidecar;
pub mod wanted;
pub mod webhook;

#[cfg(test)]
mod tests;

use json_patch::{AddOperation, Patch, PatchOperation, jsonptr::PointerBuf};
use k8s_openapi::{api::core::v1::PodSpec, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use serde_json::{Value, json};

pub use wanted::{Refusal, Wanted};

/// The label by which a pod asks for a sidecar; its value is the relay that the mail goes to.
pub const LABEL: &str = "mailsluice.dev/inject";

/// The sidecar's container, by which a pod is known to have one, and its volume.
pub const NAME: &str = "mailsluice";

/// What brings the sidecar into a pod, or a template of one, with paths from its root; `None` where none is asked for, or there is one.
///
/// # Errors
/// See [`Refusal`].
pub fn patch(metadata: &ObjectMeta, spec: &PodSpec, image: &str) -> Result<Option<Patch>, Refusal> {
    let Some(wanted) = Wanted::of(metadata)? else { return Ok(None) };
    if has_sidecar(spec) {
        return Ok(None);
    }
    wanted::admits(spec)?;
    let container = sidecar::container(&wanted, image);
    let volume = sidecar::volume(&wanted);
    Ok(Some(Patch(vec![
        // First, so that other init containers can send mail.
        add("initContainers", "0", spec.init_containers.is_some(), container),
        add("volumes", "-", spec.volumes.is_some(), volume),
    ])))
}

/// Whether the pod has a sidecar.
#[must_use]
pub fn has_sidecar(spec: &PodSpec) -> bool {
    spec.init_containers.iter().flatten().any(|container| container.name == NAME)
}

/// Adds an entry to a list, or the list with it.
fn add(list: &str, place: &str, exists: bool, entry: Value) -> PatchOperation {
    let (path, value) = match exists {
        true => (PointerBuf::from_tokens(["spec", list, place]), entry),
        false => (PointerBuf::from_tokens(["spec", list]), json!([entry])),
    };
    PatchOperation::Add(AddOperation { path, value })
}
