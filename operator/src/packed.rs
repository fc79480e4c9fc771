//! An object as a cache keeps it: as JSON, since the structs for it take five times the memory, and nearly all of it for fields that are
//! not there; and of that only what another object of its kind has not, since the objects of all relays are much alike.

use std::{
    borrow::Cow,
    fmt,
    marker::PhantomData,
    sync::{Arc, OnceLock},
};

use kube::{Resource, ResourceExt as _, runtime::reflector::Lookup};
use lz4_flex::block;
use serde::{Serialize, de::DeserializeOwned};

use crate::names;

/// Packs the objects of a kind.
#[derive(Default)]
pub struct Packer {
    /// The first one, as JSON, which all others are told by.
    first: OnceLock<Arc<[u8]>>,
}

/// An object of that kind, packed.
pub struct Packed<K> {
    name: Box<str>,
    namespace: Option<Box<str>>,
    relay: Option<Box<str>>,
    /// What the JSON has that `first` has not.
    json: Box<[u8]>,
    first: Arc<[u8]>,
    /// The beginning of the hash of what it was found to be.
    found: OnceLock<u64>,
    kind: PhantomData<fn() -> K>,
}

impl Packer {
    /// Packs one.
    #[must_use]
    pub fn pack<K: Resource + Serialize>(&self, object: &K) -> Packed<K> {
        // It came as JSON. If it could not be written as such again, it would be one that opens as nothing.
        let json = serde_json::to_vec(object).unwrap_or_default();
        let first = self.first.get_or_init(|| json.as_slice().into()).clone();
        Packed {
            name: object.name_any().into(),
            namespace: object.meta().namespace.as_deref().map(Box::from),
            relay: object.labels().get(names::INSTANCE_LABEL).map(|relay| relay.as_str().into()),
            json: block::compress_prepend_size_with_dict(&json, &first).into(),
            first,
            found: OnceLock::new(),
            kind: PhantomData,
        }
    }
}

impl<K> Packed<K> {
    /// Notes that it is what has this hash, so that nobody has to open it to see that again.
    pub fn found(&self, hash: &str) {
        if let Some(beginning) = beginning(hash) {
            // It stays what it was found to be: another state of the object is packed anew.
            let _ = self.found.set(beginning);
        }
    }

    /// Whether it was found to be what has this hash.
    #[must_use]
    pub fn was_found(&self, hash: &str) -> bool {
        beginning(hash).is_some_and(|beginning| self.found.get() == Some(&beginning))
    }

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
        let json = block::decompress_size_prepended_with_dict(&self.json, &self.first).ok()?;
        serde_json::from_slice(&json).ok()
    }
}

impl<K> Clone for Packed<K> {
    fn clone(&self) -> Self {
        Packed {
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            relay: self.relay.clone(),
            json: self.json.clone(),
            first: self.first.clone(),
            found: self.found.clone(),
            kind: PhantomData,
        }
    }
}

/// As much of a hash, in hexadecimal, as tells it from others.
fn beginning(hash: &str) -> Option<u64> {
    u64::from_str_radix(hash.get(..16)?, 16).ok()
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

    fn object(relay: &str) -> ConfigMap {
        serde_json::from_value(json!({
            "metadata": {"name": relay, "namespace": "shop", "labels": {names::INSTANCE_LABEL: relay}},
            "data": {"relay.yaml": format!("kind: SMTPRelay\nname: {relay}\n{}", "listeners, clients, routes\n".repeat(20))},
        }))
        .unwrap()
    }

    #[test]
    fn an_object_is_found_by_its_name_and_opens_as_it_was() {
        let packer = Packer::default();
        for relay in ["outbound", "inbound", "outbound"] {
            let packed = packer.pack(&object(relay));
            assert_eq!(packed.open(), Some(object(relay)));
            assert_eq!(packed.relay(), Some(relay));
            assert_eq!(packed.to_object_ref(()), ObjectRef::<Packed<ConfigMap>>::new(relay).within("shop"));
        }
        let packed = packer.pack(&object("outbound"));
        let [hash, other] = ["a hash", "another"].map(|text| names::sha256_hex(text.as_bytes()));
        assert!(!packed.was_found(&hash));
        packed.found(&hash);
        assert!(packed.was_found(&hash) && !packed.was_found(&other));
        assert!(!packer.pack(&object("outbound")).was_found(&hash), "another state of it is looked at again");
        let other: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "other"}})).unwrap();
        assert_eq!(packer.pack(&other).open(), Some(other), "one that is like none before");
    }

    #[test]
    fn what_another_one_has_too_takes_no_room() {
        let packer = Packer::default();
        let _ = packer.pack(&object("outbound"));
        let packed = packer.pack(&object("inbound"));
        let whole = serde_json::to_vec(&object("inbound")).unwrap().len();
        assert!(packed.json.len() < whole / 5, "{} of {whole} octets", packed.json.len());
    }
}
