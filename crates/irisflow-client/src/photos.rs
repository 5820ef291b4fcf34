//! Uploading a photo: announce it, PUT its bytes to the link, confirm.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Method};
use serde::Deserialize;
use serde_json::json;

use crate::client::{Client, send};
use crate::error::ClientError;
use crate::ids::PhotoId;

/// A photo that the server has taken in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Photo {
    pub id: PhotoId,
    /// Of the upright photo; `None` before it was confirmed.
    pub width: Option<u32>,
    pub height: Option<u32>,
}

#[derive(Deserialize)]
struct Announced {
    upload_url: String,
    photo_id: PhotoId,
}

/// Bytes are handed to the connection, and progress is told, in pieces of this size.
const PIECE: usize = 64 * 1024;
/// An upload may take this long, and longer the larger it is.
const SHORTEST_UPLOAD_LIMIT: Duration = Duration::from_secs(60);
const SLOWEST_BYTES_PER_S: u64 = 16 * 1024;

impl Client {
    /// Uploads a photo. `sent` is told how many bytes have been handed to the connection, also again
    /// from the beginning when the upload has to be repeated.
    ///
    /// # Errors
    /// As the server refuses: `not_an_image`, `unsupported_format`, `image_too_large`.
    pub async fn upload(
        &self,
        photo: Bytes,
        sent: impl Fn(u64) + Clone + Send + Sync + 'static,
    ) -> Result<Photo, ClientError> {
        let content_type = content_type_of(&photo);
        let body = json!({ "content_type": content_type });
        let announced: Announced = self
            .call(|client| client.api(Method::POST, "photos/upload").json(&body))
            .await?;
        self.put(&announced.upload_url, content_type, &photo, sent)
            .await?;
        let route = format!("photos/{}/confirm", announced.photo_id);
        self.call(|client| client.api(Method::POST, &route)).await
    }

    async fn put(
        &self,
        link: &str,
        content_type: &str,
        photo: &Bytes,
        sent: impl Fn(u64) + Clone + Send + Sync + 'static,
    ) -> Result<(), ClientError> {
        let mut backoff = self.backoff();
        loop {
            let request = self
                .at_link(Method::PUT, link)
                .timeout(upload_limit(photo.len()))
                .header(CONTENT_TYPE, content_type)
                .header(CONTENT_LENGTH, photo.len())
                .body(in_pieces(photo.clone(), sent.clone()));
            let Err(error) = send(request).await else {
                return Ok(());
            };
            let Some(wait) = backoff.after(&error) else {
                return Err(error);
            };
            tokio::time::sleep(wait).await;
        }
    }
}

fn upload_limit(bytes: usize) -> Duration {
    SHORTEST_UPLOAD_LIMIT + Duration::from_secs(bytes as u64 / SLOWEST_BYTES_PER_S)
}

fn in_pieces(photo: Bytes, sent: impl Fn(u64) + Send + 'static) -> Body {
    let begins = (0..photo.len()).step_by(PIECE);
    let pieces = begins.map(move |begin| {
        let end = (begin + PIECE).min(photo.len());
        sent(end as u64);
        Ok::<_, Infallible>(photo.slice(begin..end))
    });
    Body::wrap_stream(stream::iter(pieces))
}

/// By the first bytes. The server finds out by itself and only wants the same type twice, so that what
/// is not known here may be called a JPEG.
fn content_type_of(photo: &[u8]) -> &'static str {
    match photo {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => "image/webp",
        _ => "image/jpeg",
    }
}
