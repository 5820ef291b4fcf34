//! The running program, from outside: real HTTP, real WebSockets, real files, planned failures.

#![expect(clippy::expect_used, reason = "a test says what it expected")]

mod accounts;
mod app;
mod backups;
mod bad_photos;
mod batches;
mod cancelling;
mod checking;
mod connections;
mod cors;
mod deleting;
mod failures;
mod guessing;
mod hostile;
mod idempotency;
mod jobs;
mod limits;
mod operation;
mod operators;
mod outages;
mod people;
mod photos;
mod privacy;
mod sockets;
mod startup;
mod storage;
mod submit;
mod tls;
mod waiting;
