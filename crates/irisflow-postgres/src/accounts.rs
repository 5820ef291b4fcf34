//! `AccountStore` on PostgreSQL.

use std::time::Duration;

use async_trait::async_trait;
use irisflow_jobs::{
    Account, AccountStore, NewAccount, NewSession, NewSocketTicket, PasswordChange, RefreshOutcome,
    Session, SessionId, SessionWithAccount, SpentTicket, StoreError, Timestamp, UserId,
};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};
use uuid::Uuid;

use crate::columns::{id, time};
use crate::sessions::live_session;
use crate::{PostgresStore, store_error};

type Result<T> = std::result::Result<T, StoreError>;

#[async_trait]
impl AccountStore for PostgresStore {
    async fn add_account(&self, new: NewAccount) -> Result<Option<Account>> {
        retrying!(async {
            let mut unit_of_work = self.begin().await?;
            let inserted = sqlx::query(
                "INSERT INTO users (id, email, password_hash, created_at) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (email) DO NOTHING",
            )
            .bind(new.id.as_uuid())
            .bind(&new.email)
            .bind(&new.password_hash)
            .bind(unit_of_work.now.as_millis())
            .execute(unit_of_work.connection())
            .await
            .map_err(store_error)?
            .rows_affected();
            if inserted == 0 {
                return Ok(None);
            }
            sqlx::query("INSERT INTO timelines (user_id, epoch) VALUES ($1, $2)")
                .bind(new.id.as_uuid())
                .bind(Uuid::new_v4())
                .execute(unit_of_work.connection())
                .await
                .map_err(store_error)?;
            let account = Account {
                id: new.id,
                email: new.email.clone(),
                password_hash: new.password_hash.clone(),
                is_active: true,
                is_verified: false,
                is_admin: false,
                created_at: unit_of_work.now,
            };
            unit_of_work.commit().await?;
            Ok(Some(account))
        })
    }

    async fn account_by_email(&self, email: &str) -> Result<Option<Account>> {
        retrying!(async {
            let row: Option<AccountRow> = sqlx::query_as("SELECT * FROM users WHERE email = $1")
                .bind(email)
                .fetch_optional(&self.pool)
                .await
                .map_err(store_error)?;
            Ok(row.map(|row| row.0))
        })
    }

    async fn add_session(&self, new: NewSession) -> Result<bool> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(new.session.user_id).await?;
            let session = &new.session;
            let inserted = sqlx::query(
                "INSERT INTO sessions (id, user_id, created_at, expires_at, last_used_at, device)
                 SELECT $1, id, $2, $3, $4, $5 FROM users
                 WHERE id = $6 AND is_active AND password_hash = $7",
            )
            .bind(session.id.as_uuid())
            .bind(session.created_at.as_millis())
            .bind(session.expires_at.as_millis())
            .bind(session.last_used_at.as_millis())
            .bind(&session.device)
            .bind(session.user_id.as_uuid())
            .bind(&new.password_hash)
            .execute(unit_of_work.connection())
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
        })
    }

    async fn session(&self, session_id: SessionId) -> Result<Option<SessionWithAccount>> {
        retrying!(async {
            let mut connection = self.pool.acquire().await.map_err(store_error)?;
            live_session(&mut connection, session_id).await
        })
    }

    async fn live_session_ids(&self, sessions: &[SessionId]) -> Result<Vec<SessionId>> {
        retrying!(self.live_among(sessions))
    }

    async fn add_socket_ticket(&self, ticket: NewSocketTicket) -> Result<()> {
        retrying!(async {
            let mut unit_of_work = self.begin().await?;
            unit_of_work.add_socket_ticket(&ticket).await?;
            unit_of_work.commit().await
        })
    }

    async fn spend_socket_ticket(&self, hash: [u8; 32]) -> Result<Option<SpentTicket>> {
        retrying!(async {
            let mut unit_of_work = self.begin().await?;
            let spent = unit_of_work.spend_socket_ticket(hash).await?;
            unit_of_work.commit().await?;
            Ok(spent)
        })
    }

    async fn rotate_refresh(
        &self,
        refresh_hash: [u8; 32],
        successor_hash: [u8; 32],
        grace: Duration,
        expires_at: Timestamp,
    ) -> Result<RefreshOutcome> {
        retrying!(async {
            let Some(user_id) = self.owner_of_token(refresh_hash).await? else {
                return Ok(RefreshOutcome::Unknown);
            };
            let mut unit_of_work = self.begin_for(user_id).await?;
            let token: Option<(Uuid, Option<i64>)> =
                sqlx::query_as("SELECT session_id, spent_at FROM refresh_tokens WHERE hash = $1")
                    .bind(refresh_hash.as_slice())
                    .fetch_optional(unit_of_work.connection())
                    .await
                    .map_err(store_error)?;
            let Some((session_id, spent_at)) = token else {
                return Ok(RefreshOutcome::Unknown);
            };
            let session_id = SessionId::from(session_id);
            let Some(mut live) = live_session(unit_of_work.connection(), session_id).await? else {
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
                    unit_of_work.end(user_id, session_id).await?;
                    unit_of_work.commit().await?;
                    Ok(RefreshOutcome::ReuseDetected(user_id))
                }
            }
        })
    }

    async fn end_session(&self, user_id: UserId, session_id: SessionId) -> Result<bool> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(user_id).await?;
            let ended = unit_of_work.end(user_id, session_id).await?;
            unit_of_work.commit().await?;
            Ok(ended)
        })
    }

    async fn end_other_sessions(&self, user_id: UserId, kept: SessionId) -> Result<u64> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(user_id).await?;
            let ended = unit_of_work.end_all_but(user_id, Some(kept)).await?;
            unit_of_work.commit().await?;
            Ok(ended)
        })
    }

    async fn sessions(&self, user_id: UserId) -> Result<Vec<Session>> {
        retrying!(self.live_sessions(user_id))
    }

    async fn change_password(
        &self,
        user_id: UserId,
        change: PasswordChange,
        kept: SessionId,
    ) -> Result<bool> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(user_id).await?;
            let changed = sqlx::query(
                "UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3",
            )
            .bind(&change.new_hash)
            .bind(user_id.as_uuid())
            .bind(&change.old_hash)
            .execute(unit_of_work.connection())
            .await
            .map_err(store_error)?
            .rows_affected();
            if changed == 0 {
                return Ok(false);
            }
            unit_of_work.end_all_but(user_id, Some(kept)).await?;
            unit_of_work.commit().await?;
            Ok(true)
        })
    }

    async fn reset_password(&self, user_id: UserId, password_hash: String) -> Result<()> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(user_id).await?;
            sqlx::query("UPDATE users SET password_hash = $1 WHERE id = $2")
                .bind(&password_hash)
                .bind(user_id.as_uuid())
                .execute(unit_of_work.connection())
                .await
                .map_err(store_error)?;
            unit_of_work.end_all_but(user_id, None).await?;
            unit_of_work.commit().await
        })
    }

    async fn enable(&self, user_id: UserId) -> Result<()> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(user_id).await?;
            sqlx::query("UPDATE users SET is_active = TRUE WHERE id = $1")
                .bind(user_id.as_uuid())
                .execute(unit_of_work.connection())
                .await
                .map_err(store_error)?;
            unit_of_work.commit().await
        })
    }

    async fn disable(&self, user_id: UserId) -> Result<()> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(user_id).await?;
            sqlx::query("UPDATE users SET is_active = FALSE WHERE id = $1")
                .bind(user_id.as_uuid())
                .execute(unit_of_work.connection())
                .await
                .map_err(store_error)?;
            unit_of_work.end_all_but(user_id, None).await?;
            unit_of_work.commit().await
        })
    }

    async fn set_admin(&self, user_id: UserId, is_admin: bool) -> Result<()> {
        retrying!(async {
            let mut unit_of_work = self.begin_for(user_id).await?;
            sqlx::query("UPDATE users SET is_admin = $1 WHERE id = $2")
                .bind(is_admin)
                .bind(user_id.as_uuid())
                .execute(unit_of_work.connection())
                .await
                .map_err(store_error)?;
            unit_of_work.commit().await
        })
    }

    async fn accounts(&self) -> Result<Vec<Account>> {
        retrying!(async {
            let rows: Vec<AccountRow> = sqlx::query_as("SELECT * FROM users ORDER BY email")
                .fetch_all(&self.pool)
                .await
                .map_err(store_error)?;
            Ok(rows.into_iter().map(|row| row.0).collect())
        })
    }
}

impl PostgresStore {
    async fn owner_of_token(&self, hash: [u8; 32]) -> Result<Option<UserId>> {
        let user_id: Option<Uuid> = sqlx::query_scalar(
            "SELECT sessions.user_id FROM refresh_tokens
             JOIN sessions ON sessions.id = refresh_tokens.session_id WHERE hash = $1",
        )
        .bind(hash.as_slice())
        .fetch_optional(&self.pool)
        .await
        .map_err(store_error)?;
        Ok(user_id.map(UserId::from))
    }
}

pub(crate) struct AccountRow(pub(crate) Account);

impl<'r> FromRow<'r, PgRow> for AccountRow {
    fn from_row(row: &'r PgRow) -> std::result::Result<Self, sqlx::Error> {
        Ok(Self(Account {
            id: id(row, "id")?,
            email: row.try_get("email")?,
            password_hash: row.try_get("password_hash")?,
            is_active: row.try_get("is_active")?,
            is_verified: row.try_get("is_verified")?,
            is_admin: row.try_get("is_admin")?,
            created_at: time(row, "created_at")?,
        }))
    }
}
