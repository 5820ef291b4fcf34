//! `AccountStore` on SQLite.

use std::time::Duration;

use async_trait::async_trait;
use irisflow_jobs::{
    Account, AccountStore, NewAccount, NewSession, NewSocketTicket, PasswordChange, RefreshOutcome,
    Session, SessionId, SessionWithAccount, SpentTicket, StoreError, Timestamp, UserId,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row};
use uuid::Uuid;

use crate::sessions::live_session;
use crate::{SqliteStore, store_error};

type Result<T> = std::result::Result<T, StoreError>;

#[async_trait]
impl AccountStore for SqliteStore {
    async fn add_account(&self, new: NewAccount) -> Result<Option<Account>> {
        let mut unit_of_work = self.begin().await?;
        let inserted = sqlx::query(
            "INSERT INTO users (id, email, password_hash, created_at) VALUES (?, ?, ?, ?)
             ON CONFLICT (email) DO NOTHING",
        )
        .bind(new.id.as_uuid())
        .bind(&new.email)
        .bind(&new.password_hash)
        .bind(unit_of_work.now.as_millis())
        .execute(unit_of_work.connection()?)
        .await
        .map_err(store_error)?
        .rows_affected();
        if inserted == 0 {
            return Ok(None);
        }
        sqlx::query("INSERT INTO timelines (user_id, epoch) VALUES (?, ?)")
            .bind(new.id.as_uuid())
            .bind(Uuid::new_v4())
            .execute(unit_of_work.connection()?)
            .await
            .map_err(store_error)?;
        let account = Account {
            id: new.id,
            email: new.email,
            password_hash: new.password_hash,
            is_active: true,
            is_verified: false,
            is_admin: false,
            created_at: unit_of_work.now,
        };
        unit_of_work.commit().await?;
        Ok(Some(account))
    }

    async fn account_by_email(&self, email: &str) -> Result<Option<Account>> {
        let row: Option<AccountRow> = sqlx::query_as("SELECT * FROM users WHERE email = ?")
            .bind(email)
            .fetch_optional(&self.readers)
            .await
            .map_err(store_error)?;
        Ok(row.map(|row| row.0))
    }

    async fn add_session(&self, new: NewSession) -> Result<bool> {
        let mut unit_of_work = self.begin().await?;
        let session = &new.session;
        let inserted = sqlx::query(
            "INSERT INTO sessions (id, user_id, created_at, expires_at, last_used_at, device)
             SELECT ?, id, ?, ?, ?, ? FROM users
             WHERE id = ? AND is_active = 1 AND password_hash = ?",
        )
        .bind(session.id.as_uuid())
        .bind(session.created_at.as_millis())
        .bind(session.expires_at.as_millis())
        .bind(session.last_used_at.as_millis())
        .bind(&session.device)
        .bind(session.user_id.as_uuid())
        .bind(&new.password_hash)
        .execute(unit_of_work.connection()?)
        .await
        .map_err(store_error)?
        .rows_affected();
        if inserted == 0 {
            return Ok(false);
        }
        unit_of_work
            .add_refresh_token(session.id, new.refresh_hash)
            .await?;
        unit_of_work
            .end_sessions_beyond(session.user_id, session.id)
            .await?;
        unit_of_work.commit().await?;
        Ok(true)
    }

    async fn session(&self, session_id: SessionId) -> Result<Option<SessionWithAccount>> {
        let mut reader = self.readers.acquire().await.map_err(store_error)?;
        live_session(&mut reader, session_id, self.now()).await
    }

    async fn live_session_ids(&self, sessions: &[SessionId]) -> Result<Vec<SessionId>> {
        self.live_among(sessions).await
    }

    async fn add_socket_ticket(&self, ticket: NewSocketTicket) -> Result<()> {
        let mut unit_of_work = self.begin().await?;
        unit_of_work.add_socket_ticket(ticket).await?;
        unit_of_work.commit().await
    }

    async fn spend_socket_ticket(&self, hash: [u8; 32]) -> Result<Option<SpentTicket>> {
        let mut unit_of_work = self.begin().await?;
        let spent = unit_of_work.spend_socket_ticket(hash).await?;
        unit_of_work.commit().await?;
        Ok(spent)
    }

    async fn rotate_refresh(
        &self,
        refresh_hash: [u8; 32],
        successor_hash: [u8; 32],
        grace: Duration,
        expires_at: Timestamp,
    ) -> Result<RefreshOutcome> {
        let mut unit_of_work = self.begin().await?;
        let token = sqlx::query("SELECT session_id, spent_at FROM refresh_tokens WHERE hash = ?")
            .bind(refresh_hash.as_slice())
            .fetch_optional(unit_of_work.connection()?)
            .await
            .map_err(store_error)?;
        let Some(token) = token else {
            return Ok(RefreshOutcome::Unknown);
        };
        let session_id = SessionId::from(
            token
                .try_get::<Uuid, _>("session_id")
                .map_err(store_error)?,
        );
        let spent_at: Option<i64> = token.try_get("spent_at").map_err(store_error)?;
        let now = unit_of_work.now;
        let Some(mut live) = live_session(unit_of_work.connection()?, session_id, now).await?
        else {
            return Ok(RefreshOutcome::Unknown);
        };
        match spent_at.map(Timestamp::from_millis) {
            None => {
                unit_of_work.spend_refresh_token(refresh_hash).await?;
                unit_of_work.forget_oldest_spent_tokens(session_id).await?;
                unit_of_work
                    .add_refresh_token(session_id, successor_hash)
                    .await?;
                unit_of_work.prolong(session_id, expires_at).await?;
                live.session.expires_at = expires_at;
                live.session.last_used_at = unit_of_work.now;
                unit_of_work.commit().await?;
                Ok(RefreshOutcome::Rotated(live))
            }
            Some(spent_at) if unit_of_work.now.since(spent_at) <= grace => {
                Ok(RefreshOutcome::Rotated(live))
            }
            Some(_) => {
                let user_id = live.account.id;
                unit_of_work.end(user_id, session_id).await?;
                unit_of_work.commit().await?;
                Ok(RefreshOutcome::ReuseDetected(user_id))
            }
        }
    }

    async fn end_session(&self, user_id: UserId, session_id: SessionId) -> Result<bool> {
        let mut unit_of_work = self.begin().await?;
        let ended = unit_of_work.end(user_id, session_id).await?;
        unit_of_work.commit().await?;
        Ok(ended)
    }

    async fn end_other_sessions(&self, user_id: UserId, kept: SessionId) -> Result<u64> {
        let mut unit_of_work = self.begin().await?;
        let ended = unit_of_work.end_all_but(user_id, Some(kept)).await?;
        unit_of_work.commit().await?;
        Ok(ended)
    }

    async fn sessions(&self, user_id: UserId) -> Result<Vec<Session>> {
        self.live_sessions(user_id).await
    }

    async fn change_password(
        &self,
        user_id: UserId,
        change: PasswordChange,
        kept: SessionId,
    ) -> Result<bool> {
        let mut unit_of_work = self.begin().await?;
        let changed =
            sqlx::query("UPDATE users SET password_hash = ? WHERE id = ? AND password_hash = ?")
                .bind(&change.new_hash)
                .bind(user_id.as_uuid())
                .bind(&change.old_hash)
                .execute(unit_of_work.connection()?)
                .await
                .map_err(store_error)?
                .rows_affected();
        if changed == 0 {
            return Ok(false);
        }
        unit_of_work.end_all_but(user_id, Some(kept)).await?;
        unit_of_work.commit().await?;
        Ok(true)
    }

    async fn reset_password(&self, user_id: UserId, password_hash: String) -> Result<()> {
        let mut unit_of_work = self.begin().await?;
        sqlx::query("UPDATE users SET password_hash = ? WHERE id = ?")
            .bind(password_hash)
            .bind(user_id.as_uuid())
            .execute(unit_of_work.connection()?)
            .await
            .map_err(store_error)?;
        unit_of_work.end_all_but(user_id, None).await?;
        unit_of_work.commit().await
    }

    async fn enable(&self, user_id: UserId) -> Result<()> {
        let mut unit_of_work = self.begin().await?;
        sqlx::query("UPDATE users SET is_active = 1 WHERE id = ?")
            .bind(user_id.as_uuid())
            .execute(unit_of_work.connection()?)
            .await
            .map_err(store_error)?;
        unit_of_work.commit().await
    }

    async fn disable(&self, user_id: UserId) -> Result<()> {
        let mut unit_of_work = self.begin().await?;
        sqlx::query("UPDATE users SET is_active = 0 WHERE id = ?")
            .bind(user_id.as_uuid())
            .execute(unit_of_work.connection()?)
            .await
            .map_err(store_error)?;
        unit_of_work.end_all_but(user_id, None).await?;
        unit_of_work.commit().await
    }

    async fn set_admin(&self, user_id: UserId, is_admin: bool) -> Result<()> {
        let mut unit_of_work = self.begin().await?;
        sqlx::query("UPDATE users SET is_admin = ? WHERE id = ?")
            .bind(is_admin)
            .bind(user_id.as_uuid())
            .execute(unit_of_work.connection()?)
            .await
            .map_err(store_error)?;
        unit_of_work.commit().await
    }

    async fn accounts(&self) -> Result<Vec<Account>> {
        let rows: Vec<AccountRow> = sqlx::query_as("SELECT * FROM users ORDER BY email")
            .fetch_all(&self.readers)
            .await
            .map_err(store_error)?;
        Ok(rows.into_iter().map(|row| row.0).collect())
    }
}

pub(crate) struct AccountRow(pub(crate) Account);

impl<'r> FromRow<'r, SqliteRow> for AccountRow {
    fn from_row(row: &'r SqliteRow) -> std::result::Result<Self, sqlx::Error> {
        Ok(Self(Account {
            id: UserId::from(row.try_get::<Uuid, _>("id")?),
            email: row.try_get("email")?,
            password_hash: row.try_get("password_hash")?,
            is_active: row.try_get("is_active")?,
            is_verified: row.try_get("is_verified")?,
            is_admin: row.try_get("is_admin")?,
            created_at: Timestamp::from_millis(row.try_get("created_at")?),
        }))
    }
}
