//! Detection of network file systems by the magic numbers of `statfs(2)`.

use std::path::Path;

use rustix::fs::statfs;

/// Returns the name of the network file system that `path` is on, or `None` for a local one.
pub(super) fn file_system(path: &Path) -> Option<&'static str> {
    let status = statfs(path).ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the type of the field depends on the architecture; the low 32 bits are the number"
    )]
    let magic = status.f_type as u32;
    name(magic)
}

/// Network file systems, and those whose protocol does not share memory between machines. The
/// names are those of `linux/magic.h` or of the source of the file system.
///
/// FUSE is not in the list, since it also serves local disks and the directories that Docker
/// Desktop shares. A network file system behind FUSE, such as sshfs, is therefore not detected.
const NETWORK_FILE_SYSTEMS: [(u32, &str); 18] = [
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

fn name(magic: u32) -> Option<&'static str> {
    let mut found = NETWORK_FILE_SYSTEMS
        .iter()
        .filter(|(number, _)| *number == magic);
    found.next().map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_detected() {
        for (magic, expected) in [
            (0x6969, "NFS"),
            (0xFF53_4D42, "CIFS"),
            (0xFE53_4D42, "SMB2"),
            (0x0102_1997, "9p"),
            (0x00C3_6400, "Ceph"),
            (0x0BD0_0BD0, "Lustre"),
            (0x4750_4653, "GPFS"),
        ] {
            assert_eq!(name(magic), Some(expected), "{magic:x}");
        }
    }

    #[test]
    fn local_file_systems_are_accepted() {
        for (magic, local) in [
            (0xEF53, "ext4"),
            (0x5846_5342, "XFS"),
            (0x9123_683E, "Btrfs"),
            (0x2FC1_2FC1, "ZFS"),
            (0x0102_1994, "tmpfs"),
            (0x794C_7630, "overlayfs"),
            (0xF2F5_2010, "F2FS"),
            (0x6573_5546, "FUSE"),
        ] {
            assert_eq!(name(magic), None, "{local}");
        }
    }

    #[test]
    fn magic_numbers_are_distinct() {
        for (index, (number, _)) in NETWORK_FILE_SYSTEMS.iter().enumerate() {
            let later = &NETWORK_FILE_SYSTEMS[index + 1..];
            assert!(later.iter().all(|(other, _)| other != number), "{number:x}");
        }
    }
}
