//! The request that opens a WebSocket: who asks for what, and with which credential.
//!
//! To reject a client, the server accepts the upgrade, sends one frame with the reason, and closes: a browser cannot
//! read the response to a failed upgrade.

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use tracing::Instrument as _;

use super::credentials::{Credential, CredentialQuery, SUB_PROTOCOL};
use super::web_socket::{LiveSocket, with_small_buffers};
use crate::app::App;
use crate::client_address::ClientAddress;
use crate::error::ApiError;
use crate::metrics::OpenSocket;
use crate::public_url::BaseUrl;

pub(crate) struct SocketRequest {
    upgrade: WebSocketUpgrade,
    opener: Opener,
    /// In the query or a sub-protocol, if any; else why the request is rejected.
    credential: Result<Option<Credential>, Rejected>,
}

/// Where a socket comes from.
pub(crate) struct Opener {
    pub(crate) app: App,
    pub(crate) client: ClientAddress,
    pub(crate) base: BaseUrl,
}

/// Why a request is rejected by its headers alone.
pub(crate) enum Rejected {
    ForeignOrigin,
    Credential(ApiError),
}

impl FromRequestParts<App> for SocketRequest {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let query = Query::<CredentialQuery>::from_request_parts(parts, app).await;
        let Query(query) = query.map_err(IntoResponse::into_response)?;
        let upgrade = WebSocketUpgrade::from_request_parts(parts, app).await;
        let upgrade = upgrade.map_err(IntoResponse::into_response)?;
        let Ok(client) = ClientAddress::from_request_parts(parts, app).await;
        let headers = &parts.headers;
        let credential = if app.origin_allowed(headers) {
            query.of_upgrade(app, headers).map_err(Rejected::Credential)
        } else {
            Err(Rejected::ForeignOrigin)
        };
        Ok(Self {
            upgrade,
            opener: Opener {
                app: App::clone(app),
                client,
                base: app.public_url.base(headers),
            },
            credential,
        })
    }
}

impl SocketRequest {
    /// Accepts the upgrade and runs `session` on the socket.
    pub(crate) fn accept<F: Future<Output = ()> + Send + 'static>(
        self,
        max_client_message_bytes: usize,
        session: impl FnOnce(LiveSocket, Opener, Result<Option<Credential>, Rejected>) -> F
        + Send
        + 'static,
    ) -> Response {
        // Counted before the client has its answer.
        let open = OpenSocket::counted();
        with_small_buffers(self.upgrade, max_client_message_bytes)
            .protocols([SUB_PROTOCOL])
            .on_upgrade(move |socket| {
                let session = session(LiveSocket::new(socket, open), self.opener, self.credential);
                // So that the log lines of the socket have the id of the request that opened it.
                session.in_current_span()
            })
    }
}
