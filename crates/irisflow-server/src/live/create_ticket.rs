//! `POST /ws-tickets`: a single-use credential for a socket or an event stream, which may stand in a URL.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use irisflow_jobs::NewSocketTicket;
use serde::Serialize;
use utoipa::ToSchema;

use super::credentials::ticket_hash;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody};

const TICKET_LIFE: Duration = Duration::from_secs(30);

#[derive(Serialize, ToSchema)]
pub(crate) struct TicketBody {
    /// For `?ticket=` of `GET /ws` and `GET /api/v1/events`, or for the first frame of a socket. It opens one
    /// connection.
    ticket: String,
    /// Time within which the connection must be opened.
    expires_in_ms: u64,
}

/// Create a ticket that opens one socket or event stream.
#[utoipa::path(post, path = "/ws-tickets", tag = "events", security(("bearer" = [])),
    responses((status = 201, body = TicketBody), (status = 401, body = ErrorBody)))]
pub(crate) async fn create(
    State(app): State<App>,
    user: CurrentUser,
) -> Result<(StatusCode, Json<TicketBody>), ApiError> {
    let ticket = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let now = app.now();
    let new = NewSocketTicket {
        hash: ticket_hash(&ticket),
        session_id: user.session_id,
        expires_at: now + TICKET_LIFE,
        access_expires_at: user.expires_at,
    };
    app.parts.accounts.add_socket_ticket(new).await?;
    let expires_in_ms = u64::try_from(TICKET_LIFE.as_millis()).unwrap_or(u64::MAX);
    let body = TicketBody {
        ticket,
        expires_in_ms,
    };
    Ok((StatusCode::CREATED, Json(body)))
}
