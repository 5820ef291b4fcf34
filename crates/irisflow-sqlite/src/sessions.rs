//! Sessions and their refresh tokens: the statements that `AccountStore` is made of.

use irisflow_jobs::{
    MOST_SESSIONS, MOST_SPENT_TOKENS, Session, SessionId, SessionWithAccount, StoreError,
    Timestamp, UserId,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow as _, QueryBuilder, Row, Sqlite, SqliteConnection};
use uuid::Uuid;

use crate::accounts::AccountRow;
use crate::unit_of_work::UnitOfWork;
use crate::{SqliteStore, store_error};

type Result<T> = std::result::Result<T, StoreError>;

/// Well under SQLite's limit of bound values.
const MOST_SESSIONS_IN_A_QUERY: usize = 500;

impl SqliteStore {
    pub(crate) async fn live_among(&self, sessions: &[SessionId]) -> Result<Vec<SessionId>> {
        let mut live = Vec::with_capacity(sessions.len());
        for some in sessions.chunks(MOST_SESSIONS_IN_A_QUERY) {
            let mut query: QueryBuilder<Sqlite> = QueryBuilder::new(
                "SELECT id FROM sessions WHERE ended_at IS NULL AND expires_at > ",
            );
            query.push_bind(self.now().as_millis()).push(" AND id IN (");
            let mut ids = query.separated(", ");
            for session_id in some {
                ids.push_bind(session_id.as_uuid());
            }
            query.push(")");
            let rows: Vec<Uuid> = query
                .build_query_scalar()
                .fetch_all(&self.readers)
                .await
                .map_err(store_error)?;
            live.extend(rows.into_iter().map(SessionId::from));
        }
        Ok(live)
    }

    /// Newest first.
    pub(crate) async fn live_sessions(&self, user_id: UserId) -> Result<Vec<Session>> {
        let rows = sqlx::query(
            "SELECT id AS session_id, user_id, created_at AS session_created_at, expires_at,
                 coalesce(last_used_at, created_at) AS last_used_at, device
             FROM sessions WHERE user_id = ? AND ended_at IS NULL AND expires_at > ?
             ORDER BY created_at DESC, id DESC",
        )
        .bind(user_id.as_uuid())
        .bind(self.now().as_millis())
        .fetch_all(&self.readers)
        .await
        .map_err(store_error)?;
        rows.iter().map(session_of).collect()
    }
}

impl UnitOfWork<'_> {
    pub(crate) async fn add_refresh_token(
        &mut self,
        session_id: SessionId,
        hash: [u8; 32],
    ) -> Result<()> {
        sqlx::query("INSERT INTO refresh_tokens (hash, session_id) VALUES (?, ?)")
            .bind(hash.as_slice())
            .bind(session_id.as_uuid())
            .execute(self.connection()?)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    pub(crate) async fn spend_refresh_token(&mut self, hash: [u8; 32]) -> Result<()> {
        sqlx::query("UPDATE refresh_tokens SET spent_at = ? WHERE hash = ?")
            .bind(self.now.as_millis())
            .bind(hash.as_slice())
            .execute(self.connection()?)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    /// Deletes the oldest spent tokens of a session beyond the limit, so that a client that refreshes without
    /// pause cannot fill the disk.
    pub(crate) async fn forget_oldest_spent_tokens(&mut self, session_id: SessionId) -> Result<()> {
        sqlx::query(
            "DELETE FROM refresh_tokens WHERE hash IN (
                 SELECT hash FROM refresh_tokens WHERE session_id = ? AND spent_at IS NOT NULL
                 ORDER BY spent_at DESC LIMIT -1 OFFSET ?)",
        )
        .bind(session_id.as_uuid())
        .bind(MOST_SPENT_TOKENS)
        .execute(self.connection()?)
        .await
        .map_err(store_error)?;
        Ok(())
    }

    /// Ends the sessions beyond the limit, those used least lately first, but never `newest`.
    pub(crate) async fn end_sessions_beyond(
        &mut self,
        user_id: UserId,
        newest: SessionId,
    ) -> Result<()> {
        let ended: Vec<Uuid> = sqlx::query_scalar(
            "UPDATE sessions SET ended_at = ?1 WHERE id IN (
                 SELECT id FROM sessions
                 WHERE user_id = ?2 AND ended_at IS NULL AND expires_at > ?1 AND id <> ?3
                 ORDER BY coalesce(last_used_at, created_at) DESC, id DESC LIMIT -1 OFFSET ?4)
             RETURNING id",
        )
        .bind(self.now.as_millis())
        .bind(user_id.as_uuid())
        .bind(newest.as_uuid())
        .bind(MOST_SESSIONS - 1)
        .fetch_all(self.connection()?)
        .await
        .map_err(store_error)?;
        for session in ended {
            self.session_ended(user_id, SessionId::from(session));
        }
        Ok(())
    }

    pub(crate) async fn prolong(
        &mut self,
        session_id: SessionId,
        expires_at: Timestamp,
    ) -> Result<()> {
        sqlx::query("UPDATE sessions SET expires_at = ?, last_used_at = ? WHERE id = ?")
            .bind(expires_at.as_millis())
            .bind(self.now.as_millis())
            .bind(session_id.as_uuid())
            .execute(self.connection()?)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    pub(crate) async fn end(&mut self, user_id: UserId, session_id: SessionId) -> Result<bool> {
        let ended = sqlx::query(
            "UPDATE sessions SET ended_at = ? WHERE id = ? AND user_id = ? AND ended_at IS NULL",
        )
        .bind(self.now.as_millis())
        .bind(session_id.as_uuid())
        .bind(user_id.as_uuid())
        .execute(self.connection()?)
        .await
        .map_err(store_error)?
        .rows_affected();
        if ended > 0 {
            self.session_ended(user_id, session_id);
        }
        Ok(ended > 0)
    }

    /// Returns how many.
    pub(crate) async fn end_all_but(
        &mut self,
        user_id: UserId,
        kept: Option<SessionId>,
    ) -> Result<u64> {
        let ended: Vec<Uuid> = sqlx::query_scalar(
            "UPDATE sessions SET ended_at = ?1
             WHERE user_id = ?2 AND ended_at IS NULL AND expires_at > ?1 AND id IS NOT ?3
             RETURNING id",
        )
        .bind(self.now.as_millis())
        .bind(user_id.as_uuid())
        .bind(kept.map(SessionId::as_uuid))
        .fetch_all(self.connection()?)
        .await
        .map_err(store_error)?;
        for session in &ended {
            self.session_ended(user_id, SessionId::from(*session));
        }
        Ok(ended.len() as u64)
    }
}

/// A session that has neither ended nor run out, with its account.
pub(crate) async fn live_session(
    connection: &mut SqliteConnection,
    session_id: SessionId,
    now: Timestamp,
) -> Result<Option<SessionWithAccount>> {
    let row = sqlx::query(
        "SELECT users.*, sessions.id AS session_id, sessions.user_id,
             sessions.created_at AS session_created_at, sessions.expires_at, sessions.device,
             coalesce(sessions.last_used_at, sessions.created_at) AS last_used_at
         FROM sessions JOIN users ON users.id = sessions.user_id
         WHERE sessions.id = ? AND sessions.ended_at IS NULL AND sessions.expires_at > ?",
    )
    .bind(session_id.as_uuid())
    .bind(now.as_millis())
    .fetch_optional(connection)
    .await
    .map_err(store_error)?;
    let Some(row) = row else { return Ok(None) };
    let account = AccountRow::from_row(&row).map_err(store_error)?.0;
    let session = session_of(&row)?;
    Ok(Some(SessionWithAccount { session, account }))
}

/// Of a row with all columns of `sessions`, its `id` and `created_at` under names of their own.
fn session_of(row: &SqliteRow) -> Result<Session> {
    let at = |column: &str| {
        row.try_get(column)
            .map(Timestamp::from_millis)
            .map_err(store_error)
    };
    let id = |column: &str| row.try_get::<Uuid, _>(column).map_err(store_error);
    Ok(Session {
        id: SessionId::from(id("session_id")?),
        user_id: UserId::from(id("user_id")?),
        created_at: at("session_created_at")?,
        expires_at: at("expires_at")?,
        last_used_at: at("last_used_at")?,
        device: row.try_get("device").map_err(store_error)?,
    })
}
