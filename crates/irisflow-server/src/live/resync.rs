//! Periodic resync of watchers: queries ask the database for the newest `seq` of watched users, and watchers that
//! missed a notification are woken.
//!
//! Most rounds ask which users have recent events, which costs nothing while nothing happens, however many users are
//! watched. Every tenth round asks for all watched users.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use irisflow_jobs::{StoreError, UserId};

use crate::app::App;

/// One in this many rounds asks for all watched users.
const FULL_ROUND: u32 = 10;
/// How much longer than a round an event is recent: a transaction may commit some time after the time of its events.
const LATE_COMMIT: Duration = Duration::from_secs(10);

/// So many new users read at once, then a pause follows: thousands may have come back together, and reads that wait for
/// each other take memory.
const AT_ONCE: usize = 50;
const PAUSE: Duration = Duration::from_millis(10);

/// Runs until the server shuts down.
pub(crate) async fn resync_watchers(app: App) {
    let mut resync = Resync {
        app,
        seen: HashMap::new(),
        round: 0,
    };
    loop {
        tokio::select! {
            () = tokio::time::sleep(resync.app.settings.resync_interval) => {}
            () = resync.app.draining.cancelled() => return,
        }
        if let Err(error) = resync.run_round().await {
            tracing::warn!(%error, "could not query the newest events for the resync");
        }
    }
}

struct Resync {
    app: App,
    /// The newest `seq` of each watched user at the last round.
    seen: HashMap<UserId, i64>,
    round: u32,
}

impl Resync {
    async fn run_round(&mut self) -> Result<(), StoreError> {
        let watched: HashSet<UserId> = self.app.parts.bus.subscribed_users().into_iter().collect();
        self.seen.retain(|user_id, _| watched.contains(user_id));
        self.round = self.round.wrapping_add(1);
        let mut new = Vec::new();
        for (user_id, last_seq) in self.newest(&watched).await? {
            match self.seen.insert(user_id, last_seq) {
                None => new.push(user_id),
                Some(seen) if seen < last_seq => wake(&self.app, user_id, seen).await,
                Some(_) => {}
            }
        }
        // They may have missed events between their subscription and this round.
        for some in new.chunks(AT_ONCE) {
            for user_id in some {
                self.app.parts.bus.reread_user(*user_id);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// The newest `seq` of the watched users that may have changed, and of those that are new.
    async fn newest(&self, watched: &HashSet<UserId>) -> Result<Vec<(UserId, i64)>, StoreError> {
        let timeline = &self.app.parts.timeline;
        if self.round.is_multiple_of(FULL_ROUND) {
            let all: Vec<UserId> = watched.iter().copied().collect();
            return timeline.last_seqs(&all).await;
        }
        let is_new = |user_id: &&UserId| !self.seen.contains_key(user_id);
        let new: Vec<UserId> = watched.iter().filter(is_new).copied().collect();
        let mut newest = timeline.last_seqs(&new).await?;
        if new.len() < watched.len() {
            let since = self.app.now() - self.app.settings.resync_interval - LATE_COMMIT;
            let recent = timeline.last_seqs_since(since).await?;
            newest.extend(
                recent
                    .into_iter()
                    .filter(|(user_id, _)| watched.contains(user_id)),
            );
        }
        Ok(newest)
    }
}

/// Wakes the watchers of the jobs that have newer events. One that got these events already reads once in vain.
/// The user's other watchers are not woken, since they may be many.
async fn wake(app: &App, user_id: UserId, seen: i64) {
    match app
        .parts
        .timeline
        .jobs_with_events_after(user_id, seen)
        .await
    {
        Ok(jobs) => {
            for job_id in jobs {
                app.parts.bus.reread_job(user_id, job_id);
            }
        }
        Err(error) => {
            tracing::warn!(%error, "could not query which jobs have newer events; waking all watchers");
            app.parts.bus.reread_user(user_id);
        }
    }
}
