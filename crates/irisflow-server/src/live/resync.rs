//! What the bus lost, the database still knows: asks it now and then, for all watched users at once.

use std::collections::HashMap;

use irisflow_jobs::{Notification, Notifier as _, UserId};

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
                    match seen.get(user_id) {
                        None => app
                            .parts
                            .bus
                            .notify(*user_id, Notification::TimelineAdvanced),
                        Some(seen) if seen < last_seq => wake(&app, *user_id, *seen).await,
                        Some(_) => {}
                    }
                }
                seen = now.into_iter().collect();
            }
            Err(error) => tracing::warn!(%error, "could not look for missed events"),
        }
    }
}

/// Those whose job has newer events; they may have heard of them and find nothing newer, at the cost of a read.
/// The others are not asked to read: a user's watchers may be very many.
async fn wake(app: &App, user_id: UserId, seen: i64) {
    match app
        .parts
        .timeline
        .jobs_with_events_after(user_id, seen)
        .await
    {
        Ok(jobs) => {
            for job_id in jobs {
                app.parts.bus.job_is_behind(user_id, job_id);
            }
        }
        Err(error) => {
            tracing::warn!(%error, "could not look which jobs have newer events");
            app.parts
                .bus
                .notify(user_id, Notification::TimelineAdvanced);
        }
    }
}
