//! The rules about access: what a relay's owner allows, and what a namespace asks for.

use kube::core::Rule;

use super::{LABEL, form, rule};

pub(crate) fn selector_where_one_is_asked_for() -> Rule {
    rule(
        "(self.from == 'Selector') == has(self.selector)",
        "`selector` belongs to `from: Selector`, and nothing else: write both, or neither",
    )
    .field_path(".selector")
}

pub(crate) fn selector_selects() -> Rule {
    rule(
        "!has(self.selector) || (has(self.selector.matchLabels) && self.selector.matchLabels.size() > 0) || \
         (has(self.selector.matchExpressions) && self.selector.matchExpressions.size() > 0)",
        "an empty selector is every namespace: write a label into it, or `from: All`",
    )
    .field_path(".selector")
}

/// Of an expression of a selector: without values `NotIn` would be every namespace.
pub(crate) fn values_where_they_are_asked_for() -> Rule {
    rule(
        "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
        "In and NotIn are about `values`, Exists and DoesNotExist are not: write them there, or leave them out",
    )
    .field_path(".values")
}

/// Two labels behind the placeholder, or whoever names a namespace `example` would be given example.org.
pub(crate) fn sender_pattern() -> Rule {
    let atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
    let label = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?";
    let pattern = form(&format!(
        "^(<>|({atom}([.]{atom})*)?@((([*]|[{{]namespace[}}])[.]{label}[.]{label})|{label})([.]{label})*)$"
    ));
    rule(
        // Both are letters of a local part, and nobody means them as such.
        format!("{pattern} && !self.startsWith('*@') && !self.matches('[{{]namespace[}}].*@')"),
        "write an address, such as orders@shop.example.org, @ and a domain, such as @example.org, @*.example.org for everything below \
         it, @{namespace}.example.org for each namespace's own, or <> for bounces",
    )
}

pub(crate) fn namespace() -> Rule {
    rule(
        format!("{} && self.size() <= 63", form(&format!("^{LABEL}$"))),
        "write the name of a namespace: lower-case letters, digits and hyphens",
    )
}

pub(crate) fn relay() -> Rule {
    rule(
        "self.matches('^[a-z]([a-z0-9-]{0,48}[a-z0-9])?$')",
        "write the name of an SMTPRelay: lower-case letters, digits and hyphens",
    )
}

pub(crate) fn account() -> Rule {
    rule(
        format!("self == '*' || ({} && self.size() <= 253)", form(&format!("^{LABEL}([.]{LABEL})*$"))),
        "write the name of a service account as the cluster has it, lower-case letters, digits, hyphens and dots; or * for all of the \
         namespace",
    )
}

pub(crate) fn all_stands_alone() -> Rule {
    rule(
        "self.spec.serviceAccounts.size() < 2 || !('*' in self.spec.serviceAccounts)",
        "* is all service accounts of the namespace: leave the others out",
    )
    .field_path(".spec.serviceAccounts")
}
