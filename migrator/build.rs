//! Has the crate compiled anew when a service's schema, migrations or statements change:
//! they are compiled in, and Cargo knows of no file outside the crate.

fn main() {
    for service in ["user-service", "post-service"] {
        // Of a folder Cargo watches every file, so a new one counts too.
        for part in ["migrations", ".sqlx", "schema.sql", "released.json"] {
            println!("cargo::rerun-if-changed=../{service}/{part}");
        }
    }
}
