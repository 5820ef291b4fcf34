//! Credentials of watchers: an access token or a single-use ticket, from the query, a sub-protocol or the first frame.
//! None of them is ever logged.

use axum::http::{HeaderMap, header};
use irisflow_jobs::{SessionId, Timestamp, UserId};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::app::AppState;
use crate::auth::CurrentUser;
use crate::error::ApiError;

/// The sub-protocol that the server selects. Browsers need one that is selected when they offer any.
pub(crate) const SUB_PROTOCOL: &str = "irisflow.v1";
/// A sub-protocol that starts like this carries an access token.
const BEARER_PREFIX: &str = "bearer.";

/// Credentials in the query of a watcher.
#[derive(Deserialize)]
pub(crate) struct CredentialQuery {
    token: Option<String>,
    ticket: Option<String>,
}

pub(crate) enum Credential {
    Token(String),
    Ticket(String),
}

/// Who watches, and until when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WatchingUser {
    pub(crate) user_id: UserId,
    pub(crate) session_id: SessionId,
    /// When the access token expires.
    pub(crate) expires_at: Timestamp,
}

impl From<CurrentUser> for WatchingUser {
    fn from(user: CurrentUser) -> Self {
        Self {
            user_id: user.id(),
            session_id: user.session_id,
            expires_at: user.expires_at,
        }
    }
}

impl Credential {
    /// From the parts of a first frame.
    pub(crate) fn of_frame(token: Option<String>, ticket: Option<String>) -> Option<Self> {
        let given = |text: &String| !text.is_empty();
        let ticket = ticket.filter(given).map(Self::Ticket);
        ticket.or_else(|| token.filter(given).map(Self::Token))
    }
}

impl CredentialQuery {
    pub(crate) fn new(token: Option<String>, ticket: Option<String>) -> Self {
        Self { token, ticket }
    }

    /// The credential of an upgrade request, from its query or its sub-protocols.
    pub(crate) fn of_upgrade(
        self,
        app: &AppState,
        headers: &HeaderMap,
    ) -> Result<Option<Credential>, ApiError> {
        match self.in_query(app)? {
            Some(credential) => Ok(Some(credential)),
            None => Ok(token_in_sub_protocols(headers).map(Credential::Token)),
        }
    }

    /// The credential in the query. The operator may have disabled tokens there.
    pub(crate) fn in_query(self, app: &AppState) -> Result<Option<Credential>, ApiError> {
        match Credential::of_frame(self.token, self.ticket) {
            Some(Credential::Token(_)) if !app.settings.tokens_in_urls => Err(ApiError::TokenInUrl),
            credential => Ok(credential),
        }
    }
}

fn token_in_sub_protocols(headers: &HeaderMap) -> Option<String> {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    offered
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|protocol| protocol.trim().strip_prefix(BEARER_PREFIX))
        .map(str::to_owned)
}

impl AppState {
    /// Verifies a credential; a ticket is spent by it.
    pub(crate) async fn authenticate_watcher(
        &self,
        credential: &Credential,
    ) -> Result<WatchingUser, ApiError> {
        match credential {
            Credential::Token(token) => {
                let user = self.authenticate(token).await?;
                Ok(user.into())
            }
            Credential::Ticket(ticket) => {
                let hash = ticket_hash(ticket);
                let spent = self.parts.accounts.spend_socket_ticket(hash).await?;
                let spent = spent.ok_or(ApiError::InvalidToken)?;
                if self.now() >= spent.access_expires_at {
                    return Err(ApiError::TokenExpired);
                }
                Ok(WatchingUser {
                    user_id: spent.session.account.id,
                    session_id: spent.session.session.id,
                    expires_at: spent.access_expires_at,
                })
            }
        }
    }
}

/// The hash of a ticket as stored in the database.
pub(crate) fn ticket_hash(ticket: &str) -> [u8; 32] {
    Sha256::digest(ticket.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_token_is_found_among_the_sub_protocols() {
        let mut headers = HeaderMap::new();
        assert_eq!(token_in_sub_protocols(&headers), None);
        let offered = HeaderValue::from_static("irisflow.v1, bearer.aaa.bbb.ccc");
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, offered);
        assert_eq!(
            token_in_sub_protocols(&headers).as_deref(),
            Some("aaa.bbb.ccc")
        );
    }
}
