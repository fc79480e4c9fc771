//! Writes the definitions of the custom resources where they are taken from: by `kubectl apply -f crds/` from the crate's
//! folder, and by Helm from the chart, which can read no files but its own.

use std::{error::Error, fs, path::Path};

use mailsluice_crds::crd;

fn main() -> Result<(), Box<dyn Error>> {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in crd::FOLDERS.map(|folder| crate_folder.join(folder)) {
        fs::create_dir_all(&folder)?;
        for (name, text) in crd::files()? {
            fs::write(folder.join(name), text)?;
        }
    }
    Ok(())
}
