//! The object store on S3 against a real server.
#![cfg(unix)]
#![expect(
    clippy::expect_used,
    reason = "`expect` messages explain test failures"
)]

mod conformance;
mod failures;
mod links;
mod server;
