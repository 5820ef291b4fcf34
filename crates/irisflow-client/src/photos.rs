//! Uploading a photo: create it, PUT its bytes to the presigned URL, confirm.

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

/// An uploaded and confirmed photo.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Photo {
    pub id: PhotoId,
    /// Pixels, after the EXIF orientation was applied; `None` before the photo is confirmed.
    pub width: Option<u32>,
    pub height: Option<u32>,
}

#[derive(Deserialize)]
struct CreatedUpload {
    upload_url: String,
    photo_id: PhotoId,
}

/// The body is sent, and progress is reported, in chunks of this size.
const CHUNK_BYTES: usize = 64 * 1024;
/// The upload timeout is this, plus the size at the slowest accepted rate.
const MIN_UPLOAD_TIMEOUT: Duration = Duration::from_secs(60);
const SLOWEST_BYTES_PER_S: u64 = 16 * 1024;

impl Client {
    /// Uploads a photo. `on_progress` receives the number of bytes handed to the connection so far; it
    /// starts again from the beginning when the upload is retried.
    ///
    /// # Errors
    /// When the server rejects the photo: `not_an_image`, `unsupported_format`, `image_too_large`.
    pub async fn upload(
        &self,
        photo: Bytes,
        on_progress: impl Fn(u64) + Clone + Send + Sync + 'static,
    ) -> Result<Photo, ClientError> {
        let content_type = content_type_of(&photo);
        let body = json!({ "content_type": content_type });
        let created: CreatedUpload = self
            .call(|client| client.api(Method::POST, "photos/upload").json(&body))
            .await?;
        self.put(&created.upload_url, content_type, &photo, on_progress)
            .await?;
        let route = format!("photos/{}/confirm", created.photo_id);
        self.call(|client| client.api(Method::POST, &route)).await
    }

    async fn put(
        &self,
        url: &str,
        content_type: &str,
        photo: &Bytes,
        on_progress: impl Fn(u64) + Clone + Send + Sync + 'static,
    ) -> Result<(), ClientError> {
        let mut backoff = self.backoff();
        loop {
            let request = self
                .presigned(Method::PUT, url)
                .timeout(upload_timeout(photo.len()))
                .header(CONTENT_TYPE, content_type)
                .header(CONTENT_LENGTH, photo.len())
                .body(chunked_body(photo.clone(), on_progress.clone()));
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

fn upload_timeout(bytes: usize) -> Duration {
    MIN_UPLOAD_TIMEOUT + Duration::from_secs(bytes as u64 / SLOWEST_BYTES_PER_S)
}

fn chunked_body(photo: Bytes, on_progress: impl Fn(u64) + Send + 'static) -> Body {
    let starts = (0..photo.len()).step_by(CHUNK_BYTES);
    let chunks = starts.map(move |start| {
        let end = (start + CHUNK_BYTES).min(photo.len());
        on_progress(end as u64);
        Ok::<_, Infallible>(photo.slice(start..end))
    });
    Body::wrap_stream(stream::iter(chunks))
}

/// Content type by magic bytes. Any other format is declared as JPEG: the server detects the format
/// itself, and only requires the same content type at creation and at the PUT.
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
