//! The disk that the database is on: what kind it is, whether this process may write
//! there, and how much room it has. Knows no SQL.

use std::{
    fs::Metadata,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, access, statfs, statvfs},
    io::Errno,
    process::geteuid,
};

use crate::Error;

/// Why no process can work with a database where it is: one variant for each thing that
/// an operator can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// Put it on a local disk.
    #[error(
        "{} is on a network file system, {system}, on which a write-ahead log cannot be shared: \
         put the database on a local disk",
        path.display()
    )]
    Network {
        /// The file, or the folder that it is to be in.
        path: PathBuf,
        /// The name of the file system.
        system: &'static str,
    },
    /// Mount it for writing.
    #[error(
        "{} is on a disk that is mounted read-only: mount it for writing; to read needs it too",
        path.display()
    )]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// Make room.
    #[error("the disk of {} is full, with {free} bytes left: make room on it", path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// How many bytes can still be written.
        free: u64,
    },
    /// Let this process through, or put the database elsewhere.
    #[error(
        "{} does not let this process, which runs as uid {uid}, reach what is in it: \
         `chmod o+x {}`, or put the database elsewhere",
        path.display(),
        path.display()
    )]
    Hidden {
        /// The folder.
        path: PathBuf,
        /// Who we are.
        uid: u32,
    },
    /// Give it to the user that this process runs as.
    #[error(
        "{} belongs to uid {owner}, and this process runs as uid {uid}, which may not use it: \
         `chown -R {uid} {}`, or run every process as uid {owner}",
        path.display(),
        folder.display()
    )]
    NotOurs {
        /// The file or the folder.
        path: PathBuf,
        /// The folder that the database is in.
        folder: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        uid: u32,
    },
    /// Change its mode.
    #[error(
        "{} belongs to this process's own uid {uid}, and its mode {mode:04o} does not let it \
         be read and written: `chmod u+rwX {}`",
        path.display(),
        path.display()
    )]
    Mode {
        /// The file or the folder.
        path: PathBuf,
        /// Who we are.
        uid: u32,
        /// Its mode.
        mode: u32,
    },
}

/// Refuses a place in which no process of the system can work with a database: one on a
/// network file system, or one where this process may not read and write.
///
/// What is not there yet is no reason to refuse: if it is the file, its folder is looked
/// at, and if it is the folder, the file system alone.
///
/// # Errors
///
/// [`Unfit`], whose text is one line that says what to do.
pub fn check(database: &Path) -> Result<(), Unfit> {
    let folder = folder_of(database);
    let there = nearest(database)?;
    if let Some(system) = network(there) {
        return Err(Unfit::Network {
            path: there.to_owned(),
            system,
        });
    }
    if there == database || there == folder {
        may(
            folder,
            database,
            Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK,
        )?;
    }
    if there == database {
        may(database, database, Access::READ_OK | Access::WRITE_OK)?;
    }
    Ok(())
}

/// The same for a process that is going to make what is not there.
///
/// # Errors
///
/// As of [`check`].
pub fn check_new(database: &Path) -> Result<(), Unfit> {
    check(database)?;
    let there = nearest(database)?;
    if there.is_dir() {
        may(there, database, Access::WRITE_OK | Access::EXEC_OK)?;
    }
    Ok(())
}

/// How many bytes an ordinary process may still write on the disk of `path`, or `None` if
/// the file system does not count.
fn free(path: &Path) -> Option<u64> {
    let disk = statvfs(path).ok()?;
    // A ramfs, for one, has no size.
    (disk.f_blocks > 0).then(|| disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// What it takes to begin to use a database that no process has open, in bytes: the index
/// of the write-ahead log is written through a mapping, and on a full disk that is a
/// SIGBUS. 32 KiB for each 4,096 pages in the log; this is enough for a log of 512 MiB.
const ROOM_TO_BEGIN: u64 = 1 << 20;

/// Refuses a disk that has too little room for a first process to open the database.
///
/// # Errors
///
/// [`Unfit::Full`], which some room cures.
pub fn check_room(database: &Path) -> Result<(), Unfit> {
    let mut index = database.as_os_str().to_owned();
    index.push("-shm");
    if Path::new(&index).exists() {
        return Ok(());
    }
    match free(nearest(database)?) {
        Some(free) if free < ROOM_TO_BEGIN => Err(Unfit::Full {
            path: database.to_owned(),
            free,
        }),
        _ => Ok(()),
    }
}

/// The room that writes leave on the disk: with less, they are refused.
#[derive(Debug)]
pub(super) struct Room {
    database: PathBuf,
    /// In bytes.
    margin: u64,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Enough,
    /// Less than the margin is free.
    Short,
    /// The disk was full in the middle of a write, whatever it said before: a quota.
    Full,
}

impl Room {
    pub(super) fn new(database: &Path, margin: u64) -> Self {
        Self {
            database: database.to_owned(),
            margin,
            state: State::Enough,
        }
    }

    /// Refuses a transaction for which there may not be room. Takes a microsecond.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        if self.margin == 0 {
            return Ok(());
        }
        match free(&self.database) {
            Some(free) if free < self.margin => {
                self.enter(State::Short, Some(free));
                Err(Error::NoRoom)
            }
            free => {
                // Whether a disk that was full is so no longer, only a write can tell.
                if self.state == State::Short {
                    self.enter(State::Enough, free);
                }
                Ok(())
            }
        }
    }

    /// Learns how a transaction ended.
    pub(super) fn learn(&mut self, ended: &Result<(), Error>) {
        match ended {
            Ok(()) if self.state == State::Full => self.enter(State::Enough, free(&self.database)),
            Err(Error::NoRoom) => self.enter(State::Full, free(&self.database)),
            _ => {}
        }
    }

    /// One line in the log when it begins, and one when it ends.
    fn enter(&mut self, state: State, free: Option<u64>) {
        if self.state == state {
            return;
        }
        let (free_bytes, margin_bytes) = (free.unwrap_or_default(), self.margin);
        if state == State::Enough {
            tracing::info!(
                free_bytes,
                margin_bytes,
                "there is room again; writes go on"
            );
        } else if self.state == State::Enough {
            tracing::error!(
                free_bytes,
                margin_bytes,
                "the disk of the database is full; writes are refused until there is room"
            );
        }
        self.state = state;
    }
}

/// The folder that a file is in.
fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// The path itself, or the innermost folder on the way to it that is there.
fn nearest(path: &Path) -> Result<&Path, Unfit> {
    let mut at = path;
    loop {
        match at.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let above = folder_of(at);
                if above == at {
                    return Ok(at);
                }
                at = above;
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(hidden(at));
            }
            // What else is wrong shows when the file is opened.
            _ => return Ok(at),
        }
    }
}

/// Which folder on the way to `path` this process may not go through.
fn hidden(path: &Path) -> Unfit {
    let closed = path
        .ancestors()
        .skip(1)
        .filter(|folder| *folder != Path::new(""))
        .filter(|folder| access(*folder, Access::EXEC_OK).is_err())
        .last()
        .unwrap_or(folder_of(path));
    if closed == folder_of(path) {
        return refusal(closed, closed);
    }
    Unfit::Hidden {
        path: closed.to_owned(),
        uid: geteuid().as_raw(),
    }
}

/// Whether this process may do that with the file or its folder, for the sake of the
/// database.
fn may(path: &Path, database: &Path, what: Access) -> Result<(), Unfit> {
    match access(path, what) {
        Err(Errno::ROFS) => Err(Unfit::ReadOnly {
            path: database.to_owned(),
        }),
        Err(Errno::ACCESS | Errno::PERM) => Err(refusal(path, folder_of(database))),
        _ => Ok(()),
    }
}

fn refusal(path: &Path, folder: &Path) -> Unfit {
    let uid = geteuid().as_raw();
    let file = path.metadata();
    let owner = file.as_ref().map_or(uid, Metadata::uid);
    if owner == uid {
        return Unfit::Mode {
            path: path.to_owned(),
            uid,
            mode: file.map_or(0, |file| file.mode() & 0o7777),
        };
    }
    Unfit::NotOurs {
        path: path.to_owned(),
        folder: folder.to_owned(),
        owner,
        uid,
    }
}

/// The name of the network file system that `path` is on, if it is one.
fn network(path: &Path) -> Option<&'static str> {
    let system = statfs(path).ok()?;
    // The numbers have 32 bits, and the type of the field is another on each machine.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the low 32 bits are the number"
    )]
    let magic = system.f_type as u32;
    name_of_network(magic)
}

/// File systems that several machines see, or that go through a protocol which does not
/// share memory: the numbers that `statfs(2)` gives, with their names in `linux/magic.h`
/// or, where that has none, in the source of the file system.
///
/// FUSE is not among them: it stands for anything, local disks and the folders that
/// Docker Desktop shares included. One that is a network file system behind it (sshfs, for
/// one) is not noticed.
const NETWORKS: [(u32, &str); 18] = [
    (0x0000_6969, "NFS"),         // NFS_SUPER_MAGIC
    (0x0000_517B, "SMB"),         // SMB_SUPER_MAGIC
    (0xFF53_4D42, "CIFS"),        // CIFS_SUPER_MAGIC
    (0xFE53_4D42, "SMB2"),        // SMB2_SUPER_MAGIC
    (0x0102_1997, "9p"),          // V9FS_MAGIC
    (0x5346_414F, "AFS"),         // AFS_SUPER_MAGIC
    (0x6B41_4653, "AFS"),         // AFS_FS_MAGIC
    (0x00C3_6400, "Ceph"),        // CEPH_SUPER_MAGIC
    (0x7375_7245, "Coda"),        // CODA_SUPER_MAGIC
    (0x0000_564C, "NCP"),         // NCP_SUPER_MAGIC
    (0x7461_636F, "OCFS2"),       // OCFS2_SUPER_MAGIC
    (0x0116_1970, "GFS2"),        // GFS2_MAGIC, fs/gfs2
    (0x0BD0_0BD0, "Lustre"),      // LL_SUPER_MAGIC, Lustre
    (0x4750_4653, "GPFS"),        // "GPFS", IBM Storage Scale
    (0x1983_0326, "BeeGFS"),      // BEEGFS_MAGIC, BeeGFS
    (0xAAD7_AAEA, "PanFS"),       // PANFS_SUPER_MAGIC, PanFS
    (0xBACB_ACBC, "VMware HGFS"), // HGFS_SUPER_MAGIC, open-vm-tools
    (0x786F_4256, "VirtualBox"),  // VBOXSF_SUPER_MAGIC
];

fn name_of_network(magic: u32) -> Option<&'static str> {
    let mut found = NETWORKS.iter().filter(|(number, _)| *number == magic);
    found.next().map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_numbers() {
        for (magic, name) in [
            (0x6969, "NFS"),
            (0xFF53_4D42, "CIFS"),
            (0xFE53_4D42, "SMB2"),
            (0x0102_1997, "9p"),
            (0x00C3_6400, "Ceph"),
            (0x0BD0_0BD0, "Lustre"),
            (0x4750_4653, "GPFS"),
        ] {
            assert_eq!(name_of_network(magic), Some(name), "{magic:x}");
        }
    }

    #[test]
    fn local_file_systems_are_not_taken_for_network_ones() {
        for (magic, name) in [
            (0xEF53, "ext4"),
            (0x5846_5342, "XFS"),
            (0x9123_683E, "Btrfs"),
            (0x2FC1_2FC1, "ZFS"),
            (0x0102_1994, "tmpfs"),
            (0x794C_7630, "overlayfs"),
            (0xF2F5_2010, "F2FS"),
            (0x6573_5546, "FUSE"),
        ] {
            assert_eq!(name_of_network(magic), None, "{name}");
        }
    }

    #[test]
    fn no_number_stands_twice() {
        for (index, (number, _)) in NETWORKS.iter().enumerate() {
            let again = NETWORKS[index + 1..].iter().any(|(n, _)| n == number);
            assert!(!again, "{number:x}");
        }
    }

    #[test]
    fn a_place_that_is_not_there_yet_is_not_refused() {
        let folder = TempDir::new().unwrap();

        for path in ["microblog.db", "a/b/microblog.db"] {
            let path = folder.path().join(path);

            assert!(check(&path).is_ok() && check_new(&path).is_ok(), "{path:?}");
        }
    }

    #[test]
    fn room_that_runs_short_is_a_refusal_until_there_is_room_again() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("microblog.db");
        fs::write(&file, "").unwrap();
        let mut room = Room::new(&file, u64::MAX);

        let short = room.check();
        room.margin = 1;
        let enough = room.check();

        assert!(matches!(short, Err(Error::NoRoom)));
        assert!(enough.is_ok() && room.state == State::Enough);
    }

    #[test]
    fn a_disk_that_was_full_is_so_until_a_write_succeeds() {
        let folder = TempDir::new().unwrap();
        let mut room = Room::new(folder.path(), 1);

        room.learn(&Err(Error::NoRoom));
        let checked = room.check();
        let still = room.state == State::Full;
        room.learn(&Ok(()));

        assert!(checked.is_ok() && still);
        assert_eq!(room.state, State::Enough);
    }
}
