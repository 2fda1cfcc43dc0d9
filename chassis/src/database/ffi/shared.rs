//! A number in a file, looked at without a call of the system.

use std::{
    ffi::c_void,
    fs::File,
    io,
    ptr::{self, NonNull},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// The size of the number, in bytes.
const SIZE: usize = size_of::<u64>();

/// The first eight bytes of a file, as they are at every moment: what other processes write
/// there is seen as soon as their call of the system has returned.
///
/// Whoever makes the file shorter meanwhile ends the process, as with the shared memory of
/// SQLite itself.
#[derive(Debug)]
pub(in crate::database) struct SharedNumber(NonNull<AtomicU64>);

// SAFETY: what it points to is mapped for as long as it lives, and is read atomically.
unsafe impl Send for SharedNumber {}
// SAFETY: the same.
unsafe impl Sync for SharedNumber {}

impl SharedNumber {
    /// That of a file with at least eight bytes.
    pub(in crate::database) fn of(file: &File) -> io::Result<Self> {
        if file.metadata()?.len() < SIZE as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // SAFETY: the kernel chooses where, so no other memory of this process changes.
        let address = unsafe {
            mmap(
                ptr::null_mut(),
                SIZE,
                ProtFlags::READ,
                MapFlags::SHARED,
                file,
                0,
            )
        }?;
        NonNull::new(address.cast())
            .map(Self)
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// What it is now.
    pub(in crate::database) fn get(&self) -> u64 {
        // SAFETY: it is mapped until it is dropped, and a mapping begins with a page, so it is
        // aligned.
        unsafe { self.0.as_ref() }.load(Ordering::Acquire)
    }
}

impl Drop for SharedNumber {
    fn drop(&mut self) {
        // SAFETY: it was mapped by this, and nobody has it any more.
        let unmapped = unsafe { munmap(self.0.as_ptr().cast::<c_void>(), SIZE) };
        debug_assert!(unmapped.is_ok());
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn what_is_written_is_seen_at_once() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&1_u64.to_ne_bytes(), 0).unwrap();
        let number = SharedNumber::of(&file).unwrap();

        for next in [2, u64::MAX, 0] {
            file.write_all_at(&next.to_ne_bytes(), 0).unwrap();
            assert_eq!(number.get(), next);
        }
    }

    #[test]
    fn a_file_that_is_too_short_has_none() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[0; 7], 0).unwrap();

        let error = SharedNumber::of(&file).unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
