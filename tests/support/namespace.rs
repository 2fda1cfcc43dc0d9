//! Programs in namespaces of their own, as containers have them: with disks that nobody
//! else sees, or as the first process. Where the superuser runs no tests and the kernel
//! makes no namespaces for others, those tests are left out, with a line that says so.

use std::process::{Command, Stdio};

use crate::process::TestDir;

/// The command behind `script`, in which `$0` is the folder of `dir`, with namespaces of
/// its own. `None` where the kernel makes none for us.
pub fn contained(
    dir: &TestDir,
    options: &[&str],
    script: &str,
    inner: &Command,
) -> Option<Command> {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let unshare = |own: &[&str], script: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(own).args(options).args(["sh", "-c", script]);
        unshare.arg(dir.path()).env("PATH", path);
        unshare
    };
    let own = [&[][..], &["-r"]].into_iter().find(|own| {
        let tried = unshare(own, script).output();
        tried.is_ok_and(|output| output.status.success())
    });
    let Some(own) = own else {
        println!("skipped: this machine makes no namespaces for us");
        return None;
    };
    let mut outer = unshare(own, &format!("{script} && exec \"$@\""));
    outer
        .env_clear()
        .env("PATH", path)
        .arg(inner.get_program())
        .args(inner.get_args())
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    outer.envs(
        inner
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    Some(outer)
}

/// A script that moves the database to a disk of its own in `disk`, of so many KiB.
pub fn on_a_disk_of(kibibytes: u32) -> String {
    format!(
        "mkdir -p \"$0/disk\" && mount -t tmpfs -o size={kibibytes}k tmpfs \"$0/disk\" &&
         cp \"$0/microblog.db\" \"$0/disk/microblog.db\""
    )
}
