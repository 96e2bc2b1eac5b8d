//! How the C library's allocator treats large buffers.

/// Buffers from this length on are mapped one by one and unmapped when freed. Chosen: well below a
/// stripe, well above what small requests allocate.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_FROM_BYTES: libc::c_int = 1 << 20;

/// Fixes the length from which buffers go back to the system when freed.
///
/// Left alone, glibc raises that length to the largest buffer ever freed, after which stripes come
/// from arenas that keep their memory: 1.6 GiB stayed resident after a burst of uploads, with it
/// 0.2 GiB (`bench load --op put --size 64MiB --concurrency 32`).
pub(crate) fn give_large_buffers_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: mallopt takes two integers, keeps none of our memory, and may be called at any
        // time; glibc locks its own state.
        let accepted = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM_BYTES) };
        if accepted == 0 {
            tracing::warn!("the allocator does not give large buffers back");
        }
    }
}
