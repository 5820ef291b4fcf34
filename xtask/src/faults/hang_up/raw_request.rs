//! An HTTP/1.1 request written byte by byte to a TCP connection, which can be closed at any moment.

use std::time::Duration;

use anyhow::Context as _;
use rand::RngExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[derive(Debug)]
pub(super) struct RawRequest {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) token: Option<String>,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
    /// Sent as `Idempotency-Key`.
    pub(super) key: Option<String>,
}

/// When and how a client closes its connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Disconnect {
    /// Delay after the last byte was sent.
    pub(super) after: Duration,
    /// Share of the body that is sent, 0 to 1.
    pub(super) body_share: f64,
    /// With a TCP RST instead of a FIN.
    pub(super) by_reset: bool,
}

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

impl RawRequest {
    pub(super) fn json(method: &'static str, path: &str, body: &serde_json::Value) -> Self {
        Self {
            method,
            path: path.to_owned(),
            token: None,
            content_type: "application/json",
            body: body.to_string().into_bytes(),
            key: None,
        }
    }

    pub(super) fn empty(method: &'static str, path: &str) -> Self {
        Self {
            body: Vec::new(),
            ..Self::json(method, path, &serde_json::Value::Null)
        }
    }

    pub(super) fn image(method: &'static str, path: &str, body: Vec<u8>) -> Self {
        Self {
            content_type: "image/jpeg",
            body,
            ..Self::empty(method, path)
        }
    }

    pub(super) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    pub(super) fn with_key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// Sends the whole request and returns the status of the response.
    pub(super) async fn send(&self, address: &str) -> anyhow::Result<u16> {
        let mut connection = TcpStream::connect(address).await.context("connecting")?;
        connection.write_all(&self.head(address)).await?;
        connection.write_all(&self.body).await?;
        let mut response = Vec::new();
        let read = connection.read_to_end(&mut response);
        tokio::time::timeout(RESPONSE_TIMEOUT, read)
            .await
            .context("the response takes too long")??;
        let response = String::from_utf8_lossy(&response);
        let status = response
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        status.context("no response")
    }

    /// Sends the request and disconnects; returns whether a response arrived before.
    pub(super) async fn hang_up(
        &self,
        address: &str,
        disconnect: Disconnect,
    ) -> anyhow::Result<bool> {
        let mut connection = TcpStream::connect(address).await.context("connecting")?;
        let sent = (self.body.len() as f64 * disconnect.body_share) as usize;
        connection.write_all(&self.head(address)).await?;
        connection
            .write_all(&self.body[..sent.min(self.body.len())])
            .await?;
        let mut first = [0; 1];
        let response = tokio::time::timeout(disconnect.after, connection.read(&mut first)).await;
        if disconnect.by_reset {
            connection
                .set_zero_linger()
                .context("disconnect by reset")?;
        }
        Ok(response.is_ok_and(|read| read.is_ok_and(|bytes| bytes > 0)))
    }

    fn head(&self, address: &str) -> Vec<u8> {
        let mut random = rand::rng();
        let from: [u8; 3] = [random.random(), random.random(), random.random()];
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {address}\r\nX-Forwarded-For: 10.{}.{}.{}\r\n\
             Connection: close\r\nContent-Length: {}\r\n",
            self.method,
            self.path,
            from[0],
            from[1],
            from[2],
            self.body.len()
        );
        let mut field = |name: &str, value: &str| {
            head.push_str(&format!("{name}: {value}\r\n"));
        };
        if !self.body.is_empty() {
            field("Content-Type", self.content_type);
        }
        if let Some(token) = &self.token {
            field("Authorization", &format!("Bearer {token}"));
        }
        if let Some(key) = &self.key {
            field("Idempotency-Key", key);
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}
