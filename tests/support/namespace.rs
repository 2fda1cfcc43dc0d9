//! Runs programs in separate namespaces, as containers do: with private mounts, or as process 1.
//! Tests are skipped with a printed line if they run without root and the kernel denies user
//! namespaces.

use std::process::{Command, Stdio};

use crate::process::TestDir;

/// Returns a command that runs `script` and then `inner` in new namespaces. In the script, `$0` is
/// the path of `dir`. Returns `None` if the kernel denies the namespaces.
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
        println!("skipped: the kernel denies new namespaces");
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

/// Returns a script that copies the database to a new file system of this size, mounted at `disk`.
pub fn database_on_small_disk(kibibytes: u32) -> String {
    format!(
        "mkdir -p \"$0/disk\" && mount -t tmpfs -o size={kibibytes}k tmpfs \"$0/disk\" &&
         cp \"$0/microblog.db\" \"$0/disk/microblog.db\""
    )
}
