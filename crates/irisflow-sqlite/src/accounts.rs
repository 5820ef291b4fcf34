//! `AccountStore` on SQLite.

use std::time::Duration;

use async_trait::async_trait;
use irisflow_jobs::{
    Account, AccountStore, NewAccount, RefreshOutcome, Session, SessionId, SessionWithAccount,
    StoreError, Timestamp, UserId,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row};
use uuid::Uuid;

use crate::writing::Writing;
use crate::{SqliteStore, unavailable};

type Result<T> = std::result::Result<T, StoreError>;

#[async_trait]
impl AccountStore for SqliteStore {
    async fn add_account(&self, new: NewAccount) -> Result<Option<Account>> {
        let mut writing = self.begin().await?;
        let inserted = sqlx::query(
            "INSERT INTO users (id, email, password_hash, created_at) VALUES (?, ?, ?, ?)
             ON CONFLICT (email) DO NOTHING",
        )
        .bind(new.id.as_uuid())
        .bind(&new.email)
        .bind(&new.password_hash)
        .bind(writing.now.as_millis())
        .execute(&mut *writing.tx)
        .await
        .map_err(unavailable)?
        .rows_affected();
        if inserted == 0 {
            return Ok(None);
        }
        sqlx::query("INSERT INTO timelines (user_id, epoch) VALUES (?, ?)")
            .bind(new.id.as_uuid())
            .bind(Uuid::new_v4())
            .execute(&mut *writing.tx)
            .await
            .map_err(unavailable)?;
        let account = Account {
            id: new.id,
            email: new.email,
            password_hash: new.password_hash,
            is_active: true,
            is_verified: false,
            created_at: writing.now,
        };
        writing.commit().await?;
        Ok(Some(account))
    }

    async fn account_by_email(&self, email: &str) -> Result<Option<Account>> {
        let row: Option<AccountRow> = sqlx::query_as("SELECT * FROM users WHERE email = ?")
            .bind(email)
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable)?;
        Ok(row.map(|row| row.0))
    }

    async fn add_session(&self, session: Session, refresh_hash: [u8; 32]) -> Result<()> {
        let mut writing = self.begin().await?;
        sqlx::query(
            "INSERT INTO sessions (id, user_id, created_at, expires_at) VALUES (?, ?, ?, ?)",
        )
        .bind(session.id.as_uuid())
        .bind(session.user_id.as_uuid())
        .bind(session.created_at.as_millis())
        .bind(session.expires_at.as_millis())
        .execute(&mut *writing.tx)
        .await
        .map_err(unavailable)?;
        writing.add_refresh_token(session.id, refresh_hash).await?;
        writing.commit().await
    }

    async fn session(&self, session_id: SessionId) -> Result<Option<SessionWithAccount>> {
        let mut tx = self.readers.begin().await.map_err(unavailable)?;
        live_session(&mut tx, session_id, self.now()).await
    }

    async fn rotate_refresh(
        &self,
        refresh_hash: [u8; 32],
        successor_hash: [u8; 32],
        grace: Duration,
        expires_at: Timestamp,
    ) -> Result<RefreshOutcome> {
        let mut writing = self.begin().await?;
        let token = sqlx::query("SELECT session_id, spent_at FROM refresh_tokens WHERE hash = ?")
            .bind(refresh_hash.as_slice())
            .fetch_optional(&mut *writing.tx)
            .await
            .map_err(unavailable)?;
        let Some(token) = token else {
            return Ok(RefreshOutcome::Unknown);
        };
        let session_id = SessionId::from(
            token
                .try_get::<Uuid, _>("session_id")
                .map_err(unavailable)?,
        );
        let spent_at: Option<i64> = token.try_get("spent_at").map_err(unavailable)?;
        let Some(mut live) = live_session(&mut writing.tx, session_id, writing.now).await? else {
            return Ok(RefreshOutcome::Unknown);
        };
        match spent_at.map(Timestamp::from_millis) {
            None => {
                writing.spend_refresh_token(refresh_hash).await?;
                writing
                    .add_refresh_token(session_id, successor_hash)
                    .await?;
                writing.prolong(session_id, expires_at).await?;
                live.session.expires_at = expires_at;
                writing.commit().await?;
                Ok(RefreshOutcome::Rotated(live))
            }
            Some(spent_at) if writing.now.since(spent_at) <= grace => {
                Ok(RefreshOutcome::Rotated(live))
            }
            Some(_) => {
                let user_id = live.account.id;
                writing.end(user_id, session_id).await?;
                writing.commit().await?;
                Ok(RefreshOutcome::ReuseDetected(user_id))
            }
        }
    }

    async fn end_session(&self, user_id: UserId, session_id: SessionId) -> Result<bool> {
        let mut writing = self.begin().await?;
        let ended = writing.end(user_id, session_id).await?;
        writing.commit().await?;
        Ok(ended)
    }
}

impl Writing<'_> {
    async fn add_refresh_token(&mut self, session_id: SessionId, hash: [u8; 32]) -> Result<()> {
        sqlx::query("INSERT INTO refresh_tokens (hash, session_id) VALUES (?, ?)")
            .bind(hash.as_slice())
            .bind(session_id.as_uuid())
            .execute(&mut *self.tx)
            .await
            .map_err(unavailable)?;
        Ok(())
    }

    async fn spend_refresh_token(&mut self, hash: [u8; 32]) -> Result<()> {
        sqlx::query("UPDATE refresh_tokens SET spent_at = ? WHERE hash = ?")
            .bind(self.now.as_millis())
            .bind(hash.as_slice())
            .execute(&mut *self.tx)
            .await
            .map_err(unavailable)?;
        Ok(())
    }

    async fn prolong(&mut self, session_id: SessionId, expires_at: Timestamp) -> Result<()> {
        sqlx::query("UPDATE sessions SET expires_at = ? WHERE id = ?")
            .bind(expires_at.as_millis())
            .bind(session_id.as_uuid())
            .execute(&mut *self.tx)
            .await
            .map_err(unavailable)?;
        Ok(())
    }

    async fn end(&mut self, user_id: UserId, session_id: SessionId) -> Result<bool> {
        let ended = sqlx::query(
            "UPDATE sessions SET ended_at = ? WHERE id = ? AND user_id = ? AND ended_at IS NULL",
        )
        .bind(self.now.as_millis())
        .bind(session_id.as_uuid())
        .bind(user_id.as_uuid())
        .execute(&mut *self.tx)
        .await
        .map_err(unavailable)?
        .rows_affected();
        if ended > 0 {
            self.session_ended(user_id, session_id);
        }
        Ok(ended > 0)
    }
}

async fn live_session(
    tx: &mut sqlx::Transaction<'static, sqlx::Sqlite>,
    session_id: SessionId,
    now: Timestamp,
) -> Result<Option<SessionWithAccount>> {
    let row = sqlx::query(
        "SELECT users.*, sessions.created_at AS session_created_at, sessions.expires_at
         FROM sessions JOIN users ON users.id = sessions.user_id
         WHERE sessions.id = ? AND sessions.ended_at IS NULL AND sessions.expires_at > ?",
    )
    .bind(session_id.as_uuid())
    .bind(now.as_millis())
    .fetch_optional(&mut **tx)
    .await
    .map_err(unavailable)?;
    let Some(row) = row else { return Ok(None) };
    let account = AccountRow::from_row(&row).map_err(unavailable)?.0;
    let at = |column: &str| {
        row.try_get(column)
            .map(Timestamp::from_millis)
            .map_err(unavailable)
    };
    let session = Session {
        id: session_id,
        user_id: account.id,
        created_at: at("session_created_at")?,
        expires_at: at("expires_at")?,
    };
    Ok(Some(SessionWithAccount { session, account }))
}

struct AccountRow(Account);

impl<'r> FromRow<'r, SqliteRow> for AccountRow {
    fn from_row(row: &'r SqliteRow) -> std::result::Result<Self, sqlx::Error> {
        Ok(Self(Account {
            id: UserId::from(row.try_get::<Uuid, _>("id")?),
            email: row.try_get("email")?,
            password_hash: row.try_get("password_hash")?,
            is_active: row.try_get("is_active")?,
            is_verified: row.try_get("is_verified")?,
            created_at: Timestamp::from_millis(row.try_get("created_at")?),
        }))
    }
}
