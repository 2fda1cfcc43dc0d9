//! Measures the sizes of the stripped release programs.

use crate::figure::Figure;

const PROGRAMS: [&str; 3] = ["user-service", "post-service", "migrator"];

pub fn measure() -> Vec<Figure> {
    let this = std::env::current_exe().unwrap();
    let folder = this.ancestors().nth(2).unwrap();
    let sizes = PROGRAMS.iter().filter_map(|program| {
        let Ok(file) = folder.join(program).metadata() else {
            println!("{program} is not built: cargo build --workspace --release");
            return None;
        };
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
        let megabytes = file.len() as f64 / 1e6;
        let about = format!("{program}: size of the program");
        Some(Figure::at_most(8.0, about, megabytes, "MB"))
    });
    sizes.collect()
}
