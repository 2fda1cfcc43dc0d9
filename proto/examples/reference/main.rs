//! Generates the API reference in `docs/api.md` from the comments of the `.proto` files:
//!
//! ```console
//! $ cargo run -p proto --example reference
//! ```

use std::{error::Error, fs, path::Path};

mod markdown;

fn main() -> Result<(), Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api.md");
    let document = fs::read_to_string(&path)?;
    let generated = markdown::with_reference(&document)?;
    let result = if generated == document {
        "is up to date"
    } else {
        fs::write(&path, generated)?;
        "was updated"
    };
    println!("docs/api.md {result}");
    Ok(())
}
