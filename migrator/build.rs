//! Recompiles the crate when a service's schema, migrations or statements change. They are compiled
//! in, and Cargo does not watch files outside the crate.

fn main() {
    for service in ["user-service", "post-service"] {
        // Cargo watches all files of a folder, including new ones.
        for part in ["migrations", ".sqlx", "schema.sql", "released.json"] {
            println!("cargo::rerun-if-changed=../{service}/{part}");
        }
    }
}
