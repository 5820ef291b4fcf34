//! Outages of the machine or a store. During one this process claims nothing and counts no failure against a
//! job. It probes with backoff, by writing to the database and the storage, until both work.

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use irisflow_jobs::StoreError;

use crate::{Shared, metrics};

/// About what a job writes.
const PROBE_BYTES: usize = 4 << 20;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A probe that takes longer counts as an outage.
const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// Ensures that only one probe runs at a time.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    by_one: tokio::sync::Mutex<()>,
    /// Held while a probe writes, for long when the disk hangs.
    storage: Arc<tokio::sync::Mutex<()>>,
}

impl Shared {
    /// Probes database and storage after a failure. `true` when one of them does not work: then the worker
    /// waits until both do.
    pub(crate) async fn probe_for_outage(self: &Arc<Self>, what: &(dyn Display + Sync)) -> bool {
        let bus = &self.parts.bus;
        if bus.has_outage() {
            return true;
        }
        let _by_one = self.probe.by_one.lock().await;
        if bus.has_outage() {
            return true;
        }
        let Err(found) = self.probe_stores().await else {
            return false;
        };
        bus.set_outage(true);
        metrics::outage_began();
        tracing::error!(error = %what, found, "an outage: no work is begun until it is over");
        self.runtime.spawn(wait_for_the_end(Arc::clone(self)));
        true
    }

    /// After an error of the store: returns when trying again may help.
    pub(crate) async fn wait_before_retry(
        self: &Arc<Self>,
        error: &StoreError,
        pause: Duration,
        doing: &'static str,
    ) {
        if error.is_outage() && self.probe_for_outage(error).await {
            // Not for ever: the attempt may be asked to stop meanwhile.
            let over = self.parts.bus.outage_over();
            let _ = tokio::time::timeout(LONGEST_PAUSE, over).await;
        } else {
            tracing::warn!(%error, doing, "the store failed and is tried again");
            tokio::time::sleep(pause).await;
        }
    }

    async fn probe_stores(&self) -> Result<(), String> {
        let both = async {
            let (health, files) = (&self.parts.health, Arc::clone(&self.parts.files));
            health.check_writable().await.map_err(|e| e.to_string())?;
            let only_probe = Arc::clone(&self.probe.storage).try_lock_owned();
            let only_probe = only_probe.map_err(|_| "the storage hangs".to_owned())?;
            // A task of its own: it holds the lock until the storage answers, also when that takes too long.
            let written = tokio::spawn(async move {
                let _only_probe = only_probe;
                files.check_writable(PROBE_BYTES).await
            });
            let written = written.await.map_err(|e| e.to_string())?;
            written.map_err(|e| e.to_string())
        };
        let in_time = tokio::time::timeout(PROBE_LIMIT, both).await;
        in_time.unwrap_or_else(|_| Err("no answer".to_owned()))
    }
}

async fn wait_for_the_end(shared: Arc<Shared>) {
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::select! {
            biased;
            () = shared.over.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        match shared.probe_stores().await {
            Ok(()) => break,
            Err(found) => tracing::debug!(found, "the outage goes on"),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    let seconds = begun.elapsed().as_secs();
    tracing::warn!(seconds, "the outage is over");
    shared.parts.bus.set_outage(false);
    shared.parts.bus.work_available();
}
