//! Essential threads and tasks: if one panics, the process must end.

use tokio::sync::watch;

/// Held by an essential thread or task for as long as it runs.
#[derive(Debug)]
pub(crate) struct SupervisedTask {
    name: &'static str,
    failed: watch::Sender<Option<&'static str>>,
}

/// Which essential thread or task has panicked, if any.
#[derive(Debug)]
pub(crate) struct Supervisor(watch::Sender<Option<&'static str>>);

impl Default for Supervisor {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Supervisor {
    pub(crate) fn part(&self, name: &'static str) -> SupervisedTask {
        SupervisedTask {
            name,
            failed: self.0.clone(),
        }
    }

    /// Returns when one of them has failed, with its name.
    pub(crate) async fn failed(&self) -> &'static str {
        let mut failed = self.0.subscribe();
        loop {
            if let Some(name) = *failed.borrow_and_update() {
                return name;
            }
            // The sender is ours, so this only ends with a change.
            if failed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for SupervisedTask {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.failed.send_replace(Some(self.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn a_vital_task_that_panics_is_named_and_one_that_ends_is_not() {
        let parts = Arc::new(Supervisor::default());
        let (quiet, loud) = (parts.part("quiet"), parts.part("loud"));
        let _ = tokio::spawn(async move { drop(quiet) }).await;
        let panicked = tokio::spawn(async move {
            let _supervised = loud;
            panic!("planned");
        });
        assert!(panicked.await.is_err());
        assert_eq!(parts.failed().await, "loud");
    }

    #[tokio::test]
    async fn a_vital_thread_that_panics_is_named() {
        let parts = Arc::new(Supervisor::default());
        let part = parts.part("thread");
        let panicked = std::thread::spawn(move || {
            let _supervised = part;
            panic!("planned");
        });
        assert!(panicked.join().is_err());
        assert_eq!(parts.failed().await, "thread");
    }
}
