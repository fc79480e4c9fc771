//! The chart, rendered without a cluster.

use std::process::Command;

use crate::{cluster::home, process, workspace};

/// What a template comes to with these values beside those that are required, for a release `mailsluice` in the namespace `default`.
#[must_use]
pub fn rendered(template: &str, values: &str) -> String {
    let helm = home().join("bin/helm");
    let output = process::output(
        Command::new(&helm)
            .args(["template", "mailsluice", "-n", "default", "--kube-version", "1.34.0"])
            .arg(workspace().join("charts/mailsluice"))
            .args(["--api-versions", "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy"])
            .args(["--set", "operator.image.repository=mailsluice-operator,relay.image.repository=mailsluice-relay"])
            .args(["--set", values, "--show-only", &format!("templates/{template}.yaml")]),
    );
    assert!(output.status.success(), "helm template: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
