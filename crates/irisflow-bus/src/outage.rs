//! Whether the machine or a store is in such trouble that the worker of this process claims nothing.

use tokio::sync::watch;

/// Set by the worker, read by whoever tells people what a job waits for.
#[derive(Debug)]
pub struct Outage {
    is_on: watch::Sender<bool>,
}

impl Default for Outage {
    fn default() -> Self {
        Self {
            is_on: watch::Sender::new(false),
        }
    }
}

impl Outage {
    pub fn begin(&self) {
        self.is_on.send_replace(true);
    }

    pub fn end(&self) {
        self.is_on.send_replace(false);
    }

    pub fn is_on(&self) -> bool {
        *self.is_on.borrow()
    }

    /// Returns at once while there is none.
    pub async fn over(&self) {
        // The sender lives as long as we do.
        let _ = self.is_on.subscribe().wait_for(|is_on| !is_on).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_goes_on_at_the_end_of_the_outage() {
        let outage = Outage::default();
        outage.over().await;
        outage.begin();
        assert!(outage.is_on());
        let (_, ()) = tokio::join!(outage.over(), async { outage.end() });
        assert!(!outage.is_on());
    }
}
