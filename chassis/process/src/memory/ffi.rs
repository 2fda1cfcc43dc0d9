//! The calls of the allocators that Rust does not offer.

#![expect(unsafe_code, reason = "a C interface")]

// Links mimalloc also into programs that allocate otherwise, such as tests.
use libmimalloc_sys as _;

unsafe extern "C" {
    safe fn mi_collect(force: bool);
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    safe fn malloc_trim(keep: usize) -> std::ffi::c_int;
}

/// Returns free pages of mimalloc: those that this thread holds, and those free for at least a
/// second that no thread holds. With `all`, also the latter that were freed later.
pub(super) fn collect(all: bool) {
    mi_collect(all);
}

/// Returns free pages of the C library, of all threads. Other C libraries than glibc return them
/// without this call.
pub(super) fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    malloc_trim(0);
}
