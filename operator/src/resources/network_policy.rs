//! The NetworkPolicy, where one is asked for: what the SMTPRelay says of its clients and routes, as the network knows it.

use std::{collections::BTreeSet, net::IpAddr};

use k8s_openapi::{
    api::networking::v1::{
        IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use mailsluice_crds::{
    SMTPRelaySpec,
    relay::{self, Client, Listener, TlsPolicy},
};

use super::{Plan, metadata};
use crate::names;

const SMTP: u16 = 25;
const DNS: u16 = 53;
/// Where the pods of a cluster's DNS listen whose user may not have port 53, as OpenShift's. A policy sees a pod's port, and not its Service's.
const DNS_OF_PODS: u16 = 5353;
/// Where policies of MTA-STS are (RFC 8461 section 3.3).
const HTTPS: u16 = 443;

pub(super) fn build(plan: &Plan) -> Option<NetworkPolicy> {
    let asked = plan.spec.network_policy.as_ref()?;
    let spec = NetworkPolicySpec {
        pod_selector: Some(names::pod_selector(&plan.name)),
        policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
        ingress: Some(ingress(plan, asked)),
        egress: Some(egress(plan, asked)),
    };
    Some(NetworkPolicy { metadata: metadata(plan, plan.name.clone()), spec: Some(spec) })
}

/// From where connections to a listener may come.
enum Origin {
    Anywhere,
    These(Vec<NetworkPolicyPeer>),
}

fn ingress(plan: &Plan, asked: &relay::NetworkPolicy) -> Vec<NetworkPolicyIngressRule> {
    let clients = plan.spec.listeners.iter().filter_map(|listener| {
        let from = match clients_of(&plan.spec, listener, &asked.clients_from) {
            Origin::Anywhere => None,
            // Without a peer a rule lets everybody in.
            Origin::These(peers) if peers.is_empty() => return None,
            Origin::These(peers) => Some(peers),
        };
        Some(NetworkPolicyIngressRule { from, ports: Some(vec![port("TCP", listener.port)]) })
    });
    let around = [operators(), siblings(plan)].into_iter().chain(asked.metrics_from.iter().cloned()).collect();
    let monitor = NetworkPolicyIngressRule { from: Some(around), ports: Some(vec![port("TCP", names::MONITOR_PORT)]) };
    clients.chain([monitor]).collect()
}

fn clients_of(spec: &SMTPRelaySpec, listener: &Listener, more: &[NetworkPolicyPeer]) -> Origin {
    if spec.clients.iter().any(comes_from_anywhere) {
        return Origin::Anywhere;
    }
    let trusted =
        [&listener.proxy_protocol, &listener.xclient].into_iter().flatten().flat_map(|trusted| &trusted.networks);
    let networks: BTreeSet<&String> = spec.clients.iter().flat_map(|client| &client.networks).chain(trusted).collect();
    let without_network = spec.clients.iter().filter(|client| client.networks.is_empty());
    let namespaces: BTreeSet<&String> =
        without_network.flat_map(|client| &client.service_accounts).map(|account| &account.namespace).collect();
    let networks = networks.into_iter().map(|network| block(network.clone()));
    let namespaces = namespaces.into_iter().map(|name| namespace(name));
    Origin::These(networks.chain(namespaces).chain(more.iter().cloned()).collect())
}

/// A user and the holder of a certificate can be anywhere; a service account's pods are in its namespace.
fn comes_from_anywhere(client: &Client) -> bool {
    client.networks.is_empty() && (client.users.is_some() || client.certificates.is_some())
}

fn egress(plan: &Plan, asked: &relay::NetworkPolicy) -> Vec<NetworkPolicyEgressRule> {
    let rule = |to: Option<NetworkPolicyPeer>, ports| NetworkPolicyEgressRule {
        ports: Some(ports),
        to: to.map(|to| vec![to]),
    };
    let dns = rule(None, vec![port("UDP", DNS), port("TCP", DNS)]);
    let dns_of_pods = rule(Some(pods()), vec![port("UDP", DNS_OF_PODS), port("TCP", DNS_OF_PODS)]);
    let handover = rule(Some(siblings(plan)), vec![port("TCP", names::MONITOR_PORT)]);
    let (anywhere, addresses) = ways(&plan.spec);
    let by_name =
        (!anywhere.is_empty()).then(|| rule(None, anywhere.into_iter().map(|number| port("TCP", number)).collect()));
    let by_address =
        addresses.into_iter().map(|(network, number)| rule(Some(block(network)), vec![port("TCP", number)]));
    let always = [dns, dns_of_pods, handover];
    always.into_iter().chain(by_name).chain(by_address).chain(asked.egress.iter().cloned()).collect()
}

/// The ports at which mail leaves: at any address, and at those that routes name.
fn ways(spec: &SMTPRelaySpec) -> (BTreeSet<u16>, BTreeSet<(String, u16)>) {
    let (mut anywhere, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    for route in &spec.routes {
        match &route.smarthost {
            Some(host) => {
                match host.host.parse::<IpAddr>() {
                    Ok(address) => addresses.insert((alone(address), host.port)),
                    Err(_) => anywhere.insert(host.port),
                };
            }
            None => {
                anywhere.insert(SMTP);
                if route.tls.unwrap_or(spec.tls) == TlsPolicy::MtaSts {
                    anywhere.insert(HTTPS);
                }
            }
        }
    }
    (anywhere, addresses)
}

/// The network that holds that address and no other.
fn alone(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}

fn port(protocol: &str, number: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(i32::from(number))),
        protocol: Some(protocol.into()),
        end_port: None,
    }
}

fn block(cidr: String) -> NetworkPolicyPeer {
    NetworkPolicyPeer { ip_block: Some(IPBlock { cidr, except: None }), ..NetworkPolicyPeer::default() }
}

fn namespace(name: &str) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(labelled("kubernetes.io/metadata.name", name)),
        ..NetworkPolicyPeer::default()
    }
}

/// Those of all namespaces.
fn pods() -> NetworkPolicyPeer {
    NetworkPolicyPeer { namespace_selector: Some(LabelSelector::default()), ..NetworkPolicyPeer::default() }
}

/// An operator can be in any namespace. The Monitor asks it for its credential.
fn operators() -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        pod_selector: Some(labelled("app.kubernetes.io/name", names::MANAGER)),
        ip_block: None,
    }
}

fn siblings(plan: &Plan) -> NetworkPolicyPeer {
    NetworkPolicyPeer { pod_selector: Some(names::pod_selector(&plan.name)), ..NetworkPolicyPeer::default() }
}

fn labelled(key: &str, value: &str) -> LabelSelector {
    LabelSelector { match_labels: Some([(key.to_owned(), value.to_owned())].into()), match_expressions: None }
}
