//! What it costs that a write which is acknowledged is on the disk.
//!
//! The services have no setting for less, so they are compared with themselves as they were with
//! `synchronous=NORMAL`, under which a commit does not wait for the write-ahead log, and a
//! checkpoint does: a library that is loaded before all others puts off what is asked of the log
//! until the database file is next to be on the disk.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    bench::Bench,
    figure::Figure,
    load::Measured,
    rounds::{Plan, compared},
    system::Variant,
};

/// The log is on the disk after the pages that a checkpoint took from it, not before: that costs
/// the same, and is wrong only when power is lost.
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
    // The speed of a disk changes from one second to the next.
    let plan = Plan {
        rounds: 3 * bench.plan.rounds,
        ..bench.plan
    };
    let mut figures = Vec::new();
    for name in ["create_post", "create_user"] {
        let call = bench.call(name);
        let loads = [&full, &normal].map(|pair| plan.load_of(&call, pair));
        let measured = bench.interleave(&loads, plan).await;
        let ratio = compared(&measured[0], &measured[1], Measured::rate);
        let about = format!("{}: rate", call.title);
        figures.push(match name {
            "create_post" => Figure::at_least(0.9, about, ratio, "of that with synchronous=NORMAL"),
            _ => Figure::told(about, ratio, "of that with synchronous=NORMAL"),
        });
    }
    figures
}

/// The C compiler that SQLite needs makes it.
fn library(bench: &Bench) -> PathBuf {
    let source = bench.folder().join("normal.c");
    let library = bench.folder().join("normal.so");
    fs::write(&source, SOURCE).unwrap();
    let made = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-o"])
        .args([&library, &source])
        .status()
        .unwrap();
    assert!(made.success(), "the C compiler makes no library");
    library
}
