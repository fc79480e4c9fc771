//! Writes the pages of `docs/` that are drawn from the types.

use std::{error::Error, fs, path::Path};

use mailsluice_crds::catalogue::document;

fn main() -> Result<(), Box<dyn Error>> {
    fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(document::FILE), document::page())?;
    Ok(())
}
