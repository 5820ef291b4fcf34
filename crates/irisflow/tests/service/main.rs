//! Black-box tests of `irisflow serve` and its commands: real HTTP, WebSockets and files, with injected faults.

#![expect(
    clippy::expect_used,
    reason = "`expect` messages explain test failures"
)]

mod accounts;
mod app;
mod backups;
mod bad_photos;
mod batches;
mod cancelling;
#[cfg(unix)]
mod cluster;
mod connections;
mod cors;
mod deleting;
mod failures;
mod hostile;
mod idempotency;
mod jobs;
mod limits;
mod live_credentials;
mod live_endings;
mod live_jobs;
#[cfg(unix)]
mod many_machines;
#[cfg(unix)]
mod moving;
mod operation;
mod outages;
mod own_account;
mod password_guessing;
mod photo_check;
mod photos;
mod picture_options;
mod previews;
mod privacy;
mod sockets;
mod startup;
mod storage;
mod submit;
mod tls;
#[cfg(unix)]
mod traces;
mod user_command;
mod waiting;
mod webhooks;
