//! Priority of the threads that process photos: below that of the threads that serve requests and sockets.

/// Lowers the priority of the calling thread, so that pixels do not delay requests and sockets of the same process.
/// Where this is not possible, threads keep their priority.
pub fn lower_thread_priority() {
    // On Linux the priority belongs to the thread; elsewhere it belongs to the process, which stays as it is.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "could not lower the priority of a thread");
    }
}

/// Of two threads that want the same core, this one gets about a tenth of the time.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;
