//! Accounts, their sessions and refresh tokens.

use std::time::Duration;

use async_trait::async_trait;

use super::Result;
use crate::account::{
    Account, NewAccount, NewSession, NewSocketTicket, PasswordChange, RefreshOutcome, Session,
    SessionWithAccount, SpentTicket,
};
use crate::clock::Timestamp;
use crate::id::{SessionId, UserId};

/// Live sessions of one account.
pub const MOST_SESSIONS: u32 = 100;
/// Spent refresh tokens of one session whose reuse is still detected.
pub const MOST_SPENT_TOKENS: u32 = 200;

#[async_trait]
pub trait AccountStore: Send + Sync + std::fmt::Debug {
    /// `None` when the address is taken.
    async fn add_account(&self, account: NewAccount) -> Result<Option<Account>>;

    async fn account_by_email(&self, email: &str) -> Result<Option<Account>>;

    /// Records a session, if the account is still active and has the password that was verified. Of an
    /// account with [`MOST_SESSIONS`] others, the one that was used least lately ends. `false` when
    /// nothing was recorded.
    async fn add_session(&self, new: NewSession) -> Result<bool>;

    /// A session that has neither ended nor run out, with its account.
    async fn session(&self, session_id: SessionId) -> Result<Option<SessionWithAccount>>;

    /// Those of these sessions that have neither ended nor run out.
    async fn live_session_ids(&self, sessions: &[SessionId]) -> Result<Vec<SessionId>>;

    /// Records a ticket and deletes expired ones.
    async fn add_socket_ticket(&self, ticket: NewSocketTicket) -> Result<()>;

    /// Spends a ticket. `None` when it is unknown, spent or expired, or its session is not live.
    async fn spend_socket_ticket(&self, hash: [u8; 32]) -> Result<Option<SpentTicket>>;

    /// Spends a refresh token for its successor. A token that was spent no longer than `grace` ago
    /// gives the same successor again; one spent before that ends its session. The session lives on
    /// until `expires_at`. Of a session's spent tokens the newest [`MOST_SPENT_TOKENS`] are kept.
    async fn rotate_refresh(
        &self,
        refresh_hash: [u8; 32],
        successor_hash: [u8; 32],
        grace: Duration,
        expires_at: Timestamp,
    ) -> Result<RefreshOutcome>;

    /// Ends a session. `false` when it had ended before.
    async fn end_session(&self, user_id: UserId, session_id: SessionId) -> Result<bool>;

    /// Ends all sessions of the user but this one. Returns how many.
    async fn end_other_sessions(&self, user_id: UserId, kept: SessionId) -> Result<u64>;

    /// The user's live sessions, newest first.
    async fn sessions(&self, user_id: UserId) -> Result<Vec<Session>>;

    /// Replaces the password's hash, if it is still the old one, and ends all sessions but this one.
    /// `false` when another change came first.
    async fn change_password(
        &self,
        user_id: UserId,
        change: PasswordChange,
        kept: SessionId,
    ) -> Result<bool>;

    /// Replaces the password's hash and ends all sessions.
    async fn reset_password(&self, user_id: UserId, password_hash: String) -> Result<()>;

    /// Lets the account sign in again.
    async fn enable(&self, user_id: UserId) -> Result<()>;

    /// Keeps the account from signing in and ends its sessions.
    async fn disable(&self, user_id: UserId) -> Result<()>;

    async fn set_admin(&self, user_id: UserId, is_admin: bool) -> Result<()>;

    /// All accounts, by address.
    async fn accounts(&self) -> Result<Vec<Account>>;
}
