//! Periodic resync of watchers: one query asks the database for the newest `seq` of all watched users, and watchers
//! that missed a notification are woken.

use std::collections::HashMap;

use irisflow_jobs::UserId;

use crate::app::App;

/// Runs until the server shuts down.
pub(crate) async fn resync_watchers(app: App) {
    let mut seen: HashMap<UserId, i64> = HashMap::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(app.settings.resync_interval) => {}
            () = app.draining.cancelled() => return,
        }
        let watched = app.parts.bus.subscribed_users();
        if watched.is_empty() {
            seen.clear();
            continue;
        }
        match app.parts.timeline.last_seqs(&watched).await {
            Ok(now) => {
                for (user_id, last_seq) in &now {
                    match seen.get(user_id) {
                        None => app.parts.bus.reread_user(*user_id),
                        Some(seen) if seen < last_seq => wake(&app, *user_id, *seen).await,
                        Some(_) => {}
                    }
                }
                seen = now.into_iter().collect();
            }
            Err(error) => {
                tracing::warn!(%error, "could not query the newest events for the resync");
            }
        }
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
