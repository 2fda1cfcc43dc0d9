//! Unsuitable volumes: error texts and exit codes.

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    process::Command,
};

use crate::{ProgramOutput, TestDir};

/// The commands that use the database.
const COMMANDS: [&[&str]; 7] = [
    &["create"],
    &["upgrade"],
    &["downgrade"],
    &["status"],
    &["backup"],
    &["dump"],
    &["wait", "--timeout", "0s"],
];

fn assert_refused(run: &ProgramOutput, code: i32, says: &[&str]) {
    assert_eq!(run.code, code, "{run:?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    for text in says {
        assert!(run.stderr.contains(text), "no `{text}` in {run:?}");
    }
}

/// Reports whether this process can start others as another user.
fn is_superuser(dir: &TestDir) -> bool {
    let superuser = fs::metadata(dir.0.path()).unwrap().uid() == 0;
    if !superuser {
        println!("skipped: only the superuser can become another user");
    }
    superuser
}

#[test]
fn a_volume_of_another_user_is_refused_with_a_remedy() {
    let dir = TestDir::new();
    fs::set_permissions(dir.0.path(), Permissions::from_mode(0o755)).unwrap();
    if !is_superuser(&dir) {
        return;
    }
    let run = |arguments: &[&str]| -> ProgramOutput {
        let mut program = dir.program(arguments);
        program.uid(65532).gid(65532).output().unwrap().into()
    };
    let says = ["uid 0", "uid 65532", "`chown -R 65532 /"];

    let new = run(&["upgrade"]);
    assert_refused(&new, 78, &says);

    dir.run(&["upgrade"]);
    for arguments in COMMANDS {
        assert_refused(&run(arguments), 78, &says);
    }
    chown(dir.0.path(), Some(65532), None).unwrap();
    for arguments in COMMANDS {
        let run = run(arguments);

        assert_refused(&run, 78, &says);
        assert_refused(&run, 78, &[dir.path().to_str().unwrap()]);
    }
}

#[test]
fn an_inaccessible_folder_is_named() {
    let dir = TestDir::new();
    if !is_superuser(&dir) {
        return;
    }
    fs::create_dir(dir.0.path().join("inner")).unwrap();
    fs::set_permissions(dir.0.path(), Permissions::from_mode(0o700)).unwrap();
    let database = dir.0.path().join("inner/microblog.db");
    let mut program = dir.program(&["upgrade"]);
    program.env("DATABASE_URL", format!("sqlite:{}", database.display()));

    let run: ProgramOutput = program.uid(65532).gid(65532).output().unwrap().into();

    let says = format!("`chmod o+x {}`", dir.0.path().display());
    assert_refused(&run, 78, &[&says, "uid 65532"]);
}

/// Runs the program with its database on a separate disk, which `then` prepares.
fn with_disk(dir: &TestDir, then: &str, arguments: &[&str]) -> Option<ProgramOutput> {
    let script = format!(
        "mkdir -p \"$0/disk\" && mount -t tmpfs -o size=4m tmpfs \"$0/disk\" &&
         {{ test ! -e \"$0/microblog.db\" || cp \"$0/microblog.db\" \"$0/disk\"; }} &&
         {{ {then}; }} && exec \"$@\""
    );
    let database = dir.0.path().join("disk/microblog.db");
    let shell = |option: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args([option, "sh", "-c", &script]);
        unshare.arg(dir.0.path());
        unshare
    };
    let option = ["-m", "-rm"].into_iter().find(|option| {
        let tried = shell(option).arg("true").output();
        tried.is_ok_and(|output| output.status.success())
    });
    let Some(option) = option else {
        println!("skipped: this machine lets nobody mount what others do not see");
        return None;
    };
    let program = dir.program(arguments);
    let mut unshare = shell(option);
    unshare
        .env("DATABASE_URL", format!("sqlite:{}", database.display()))
        .arg(program.get_program())
        .args(program.get_args());
    Some(unshare.output().unwrap().into())
}

#[test]
fn a_read_only_volume_is_refused_with_a_remedy() {
    let (empty, migrated) = (TestDir::new(), TestDir::new());
    migrated.run(&["upgrade"]);
    let read_only = "mount -o remount,ro \"$0/disk\"";

    let Some(created) = with_disk(&empty, read_only, &["upgrade"]) else {
        return;
    };

    assert_refused(&created, 78, &["mounted read-only", "mount it for writing"]);
    for arguments in COMMANDS {
        let run = with_disk(&migrated, read_only, arguments).unwrap();
        assert_refused(&run, 78, &["mounted read-only", "mount it for writing"]);
    }
}

#[test]
fn a_full_volume_has_its_own_error() {
    let (empty, migrated) = (TestDir::new(), TestDir::new());
    migrated.run(&["upgrade"]);
    let fill = "head -c 8m /dev/zero 2>&- > \"$0/disk/fill\" || true";

    let Some(created) = with_disk(&empty, fill, &["upgrade"]) else {
        return;
    };

    assert_refused(&created, 1, &["is full, with 0 bytes left", "make room"]);
    for arguments in COMMANDS {
        let run = with_disk(&migrated, fill, arguments).unwrap();
        assert_refused(&run, 1, &["is full, with 0 bytes left", "make room"]);
    }
}
