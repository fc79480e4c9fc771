//! The headless Service: it gives each pod a name of its own.

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{Plan, metadata, service::families};
use crate::names;

pub(super) fn build(plan: &Plan) -> Service {
    Service {
        metadata: metadata(plan, names::pods_service(&plan.name)),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".into()),
            // A pod whose spool fails is not ready, and its Monitor is wanted all the more.
            publish_not_ready_addresses: Some(true),
            selector: Some(names::labels(&plan.name)),
            ports: Some(vec![ServicePort {
                name: Some("http".into()),
                port: i32::from(names::MONITOR_PORT),
                target_port: Some(IntOrString::Int(i32::from(names::MONITOR_PORT))),
                protocol: Some("TCP".into()),
                ..ServicePort::default()
            }]),
            ..families(&plan.spec.service)
        }),
        status: None,
    }
}
