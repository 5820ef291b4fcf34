//! What the cluster has recorded: rows in PostgreSQL and objects in S3 or in files.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::nodes::Cluster;
use super::servers::Servers;
use crate::faults::recorded_state::{
    DRIFTED, RecordedState, StoredEvent, StoredJob, collect_file_names, stored_objects,
};

/// Generous, because other work may keep the machine busy.
const END_LIMIT: Duration = Duration::from_secs(240);
/// Longer than the interval of any cleanup sweep.
const SWEEP_LIMIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

impl Servers {
    /// Jobs and events of an account; of all without one.
    pub(super) async fn recorded(&self, user: Option<Uuid>) -> anyhow::Result<RecordedState> {
        let jobs: Vec<StoredJob> = sqlx::query_as(
            "SELECT id, state, result, failure, crashes, previews FROM jobs
             WHERE $1 IS NULL OR user_id = $1",
        )
        .bind(user)
        .fetch_all(&self.database)
        .await?;
        let events: Vec<StoredEvent> = sqlx::query_as(
            "SELECT job_id, kind, body FROM events WHERE $1 IS NULL OR user_id = $1
             ORDER BY user_id, seq",
        )
        .bind(user)
        .fetch_all(&self.database)
        .await?;
        let drifted: i64 = sqlx::query_scalar(DRIFTED)
            .fetch_one(&self.database)
            .await?;
        RecordedState::of_rows(jobs, events, drifted)
    }

    pub(super) async fn user(&self, email: &str) -> anyhow::Result<Uuid> {
        let user = sqlx::query_scalar("SELECT id FROM users WHERE email = $1").bind(email);
        Ok(user.fetch_one(&self.database).await?)
    }

    /// The positions of all events of an account.
    pub(super) async fn positions(&self, user: Uuid) -> anyhow::Result<Vec<i64>> {
        let positions =
            sqlx::query_scalar("SELECT seq FROM events WHERE user_id = $1 ORDER BY seq");
        Ok(positions.bind(user).fetch_all(&self.database).await?)
    }

    /// Attempts that were taken from their workers.
    pub(super) async fn expired_leases(&self) -> anyhow::Result<i64> {
        let crashes = "SELECT coalesce(sum(crashes), 0)::bigint FROM jobs";
        Ok(sqlx::query_scalar(crashes)
            .fetch_one(&self.database)
            .await?)
    }

    /// Waits until all jobs have ended, for as long as they may take.
    pub(super) async fn until_all_ended(&self) -> anyhow::Result<()> {
        let unfinished =
            "SELECT count(*) FROM jobs WHERE state IN ('pending', 'waiting', 'processing')";
        let begun = Instant::now();
        while begun.elapsed() < END_LIMIT {
            let unfinished: i64 = sqlx::query_scalar(unfinished)
                .fetch_one(&self.database)
                .await?;
            if unfinished == 0 {
                break;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }
}

impl Cluster {
    /// Names of stored results, and of unfinished and incoming uploads; originals are not included.
    pub(super) fn stored_objects(&self) -> anyhow::Result<Vec<String>> {
        let Some(s3) = &self.servers.s3 else {
            let mut names = stored_objects(&self.data);
            names.retain(|name| !is_lock(name));
            return Ok(names);
        };
        let keys = s3.keys()?.into_iter();
        let keys = keys.filter(|key| !key.starts_with("iris/"));
        let mut names: Vec<String> = keys
            .filter_map(|key| Some(key.rsplit('/').next()?.to_owned()))
            .collect();
        collect_file_names(&self.data.join("files"), &mut names);
        names.retain(|name| !is_lock(name));
        Ok(names)
    }

    /// Waits until the sweeps have deleted what belongs to no result; returns the names of what is left of it.
    pub(super) async fn until_swept(&self) -> anyhow::Result<Vec<String>> {
        let begun = Instant::now();
        loop {
            let recorded = self.servers.recorded(None).await?;
            let left_over = recorded.left_over(&self.stored_objects()?);
            if left_over.is_empty() || begun.elapsed() > SWEEP_LIMIT {
                return Ok(left_over);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

/// Of the folders for staging, which running processes hold.
fn is_lock(name: &str) -> bool {
    matches!(name, "lock" | "opening")
}
