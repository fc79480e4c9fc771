//! The custom resource definitions.

use std::fs;

use crate::workspace;

/// The generated definitions, as `kubectl apply -f crds/` takes them.
#[must_use]
pub fn all() -> String {
    let mut files: Vec<_> = fs::read_dir(workspace().join("crds"))
        .expect("the folder crds")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|kind| kind == "yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "crds/ holds no generated definitions");
    let texts: Vec<String> = files.iter().map(|file| fs::read_to_string(file).expect("read a definition")).collect();
    texts.join("\n---\n")
}
