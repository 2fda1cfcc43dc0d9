//! What it costs that a write which is acknowledged is on the disk.
//!
//! The services have no setting for less, so they are compared with themselves on a disk
//! that is done at once: a library that is loaded before all others answers for `fsync` and
//! `fdatasync`. That is less than `synchronous=NORMAL`, which still waits at checkpoints.

use std::{fs, path::PathBuf, process::Command};

use crate::{bench::Bench, figure::Figure, load::Measured, rounds::compared, system::Variant};

const SOURCE: &str = "\
int fsync(int file) { (void)file; return 0; }
int fdatasync(int file) { (void)file; return 0; }
";

pub async fn measure(bench: &Bench) -> Vec<Figure> {
    let unsynchronised = Variant {
        preload: Some(library(bench)),
        ..bench.variant.clone()
    };
    let full = bench.pair(&bench.variant).await;
    let none = bench.pair(&unsynchronised).await;
    let mut figures = Vec::new();
    for name in ["create_post", "create_user"] {
        let call = bench.call(name);
        let loads = [&full, &none].map(|pair| bench.plan.load_of(&call, pair));
        let measured = bench.interleave(&loads, bench.plan).await;
        let ratio = compared(&measured[0], &measured[1], Measured::rate);
        let about = format!("{}: rate", call.title);
        figures.push(match name {
            "create_post" => Figure::at_least(0.9, about, ratio, "of that without fsync"),
            _ => Figure::told(about, ratio, "of that without fsync"),
        });
    }
    figures
}

/// The C compiler that SQLite needs makes it.
fn library(bench: &Bench) -> PathBuf {
    let source = bench.folder().join("no_sync.c");
    let library = bench.folder().join("no_sync.so");
    fs::write(&source, SOURCE).unwrap();
    let made = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-o"])
        .args([&library, &source])
        .status()
        .unwrap();
    assert!(made.success(), "the C compiler makes no library");
    library
}
