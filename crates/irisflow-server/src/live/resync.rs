//! What the bus lost, the database still knows: asks it now and then, for all watched users at once.

use std::collections::HashMap;

use irisflow_jobs::{Announcer as _, Hint, UserId};

use crate::app::App;

/// Runs until the server drains.
pub(crate) async fn resync_watchers(app: App) {
    let mut seen: HashMap<UserId, i64> = HashMap::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(app.settings.resync_interval) => {}
            () = app.draining.cancelled() => return,
        }
        let watched = app.parts.bus.watched_users();
        if watched.is_empty() {
            seen.clear();
            continue;
        }
        match app.parts.timeline.last_seqs(&watched).await {
            Ok(now) => {
                for (user_id, last_seq) in &now {
                    // A watcher that has heard of it all finds nothing newer, at the cost of a read.
                    if seen.get(user_id).is_none_or(|seen| seen < last_seq) {
                        app.parts.bus.announce(*user_id, Hint::Behind);
                    }
                }
                seen = now.into_iter().collect();
            }
            Err(error) => tracing::warn!(%error, "could not look for missed events"),
        }
    }
}
