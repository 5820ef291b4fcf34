//! Ends of sessions, for everything that stays open as long as its session: by notification, and by a check of all
//! watched sessions in one query.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use irisflow_jobs::SessionId;
use tokio_util::sync::CancellationToken;

use crate::app::App;

/// The watched sessions of this node. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct SessionEnds(Arc<Mutex<HashMap<SessionId, Watched>>>);

#[derive(Debug)]
struct Watched {
    ended: CancellationToken,
    watchers: usize,
}

/// One watcher of a session, until it is dropped.
#[derive(Debug)]
pub(crate) struct SessionWatch {
    sessions: SessionEnds,
    session_id: SessionId,
    ended: CancellationToken,
}

impl SessionEnds {
    pub(crate) fn watch(&self, session_id: SessionId) -> SessionWatch {
        let mut sessions = self.lock();
        let watched = sessions.entry(session_id).or_insert_with(|| Watched {
            ended: CancellationToken::new(),
            watchers: 0,
        });
        watched.watchers += 1;
        SessionWatch {
            sessions: self.clone(),
            session_id,
            ended: watched.ended.clone(),
        }
    }

    pub(crate) fn end(&self, session_id: SessionId) {
        if let Some(watched) = self.lock().get(&session_id) {
            watched.ended.cancel();
        }
    }

    fn session_ids(&self) -> Vec<SessionId> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Watched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionWatch {
    /// Returns once the session has ended. Cancel safe.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

impl Drop for SessionWatch {
    fn drop(&mut self) {
        let mut sessions = self.sessions.lock();
        if let Some(watched) = sessions.get_mut(&self.session_id) {
            watched.watchers -= 1;
            if watched.watchers == 0 {
                sessions.remove(&self.session_id);
            }
        }
    }
}

/// Checks the watched sessions every `session_check`, in case a notification was lost or another process has ended
/// one. Runs until the server shuts down.
pub(crate) async fn check_sessions(app: App) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(app.settings.session_check) => {}
            () = app.draining.cancelled() => return,
        }
        let watched = app.session_ends.session_ids();
        if watched.is_empty() {
            continue;
        }
        match app.parts.accounts.live_session_ids(&watched).await {
            Ok(live) => {
                let live: std::collections::HashSet<SessionId> = live.into_iter().collect();
                for session_id in watched.iter().filter(|id| !live.contains(id)) {
                    app.session_ends.end(*session_id);
                }
            }
            Err(error) => tracing::warn!(%error, "could not check the sessions of open sockets"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_session_reaches_all_its_watchers_and_no_others() {
        let sessions = SessionEnds::default();
        let (ending, other) = (SessionId::generate(), SessionId::generate());
        let watches = [sessions.watch(ending), sessions.watch(ending)];
        let unaffected = sessions.watch(other);

        sessions.end(ending);

        for watch in &watches {
            watch.ended().await;
        }
        assert!(!unaffected.ended.is_cancelled());
        drop((watches, unaffected));
        assert!(sessions.session_ids().is_empty());
    }
}
