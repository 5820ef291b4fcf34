//! Sessions and their refresh tokens: the statements that `AccountStore` is made of.

use irisflow_jobs::{
    MOST_SESSIONS, MOST_SPENT_TOKENS, Session, SessionId, SessionWithAccount, StoreError,
    Timestamp, UserId,
};
use sqlx::postgres::PgRow;
use sqlx::{FromRow as _, PgConnection, Row as _};
use uuid::Uuid;

use crate::accounts::AccountRow;
use crate::columns::{id, time};
use crate::unit_of_work::UnitOfWork;
use crate::{PostgresStore, store_error};

type Result<T> = std::result::Result<T, StoreError>;

impl PostgresStore {
    pub(crate) async fn live_among(&self, sessions: &[SessionId]) -> Result<Vec<SessionId>> {
        let ids: Vec<Uuid> = sessions.iter().map(|id| id.as_uuid()).collect();
        let rows: Vec<Uuid> = sqlx::query_scalar(
            "SELECT id FROM sessions
             WHERE id = ANY($1) AND ended_at IS NULL AND expires_at > now_ms()",
        )
        .bind(ids)
        .fetch_all(&self.pool)
        .await
        .map_err(store_error)?;
        Ok(rows.into_iter().map(SessionId::from).collect())
    }

    /// Newest first.
    pub(crate) async fn live_sessions(&self, user_id: UserId) -> Result<Vec<Session>> {
        let rows = sqlx::query(
            "SELECT id AS session_id, user_id, created_at AS session_created_at, expires_at,
                 coalesce(last_used_at, created_at) AS last_used_at, device
             FROM sessions WHERE user_id = $1 AND ended_at IS NULL AND expires_at > now_ms()
             ORDER BY created_at DESC, id DESC",
        )
        .bind(user_id.as_uuid())
        .fetch_all(&self.pool)
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
        sqlx::query("INSERT INTO refresh_tokens (hash, session_id) VALUES ($1, $2)")
            .bind(hash.as_slice())
            .bind(session_id.as_uuid())
            .execute(self.connection())
            .await
            .map_err(store_error)?;
        Ok(())
    }

    pub(crate) async fn spend_refresh_token(&mut self, hash: [u8; 32]) -> Result<()> {
        sqlx::query("UPDATE refresh_tokens SET spent_at = $1 WHERE hash = $2")
            .bind(self.now.as_millis())
            .bind(hash.as_slice())
            .execute(self.connection())
            .await
            .map_err(store_error)?;
        Ok(())
    }

    /// Deletes the oldest spent tokens of a session beyond the limit, so that a client that refreshes without
    /// pause cannot fill the disk.
    pub(crate) async fn forget_oldest_spent_tokens(&mut self, session_id: SessionId) -> Result<()> {
        sqlx::query(
            "DELETE FROM refresh_tokens WHERE hash IN (
                 SELECT hash FROM refresh_tokens WHERE session_id = $1 AND spent_at IS NOT NULL
                 ORDER BY spent_at DESC OFFSET $2)",
        )
        .bind(session_id.as_uuid())
        .bind(i64::from(MOST_SPENT_TOKENS))
        .execute(self.connection())
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
            "UPDATE sessions SET ended_at = $1 WHERE id IN (
                 SELECT id FROM sessions
                 WHERE user_id = $2 AND ended_at IS NULL AND expires_at > $1 AND id <> $3
                 ORDER BY coalesce(last_used_at, created_at) DESC, id DESC OFFSET $4)
             RETURNING id",
        )
        .bind(self.now.as_millis())
        .bind(user_id.as_uuid())
        .bind(newest.as_uuid())
        .bind(i64::from(MOST_SESSIONS) - 1)
        .fetch_all(self.connection())
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
        sqlx::query("UPDATE sessions SET expires_at = $1, last_used_at = $2 WHERE id = $3")
            .bind(expires_at.as_millis())
            .bind(self.now.as_millis())
            .bind(session_id.as_uuid())
            .execute(self.connection())
            .await
            .map_err(store_error)?;
        Ok(())
    }

    pub(crate) async fn end(&mut self, user_id: UserId, session_id: SessionId) -> Result<bool> {
        let ended = sqlx::query(
            "UPDATE sessions SET ended_at = $1 WHERE id = $2 AND user_id = $3 AND ended_at IS NULL",
        )
        .bind(self.now.as_millis())
        .bind(session_id.as_uuid())
        .bind(user_id.as_uuid())
        .execute(self.connection())
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
            "UPDATE sessions SET ended_at = $1
             WHERE user_id = $2 AND ended_at IS NULL AND expires_at > $1 AND id IS DISTINCT FROM $3
             RETURNING id",
        )
        .bind(self.now.as_millis())
        .bind(user_id.as_uuid())
        .bind(kept.map(SessionId::as_uuid))
        .fetch_all(self.connection())
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
    connection: &mut PgConnection,
    session_id: SessionId,
) -> Result<Option<SessionWithAccount>> {
    let row = sqlx::query(
        "SELECT users.*, sessions.id AS session_id, sessions.user_id,
             sessions.created_at AS session_created_at, sessions.expires_at, sessions.device,
             coalesce(sessions.last_used_at, sessions.created_at) AS last_used_at
         FROM sessions JOIN users ON users.id = sessions.user_id
         WHERE sessions.id = $1 AND sessions.ended_at IS NULL AND sessions.expires_at > now_ms()",
    )
    .bind(session_id.as_uuid())
    .fetch_optional(connection)
    .await
    .map_err(store_error)?;
    let Some(row) = row else { return Ok(None) };
    let account = AccountRow::from_row(&row).map_err(store_error)?.0;
    let session = session_of(&row)?;
    Ok(Some(SessionWithAccount { session, account }))
}

/// Of a row with all columns of `sessions`, its `id` and `created_at` under names of their own.
fn session_of(row: &PgRow) -> Result<Session> {
    let at = |column: &str| time(row, column).map_err(store_error);
    Ok(Session {
        id: id(row, "session_id").map_err(store_error)?,
        user_id: id(row, "user_id").map_err(store_error)?,
        created_at: at("session_created_at")?,
        expires_at: at("expires_at")?,
        last_used_at: at("last_used_at")?,
        device: row.try_get("device").map_err(store_error)?,
    })
}
