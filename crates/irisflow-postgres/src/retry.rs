//! Repeating a transaction that was rolled back because of a concurrent one, or whose connection was lost before its
//! commit was requested. After a commit whose outcome is not known nothing is repeated: it may have been made.

use std::time::Duration;

use irisflow_jobs::StoreError;

use crate::store_error::lost_connection;

const MOST_RETRIES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// Evaluates an operation (an `async` block that takes nothing by value) until it succeeds, or fails for good.
macro_rules! retrying {
    ($operation:expr) => {{
        let mut retries = $crate::retry::Retries::default();
        loop {
            let outcome: ::std::result::Result<_, ::irisflow_jobs::StoreError> = $operation.await;
            match outcome {
                Err(error) if retries.wait_after(&error).await => {}
                outcome => break outcome,
            }
        }
    }};
}

/// The connection was lost while a commit was under way.
#[derive(Debug, thiserror::Error)]
#[error("the connection was lost during a commit, whose outcome is not known: {0}")]
pub(crate) struct CommitOutcomeUnknown(pub(crate) StoreError);

#[derive(Debug, Default)]
pub(crate) struct Retries {
    made: u32,
}

impl Retries {
    /// Waits before the next attempt. `false` when there should be none.
    pub(crate) async fn wait_after(&mut self, error: &StoreError) -> bool {
        if self.made >= MOST_RETRIES || !may_be_repeated(error) {
            return false;
        }
        let longest = FIRST_WAIT * 2_u32.pow(self.made);
        self.made += 1;
        tracing::debug!(%error, attempt = self.made, "a transaction is repeated");
        tokio::time::sleep(longest.mul_f64(rand::random::<f64>())).await;
        true
    }
}

fn may_be_repeated(error: &StoreError) -> bool {
    match error {
        StoreError::Serialization(_) => true,
        StoreError::Unavailable(cause) => lost_connection(cause),
        StoreError::Conflict(_)
        | StoreError::Corrupt(_)
        | StoreError::Damaged(_)
        | StoreError::Refused(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    async fn attempts(error: impl Fn() -> StoreError) -> u32 {
        let made = AtomicU32::new(0);
        let outcome: Result<(), _> = retrying!(async {
            made.fetch_add(1, Ordering::SeqCst);
            Err(error())
        });
        outcome.expect_err("it fails every time");
        made.into_inner()
    }

    fn reset() -> StoreError {
        StoreError::unavailable(sqlx::Error::Io(io::ErrorKind::ConnectionReset.into()))
    }

    #[tokio::test]
    async fn a_lost_connection_and_a_serialization_failure_are_repeated_so_many_times() {
        let serialization = || StoreError::Serialization(std::sync::Arc::new(io::Error::other("")));
        assert_eq!(attempts(reset).await, MOST_RETRIES + 1);
        assert_eq!(attempts(serialization).await, MOST_RETRIES + 1);
    }

    #[tokio::test]
    async fn a_commit_with_an_unknown_outcome_and_a_conflict_are_not_repeated() {
        let unknown = || StoreError::unavailable(CommitOutcomeUnknown(reset()));
        let conflict = || StoreError::Conflict(std::sync::Arc::new(io::Error::other("")));
        let timed_out = || StoreError::unavailable(sqlx::Error::PoolTimedOut);
        assert_eq!(attempts(unknown).await, 1);
        assert_eq!(attempts(conflict).await, 1);
        assert_eq!(attempts(timed_out).await, 1);
    }
}
