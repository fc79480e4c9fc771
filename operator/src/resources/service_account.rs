//! The ServiceAccount of the relay's pods: an identity that the API server lets do nothing.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::{Plan, metadata};
use crate::names;

pub(super) fn build(plan: &Plan) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(plan, names::service_account(&plan.name)),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
