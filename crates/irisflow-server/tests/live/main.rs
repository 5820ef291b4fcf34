//! Watching jobs over real sockets, with jobs that are written to the store directly and a bus that can lose, double and
//! reorder notifications.

#![expect(
    clippy::expect_used,
    reason = "`expect` messages explain test failures"
)]

mod faulty_bus;
mod lost_notifications;
mod short_jobs;
mod site;
#[cfg(target_os = "linux")]
mod slow_readers;
mod watching;
