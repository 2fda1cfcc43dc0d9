//! The calls of the allocators and of the C library that Rust does not offer.

#![expect(unsafe_code, reason = "a C interface")]

// Links mimalloc also into programs that allocate otherwise, such as tests.
use libmimalloc_sys as _;

unsafe extern "C" {
    safe fn mi_collect(force: bool);
    safe fn clock() -> std::ffi::c_long;
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

/// Returns the processor time that the process has used, in microseconds, which POSIX specifies for
/// `clock`. Not `clock_gettime` of rustix, whose search for the vDSO crashes under valgrind.
pub(super) fn cpu_micros() -> std::ffi::c_long {
    clock()
}
