//! One WebSocket connection: the HTTP upgrade, text messages, the close.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use reqwest::header::{HeaderValue, SEC_WEBSOCKET_VERSION};
use reqwest::{Method, StatusCode, Upgraded};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

use crate::client::{Client, error_for_status};
use crate::error::ClientError;

const UPGRADE_TIMEOUT: Duration = Duration::from_secs(15);
/// Idle timeout. The server pings every 25 s, so that a longer silence means a lost connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Usual frames have a few hundred bytes; a snapshot has a kilobyte or two for each of up to thousands of jobs.
const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Socket {
    stream: WebSocketStream<Upgraded>,
}

impl Socket {
    /// Opens the WebSocket with the client's own HTTP stack, so that base URL, TLS certificates and
    /// error responses are handled as in every other call.
    pub(crate) async fn open(client: &Client, route: &str) -> Result<Self, ClientError> {
        let key = generate_key();
        let request = client
            .request(Method::GET, route)
            .header(CONNECTION, HeaderValue::from_static("Upgrade"))
            .header(UPGRADE, HeaderValue::from_static("websocket"))
            .header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
            .header(SEC_WEBSOCKET_KEY, &key);
        let opened = timeout(UPGRADE_TIMEOUT, async {
            let response = request.send().await?;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                error_for_status(response).await?;
                return Err(not_a_websocket());
            }
            let accepted = response.headers().get(SEC_WEBSOCKET_ACCEPT);
            if accepted.map(HeaderValue::as_bytes)
                != Some(derive_accept_key(key.as_bytes()).as_bytes())
            {
                return Err(not_a_websocket());
            }
            let upgraded = response.upgrade().await?;
            let config = WebSocketConfig::default()
                .max_message_size(Some(MAX_FRAME_BYTES))
                .max_frame_size(Some(MAX_FRAME_BYTES))
                .read_buffer_size(4096);
            Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await)
        });
        let stream = opened
            .await
            .map_err(|_| ClientError::Unreachable("the upgrade took too long".to_owned()))??;
        Ok(Self { stream })
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when the connection was lost.
    pub(crate) async fn send_text(&mut self, text: String) -> Result<(), ClientError> {
        let sent = self.stream.send(Message::text(text)).await;
        sent.map_err(|error| ClientError::Unreachable(error.to_string()))
    }

    /// The next text message.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when the connection was lost, closed or idle for too long.
    pub(crate) async fn next_text(&mut self) -> Result<String, ClientError> {
        let ended = |why: &str| Err(ClientError::Unreachable(why.to_owned()));
        loop {
            match timeout(IDLE_TIMEOUT, self.stream.next()).await {
                Err(_) => return ended("the socket fell silent"),
                Ok(None) => return ended("the socket was closed"),
                Ok(Some(Err(error))) => return ended(&error.to_string()),
                Ok(Some(Ok(Message::Text(text)))) => return Ok(text.as_str().to_owned()),
                Ok(Some(Ok(Message::Close(close)))) => {
                    let close = close.map_or_else(String::new, |close| {
                        format!(" with {} {}", u16::from(close.code), close.reason)
                    });
                    return ended(&format!("the socket was closed{close}"));
                }
                // Pings: the library sends the pongs.
                Ok(Some(Ok(_))) => {}
            }
        }
    }

    /// Closing handshake, best effort.
    pub(crate) async fn close(mut self) {
        let _ = timeout(Duration::from_secs(1), async {
            let _ = self.stream.close(None).await;
            let _ = self.stream.flush().await;
        })
        .await;
    }
}

fn not_a_websocket() -> ClientError {
    ClientError::InvalidResponse(
        "it does not speak WebSocket here; is a proxy in between?".to_owned(),
    )
}
