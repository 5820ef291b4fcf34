//! Accounts, their sessions, and the outcome of rotating a refresh token.

use crate::clock::Timestamp;
use crate::id::{SessionId, UserId};

#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    pub id: UserId,
    /// In lower case: addresses that differ only in case are one account.
    pub email: String,
    /// A PHC string (argon2id).
    pub password_hash: String,
    pub is_active: bool,
    pub is_verified: bool,
    /// May read the state of the service.
    pub is_admin: bool,
    pub created_at: Timestamp,
}

impl std::fmt::Debug for Account {
    /// Leaves the address and the hash out: accounts may be logged, secrets may not.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[derive(Clone)]
pub struct NewAccount {
    pub id: UserId,
    pub email: String,
    pub password_hash: String,
}

impl std::fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewAccount")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// One signed-in device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub user_id: UserId,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// When a token was last asked for.
    pub last_used_at: Timestamp,
    /// What the client called itself when it signed in.
    pub device: Option<String>,
}

/// A sign-in to record.
#[derive(Clone)]
pub struct NewSession {
    pub session: Session,
    /// SHA-256 of its first refresh token.
    pub refresh_hash: [u8; 32],
    /// The account's password hash that the password was verified against.
    pub password_hash: String,
}

impl std::fmt::Debug for NewSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSession")
            .field("id", &self.session.id)
            .finish_non_exhaustive()
    }
}

/// A single-use credential that opens one watcher of a session.
#[derive(Clone)]
pub struct NewSocketTicket {
    /// SHA-256 of the ticket.
    pub hash: [u8; 32],
    pub session_id: SessionId,
    pub expires_at: Timestamp,
    /// When the access token that the ticket was made with expires; its watcher ends then.
    pub access_expires_at: Timestamp,
}

impl std::fmt::Debug for NewSocketTicket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewSocketTicket")
    }
}

/// What a ticket was spent for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpentTicket {
    pub session: SessionWithAccount,
    pub access_expires_at: Timestamp,
}

/// From the password that was verified to a new one, both as PHC strings.
#[derive(Clone)]
pub struct PasswordChange {
    pub old_hash: String,
    pub new_hash: String,
}

impl std::fmt::Debug for PasswordChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordChange")
    }
}

/// What a request's bearer is allowed to act as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionWithAccount {
    pub session: Session,
    pub account: Account,
}

/// The outcome of presenting a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// The token was spent (now, or a moment ago by a request whose answer got lost); its successor
    /// is recorded and valid.
    Rotated(SessionWithAccount),
    /// The token was spent before the grace time: it was copied. Its whole session has been ended.
    ReuseDetected(UserId),
    /// Unknown, or of a session that has ended.
    Unknown,
}
