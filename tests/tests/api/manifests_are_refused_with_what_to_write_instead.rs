//! The table of manifests of the crate that defines them, each given to a real API server.

use std::process::Output;

use mailsluice_crds::cases::{self, Case};
use mailsluice_tests::api::ApiServer;

use crate::definitions;

#[test]
fn every_manifest_of_the_table_is_accepted_or_refused_as_it_says() {
    let server = ApiServer::start();
    server.install(&definitions::all());
    let table = cases::all().expect("the table of cases");
    assert!(!table.is_empty(), "the table has rows");
    let wrong: Vec<String> = table.iter().filter_map(|case| judge(&server, case).err()).collect();
    println!("{} manifests were given to the API server", table.len());
    assert!(wrong.is_empty(), "{} of {} are wrong:\n\n{}", wrong.len(), table.len(), wrong.join("\n\n"));
}

/// What is wrong about a case, if anything.
fn judge(server: &ApiServer, case: &Case) -> Result<(), String> {
    let wrong = |what: &str, output: &Output| {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{} {:?}: {what}: {said}", case.kind, case.name))
    };
    let output = match &case.before {
        None => server.kubectl(&["apply", "--dry-run=server", "-f", "-"], &case.manifest),
        Some(before) => {
            let created = server.kubectl(&["apply", "-f", "-"], before);
            if !created.status.success() {
                return wrong("the manifest before it is refused", &created);
            }
            let output = server.kubectl(&["apply", "--dry-run=server", "-f", "-"], &case.manifest);
            let _ = server.kubectl(&["delete", "-f", "-"], before);
            output
        }
    };
    let said = String::from_utf8_lossy(&output.stderr);
    match (&case.refused, &case.only_local) {
        (None, _) if !output.status.success() => wrong("it is refused", &output),
        (Some(_), Some(why)) if !output.status.success() => {
            wrong(&format!("it is refused, although only a relay is to refuse it ({why})"), &output)
        }
        (Some(refused), None) if output.status.success() => wrong(&format!("it is accepted, not {refused:?}"), &output),
        (Some(refused), None) if !refused.is_said_in(&said) => {
            wrong(&format!("it is not said that {refused:?}"), &output)
        }
        _ => Ok(()),
    }
}
