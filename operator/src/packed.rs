//! An object as a cache keeps it: as JSON, since the structs for it take five times the memory, and nearly all of it for fields that are
//! not there.

use std::{borrow::Cow, fmt, marker::PhantomData};

use kube::{Resource, ResourceExt as _, runtime::reflector::Lookup};
use serde::{Serialize, de::DeserializeOwned};

use crate::names;

/// An object of that kind, packed.
pub struct Packed<K> {
    name: String,
    namespace: Option<String>,
    relay: Option<String>,
    json: Box<[u8]>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Resource + Serialize> Packed<K> {
    /// Packs it.
    #[must_use]
    pub fn new(object: &K) -> Packed<K> {
        Packed {
            name: object.name_any(),
            namespace: object.meta().namespace.clone(),
            relay: object.labels().get(names::INSTANCE_LABEL).cloned(),
            // It came as JSON. If it could not be written as such again, it would be one that opens as nothing.
            json: serde_json::to_vec(object).unwrap_or_default().into(),
            kind: PhantomData,
        }
    }
}

impl<K> Packed<K> {
    /// The SMTPRelay that it is labelled with.
    #[must_use]
    pub fn relay(&self) -> Option<&str> {
        self.relay.as_deref()
    }
}

impl<K: DeserializeOwned> Packed<K> {
    /// The object, unless it cannot be read: then it is as good as not in the cache.
    #[must_use]
    pub fn open(&self) -> Option<K> {
        serde_json::from_slice(&self.json).ok()
    }
}

impl<K> Clone for Packed<K> {
    fn clone(&self) -> Self {
        Packed {
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            relay: self.relay.clone(),
            json: self.json.clone(),
            kind: PhantomData,
        }
    }
}

impl<K> fmt::Debug for Packed<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packed({})", self.name)
    }
}

impl<K: Resource<DynamicType = ()>> Lookup for Packed<K> {
    type DynamicType = ();

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn name(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.name))
    }

    fn namespace(&self) -> Option<Cow<'_, str>> {
        self.namespace.as_deref().map(Cow::Borrowed)
    }

    // Nothing looks for these, and every key in the cache would have them.
    fn resource_version(&self) -> Option<Cow<'_, str>> {
        None
    }

    fn uid(&self) -> Option<Cow<'_, str>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::runtime::reflector::ObjectRef;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_found_by_its_name_and_opens_as_it_was() {
        let object: ConfigMap = serde_json::from_value(json!({
            "metadata": {"name": "outbound", "namespace": "shop", "labels": {names::INSTANCE_LABEL: "outbound"}},
            "data": {"relay.yaml": "kind: SMTPRelay"},
        }))
        .unwrap();
        let packed = Packed::new(&object);
        assert_eq!(packed.open(), Some(object));
        assert_eq!(packed.relay(), Some("outbound"));
        assert_eq!(packed.to_object_ref(()), ObjectRef::<Packed<ConfigMap>>::new("outbound").within("shop"));
    }
}
