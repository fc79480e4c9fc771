//! The Service where clients hand in mail: the relay's listeners.

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use mailsluice_crds::relay::{self, IpFamily};

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
    let given = &plan.spec.service;
    let ranges = &given.load_balancer_source_ranges;
    let annotations = (!given.annotations.is_empty()).then(|| given.annotations.clone());
    Service {
        metadata: ObjectMeta { annotations, ..metadata(plan, plan.name.clone()) },
        spec: Some(ServiceSpec {
            type_: Some(given.kind.name().into()),
            load_balancer_class: given.load_balancer_class.clone(),
            load_balancer_source_ranges: (!ranges.is_empty()).then(|| ranges.clone()),
            external_traffic_policy: given.external_traffic_policy().map(|policy| policy.name().into()),
            internal_traffic_policy: given.internal_traffic_policy.map(|policy| policy.name().into()),
            selector: Some(names::labels(&plan.name)),
            ports: Some(ports.collect()),
            ..families(given)
        }),
        status: None,
    }
}

/// The families of addresses that both of a relay's Services have: pods and operator reach each other by them, too.
pub(super) fn families(given: &relay::Service) -> ServiceSpec {
    let families: Vec<String> = given.ip_families.iter().copied().map(IpFamily::name).map(str::to_owned).collect();
    ServiceSpec {
        ip_families: (!families.is_empty()).then_some(families),
        ip_family_policy: Some(given.ip_family_policy().name().into()),
        ..ServiceSpec::default()
    }
}
