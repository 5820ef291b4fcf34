//! Single-use tickets of watchers: the statements that `AccountStore` is made of.

use irisflow_jobs::{NewSocketTicket, SessionId, SpentTicket, StoreError, Timestamp};
use uuid::Uuid;

use crate::sessions::live_session;
use crate::store_error;
use crate::unit_of_work::UnitOfWork;

type Result<T> = std::result::Result<T, StoreError>;

impl UnitOfWork<'_> {
    pub(crate) async fn add_socket_ticket(&mut self, ticket: &NewSocketTicket) -> Result<()> {
        sqlx::query(
            "DELETE FROM socket_tickets WHERE hash IN (
                 SELECT hash FROM socket_tickets WHERE expires_at <= $1 FOR UPDATE SKIP LOCKED)",
        )
        .bind(self.now.as_millis())
        .execute(self.connection())
        .await
        .map_err(store_error)?;
        sqlx::query(
            "INSERT INTO socket_tickets (hash, session_id, expires_at, access_expires_at)
             VALUES ($1, $2, $3, $4)",
        )
        .bind(ticket.hash.as_slice())
        .bind(ticket.session_id.as_uuid())
        .bind(ticket.expires_at.as_millis())
        .bind(ticket.access_expires_at.as_millis())
        .execute(self.connection())
        .await
        .map_err(store_error)?;
        Ok(())
    }

    pub(crate) async fn spend_socket_ticket(
        &mut self,
        hash: [u8; 32],
    ) -> Result<Option<SpentTicket>> {
        let row: Option<(Uuid, i64, i64)> = sqlx::query_as(
            "DELETE FROM socket_tickets WHERE hash = $1
             RETURNING session_id, expires_at, access_expires_at",
        )
        .bind(hash.as_slice())
        .fetch_optional(self.connection())
        .await
        .map_err(store_error)?;
        let now = self.now;
        let is_valid = |&(_, expires_at, _): &(Uuid, i64, i64)| expires_at > now.as_millis();
        let Some((session_id, _, access_expires_at)) = row.filter(is_valid) else {
            return Ok(None);
        };
        let session_id = SessionId::from(session_id);
        let session = live_session(self.connection(), session_id).await?;
        Ok(session.map(|session| SpentTicket {
            session,
            access_expires_at: Timestamp::from_millis(access_expires_at),
        }))
    }
}
