//! The rules about a relay's Service.

use kube::core::Rule;

use super::rule;

/// Of the Service as a whole.
pub(crate) fn all() -> [Rule; 6] {
    [
        load_balancers_have_what_is_theirs(),
        networks_are_a_load_balancers(),
        policy_is_of_connections_from_outside(),
        one_family_is_one(),
        first_family_stays(),
        class_stays(),
    ]
}

fn load_balancers_have_what_is_theirs() -> Rule {
    rule(
        "!has(self.loadBalancerClass) || self.type == 'LoadBalancer'",
        "there is no load balancer: leave `loadBalancerClass` out, or write `type: LoadBalancer`",
    )
    .field_path(".loadBalancerClass")
}

fn networks_are_a_load_balancers() -> Rule {
    rule(
        "!has(self.loadBalancerSourceRanges) || self.type == 'LoadBalancer'",
        "there is no load balancer: leave `loadBalancerSourceRanges` out, or write `type: LoadBalancer`",
    )
    .field_path(".loadBalancerSourceRanges")
}

fn policy_is_of_connections_from_outside() -> Rule {
    rule(
        "!has(self.externalTrafficPolicy) || self.type != 'ClusterIP'",
        "nobody from outside reaches a ClusterIP: leave `externalTrafficPolicy` out, or write `type: NodePort` or `LoadBalancer`",
    )
    .field_path(".externalTrafficPolicy")
}

fn one_family_is_one() -> Rule {
    rule(
        "!has(self.ipFamilyPolicy) || self.ipFamilyPolicy != 'SingleStack' || !has(self.ipFamilies) || self.ipFamilies.size() < 2",
        "SingleStack is one family: write one into `ipFamilies`, or another `ipFamilyPolicy`",
    )
    .field_path(".ipFamilies")
}

fn first_family_stays() -> Rule {
    rule(
        "!has(oldSelf.ipFamilies) || !has(self.ipFamilies) || self.ipFamilies[0] == oldSelf.ipFamilies[0]",
        "the first family of a Service that exists cannot change: leave it first, and add the other after it",
    )
    .field_path(".ipFamilies")
}

/// As Kubernetes has it: of a Service that stays a load balancer.
fn class_stays() -> Rule {
    rule(
        "self.type != 'LoadBalancer' || oldSelf.type != 'LoadBalancer' || \
         (has(self.loadBalancerClass) == has(oldSelf.loadBalancerClass) && \
         (!has(self.loadBalancerClass) || self.loadBalancerClass == oldSelf.loadBalancerClass))",
        "who makes a load balancer that exists cannot change: leave `loadBalancerClass` as it is, or write another `type` first",
    )
    .field_path(".loadBalancerClass")
}

pub(crate) fn families_differ() -> Rule {
    rule("self.size() < 2 || self[0] != self[1]", "a family stands in the list twice: take one out")
}

/// As Kubernetes has it: a key like that of a label.
pub(crate) fn load_balancer_class() -> Rule {
    rule(
        "!format.qualifiedName().validate(self).hasValue()",
        "write the name of a class of load balancers, such as service.k8s.aws/nlb",
    )
}
