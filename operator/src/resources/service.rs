//! The Service where clients hand in mail: the relay's listeners.

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{Plan, metadata};
use crate::names;

pub(super) fn build(plan: &Plan) -> Service {
    let ports = plan.spec.listeners.iter().map(|listener| ServicePort {
        name: Some(listener.name.clone()),
        port: i32::from(listener.port),
        target_port: Some(IntOrString::Int(i32::from(listener.port))),
        protocol: Some("TCP".into()),
        ..ServicePort::default()
    });
    Service {
        metadata: metadata(plan, plan.name.clone()),
        spec: Some(ServiceSpec {
            // A cluster address keeps the client's own, which `clients` is checked against.
            type_: Some("ClusterIP".into()),
            ip_family_policy: Some("PreferDualStack".into()),
            selector: Some(names::labels(&plan.name)),
            ports: Some(ports.collect()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
