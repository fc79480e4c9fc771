//! Growing storage, as Progressing tells of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::transition::Finding;
use crate::{
    growth::{Growth, Smaller},
    resources::Claim,
};

/// The reason while claims grow.
pub const GROWING: &str = "GrowingStorage";
/// The reason while claims are not what is asked for, and do not become it.
pub const UNCHANGED: &str = "StorageUnchanged";

/// Whether the condition is Progressing with a reason that it only has where the claims are as they should be.
#[must_use]
pub fn has_its_storage(condition: &Condition) -> bool {
    condition.type_ == "Progressing"
        && matches!(condition.reason.as_str(), "Complete" | "RollingOut" | "Creating" | "HandingOver")
}

pub(super) fn find(growth: &Growth) -> Option<Finding> {
    match growth {
        Growth::Done => None,
        Growth::Growing { wanted, claims } => Some(Finding::yes(GROWING, growing(wanted, claims))),
        Growth::Refused { claim, wanted, message } => Some(Finding::no(
            UNCHANGED,
            format!(
                "{}, and cannot grow: let its storage class expand volumes (allowVolumeExpansion), or make room in the quota; it is asked \
                 again each minute. The API server says: {message}",
                asked(claim, wanted)
            ),
        )),
        Growth::Kept { wanted, message } => Some(Finding::no(
            UNCHANGED,
            format!(
                "the claims that there are have been asked for {wanted}, and those to come would not be: the StatefulSet has to be made \
                 anew around its pods, and the API server refuses its deletion; that is tried again each minute. It says: {message}"
            ),
        )),
        Growth::Impossible { present, wanted } => Some(Finding::no(
            UNCHANGED,
            format!(
                "spec.storage asks for {}, and the claims were made with {}: claims do nothing but grow, so they stay; set \
                 spec.storage back to what they are",
                words(wanted),
                words(present)
            ),
        )),
    }
}

fn growing(wanted: &str, claims: &[Smaller]) -> String {
    // One of which something is said tells more.
    let Some(first) = claims.iter().find(|claim| claim.says.is_some()).or_else(|| claims.first()) else {
        return format!(
            "the claims have {wanted}; the StatefulSet is made anew around its pods, so that those to come have it too"
        );
    };
    let others = match claims.len() - 1 {
        0 => String::new(),
        1 => "; 1 other claim grows too".into(),
        others => format!("; {others} other claims grow too"),
    };
    let says = first.says.as_ref().map(|says| format!(": {says}")).unwrap_or_default();
    format!("{}{says}{others}", asked(first, wanted))
}

fn asked(claim: &Smaller, wanted: &str) -> String {
    match &claim.size {
        Some(size) => format!("{} has {size} and is asked for {wanted}", claim.name),
        None => format!("{} is asked for {wanted}", claim.name),
    }
}

fn words(claim: &Claim) -> String {
    match &claim.class {
        Some(class) => format!("{} of storage class {class}", claim.size),
        None => format!("{} of the default storage class", claim.size),
    }
}
