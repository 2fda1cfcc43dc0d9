//! Makes the reference of the contract in `docs/api.md` anew, from the comments of the
//! `.proto` files:
//!
//! ```console
//! $ cargo run -p proto --example reference
//! ```

use std::{error::Error, fs, path::Path};

mod markdown;

fn main() -> Result<(), Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api.md");
    let document = fs::read_to_string(&path)?;
    let renewed = markdown::renewed(&document)?;
    let news = if renewed == document {
        "is as the contract has it"
    } else {
        fs::write(&path, renewed)?;
        "is renewed"
    };
    println!("docs/api.md {news}");
    Ok(())
}
