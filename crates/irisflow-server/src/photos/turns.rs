//! Checking photos off the async threads, a few at a time: each takes a core and a decoded photo's memory.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::error::ApiError;

/// What checks may take of the machine that also works on jobs.
#[derive(Debug, Clone, Copy)]
pub struct CheckLimits {
    pub at_once: usize,
    /// How long a check waits for its turn before the server says that it is busy.
    pub patience: Duration,
    /// How long an answer is waited for. The check itself goes on to its end and keeps its turn.
    pub deadline: Duration,
}

impl Default for CheckLimits {
    fn default() -> Self {
        Self {
            at_once: 2,
            patience: Duration::from_secs(2),
            deadline: Duration::from_secs(20),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Checks {
    turns: Arc<Semaphore>,
    limits: CheckLimits,
}

impl Checks {
    pub(crate) fn new(limits: CheckLimits) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(limits.at_once)),
            limits,
        }
    }

    /// Runs `work` when it is its turn.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`] when no turn came, [`ApiError::TookTooLong`] when no answer did.
    pub(crate) async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let turn = timeout(
            self.limits.patience,
            Arc::clone(&self.turns).acquire_owned(),
        );
        let Ok(Ok(turn)) = turn.await else {
            return Err(ApiError::Unavailable);
        };
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        match timeout(self.limits.deadline, done).await {
            Ok(done) => Ok(done?),
            Err(_) => Err(ApiError::TookTooLong),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_at_a_time() -> Checks {
        Checks::new(CheckLimits {
            at_once: 1,
            patience: Duration::ZERO,
            deadline: Duration::ZERO,
        })
    }

    #[tokio::test]
    async fn a_check_without_a_turn_is_told_that_we_are_busy() {
        let checks = one_at_a_time();
        let _taken = Arc::clone(&checks.turns).acquire_owned().await;
        let answer = checks.in_turn(|| ()).await;
        assert!(matches!(answer, Err(ApiError::Unavailable)), "{answer:?}");
    }

    #[tokio::test]
    async fn a_check_that_takes_too_long_is_given_up_but_keeps_its_turn_to_its_end() {
        let checks = one_at_a_time();
        let (end, until_ended) = std::sync::mpsc::channel::<()>();
        let answer = checks.in_turn(move || until_ended.recv()).await;
        assert!(matches!(answer, Err(ApiError::TookTooLong)), "{answer:?}");
        assert_eq!(checks.turns.available_permits(), 0);
        drop(end);
        let turn = Arc::clone(&checks.turns).acquire_owned().await;
        assert!(turn.is_ok());
    }
}
