//! Measures the cost of durable acknowledgements (`synchronous=FULL`).
//!
//! The services have no setting for less durability. A preloaded library emulates
//! `synchronous=NORMAL`, where a checkpoint syncs the write-ahead log and a commit does not: it
//! delays each sync of the log until the next sync of the database file.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    bench::Bench,
    figure::Figure,
    load::Measured,
    rounds::{Plan, median_ratio},
    system::Variant,
};

/// Source of the library. It syncs the log after the pages of a checkpoint instead of before: the
/// cost is the same, and the order matters only when power is lost.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int put_off = -1;

static int synchronise(long call, int file) {
    char link[32], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path);
    if (length > 4 && memcmp(path + length - 4, "-wal", 4) == 0) {
        put_off = file;
        return 0;
    }
    if (put_off >= 0) {
        syscall(SYS_fdatasync, put_off);
        put_off = -1;
    }
    return (int)syscall(call, file);
}

int fsync(int file) { return synchronise(SYS_fsync, file); }
int fdatasync(int file) { return synchronise(SYS_fdatasync, file); }
"#;

pub async fn measure(bench: &Bench) -> Vec<Figure> {
    let variant = Variant {
        preload: Some(library(bench)),
        ..bench.variant.clone()
    };
    let full = bench.pair(&bench.variant).await;
    let normal = bench.pair(&variant).await;
    // More rounds, because the speed of a disk varies within seconds.
    let plan = Plan {
        rounds: 3 * bench.plan.rounds,
        ..bench.plan
    };
    let mut figures = Vec::new();
    for name in ["create_post", "create_user"] {
        let call = bench.call(name);
        let loads = [&full, &normal].map(|pair| plan.load_of(&call, pair));
        let measured = bench.interleave(&loads, plan).await;
        let ratio = median_ratio(&measured[0], &measured[1], Measured::rate);
        let about = format!("{}: rate", call.title);
        figures.push(match name {
            "create_post" => Figure::at_least(0.9, about, ratio, "of that with synchronous=NORMAL"),
            _ => Figure::informational(about, ratio, "of that with synchronous=NORMAL"),
        });
    }
    figures
}

/// Compiles the library with the C compiler that SQLite needs.
fn library(bench: &Bench) -> PathBuf {
    let source = bench.folder().join("normal.c");
    let library = bench.folder().join("normal.so");
    fs::write(&source, SOURCE).unwrap();
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-o"])
        .args([&library, &source])
        .status()
        .unwrap();
    assert!(status.success(), "the C compiler failed");
    library
}
