//! Presigned URLs (AWS Signature Version 4, in the query): clients read and write objects at the storage itself.
//!
//! Signed here and not by the client of the storage, whose URLs begin with the endpoint of the nodes, and differ with
//! every second, so that no browser would find a picture in its cache. Source:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>

use std::fmt::Write as _;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use irisflow_jobs::Timestamp;
use irisflow_photos::{Access, LinkSigner, ObjectKey, SignedLink};
use sha2::{Digest as _, Sha256};

use crate::s3_settings::{S3Credentials, S3Settings, S3SettingsError};

const LONGEST_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Block of SHA-256.
const BLOCK_BYTES: usize = 64;

/// Signs links with the credentials of the nodes.
#[derive(Debug, Clone)]
pub struct S3LinkSigner {
    /// Scheme, host and port.
    origin: String,
    bucket: String,
    region: String,
    credentials: S3Credentials,
    /// What a link says that it lives from its date on. The date is counted back from the expiry, so that links with
    /// the same expiry are equal.
    stated_life: Duration,
}

/// What is signed besides the query.
struct Request<'a> {
    method: &'static str,
    host: &'a str,
    path: &'a str,
    content_type: Option<&'a str>,
}

impl S3LinkSigner {
    /// `longest_life`: of all links that are asked for.
    ///
    /// # Errors
    /// When the settings are not valid, or links live longer than S3 allows.
    pub fn new(settings: &S3Settings, longest_life: Duration) -> Result<Self, S3SettingsError> {
        settings.check_bucket()?;
        if longest_life > LONGEST_LIFE {
            return Err(S3SettingsError::LinksLiveTooLong);
        }
        Ok(Self {
            origin: settings.public_origin()?,
            bucket: settings.bucket.clone(),
            region: settings.region.clone(),
            credentials: settings.credentials.clone(),
            stated_life: Duration::from_secs(longest_life.as_secs() + 1),
        })
    }

    /// Query of a URL, with the signature.
    fn query(&self, request: &Request<'_>, signed_at: Timestamp) -> String {
        let date_time = compact_date_time(signed_at);
        let (date, _) = date_time.split_once('T').unwrap_or((&date_time, ""));
        let scope = format!("{date}/{}/s3/aws4_request", self.region);
        let (signed_headers, headers) = match request.content_type {
            None => ("host", format!("host:{}\n", request.host)),
            Some(content_type) => (
                "content-type;host",
                format!("content-type:{content_type}\nhost:{}\n", request.host),
            ),
        };
        let credential = format!("{}/{scope}", self.credentials.access_key_id);
        let mut query = format!(
            "X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={}&X-Amz-Date={date_time}&X-Amz-Expires={}",
            encoded(&credential),
            self.stated_life.as_secs(),
        );
        if let Some(token) = &self.credentials.session_token {
            let _ = write!(query, "&X-Amz-Security-Token={}", encoded(token));
        }
        let _ = write!(query, "&X-Amz-SignedHeaders={}", encoded(signed_headers));

        let canonical = format!(
            "{}\n{}\n{query}\n{headers}\n{signed_headers}\nUNSIGNED-PAYLOAD",
            request.method, request.path,
        );
        let canonical = hex(&Sha256::digest(canonical.as_bytes()));
        let to_sign = format!("{ALGORITHM}\n{date_time}\n{scope}\n{canonical}");
        let signature = hex(&hmac(&self.signing_key(date), to_sign.as_bytes()));
        format!("{query}&X-Amz-Signature={signature}")
    }

    fn signing_key(&self, date: &str) -> [u8; 32] {
        let secret = format!("AWS4{}", self.credentials.secret_access_key);
        let parts = [date, &self.region, "s3", "aws4_request"];
        let mut key = hmac(secret.as_bytes(), parts[0].as_bytes());
        for part in &parts[1..] {
            key = hmac(&key, part.as_bytes());
        }
        key
    }
}

impl LinkSigner for S3LinkSigner {
    fn link(&self, key: &ObjectKey, access: &Access, expires: Timestamp) -> SignedLink {
        let path = format!("/{}/{key}", self.bucket);
        let host = self.origin.split_once("://").map_or("", |(_, host)| host);
        let (method, content_type) = match access {
            Access::Read => ("GET", None),
            Access::Write { content_type } => ("PUT", Some(content_type.as_str())),
        };
        let request = Request {
            method,
            host,
            path: &path,
            content_type,
        };
        let query = self.query(&request, expires - self.stated_life);
        SignedLink::Absolute(format!("{}{path}?{query}", self.origin))
    }

    fn origin(&self) -> Option<&str> {
        Some(&self.origin)
    }
}

/// As in `20260209T161605Z`.
fn compact_date_time(at: Timestamp) -> String {
    let text = at.to_rfc3339();
    let seconds = text.split(['.', 'Z']).next().unwrap_or_default();
    let mut compact: String = seconds.chars().filter(|c| !"-:".contains(*c)).collect();
    compact.push('Z');
    compact
}

/// Percent-encoded but for unreserved characters (RFC 3986).
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
        encoded
    })
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    // HMAC hashes a long key and pads a short one with zeros to a block; doing it here cannot fail.
    let mut block = [0; BLOCK_BYTES];
    if key.len() > BLOCK_BYTES {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let mut mac = Hmac::<Sha256>::new(&block.into());
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use irisflow_jobs::{PhotoId, UserId};

    use super::*;
    use crate::s3_settings::S3Timeouts;

    fn settings() -> S3Settings {
        S3Settings {
            bucket: "photos".to_owned(),
            region: "us-east-1".to_owned(),
            endpoint: Some("http://10.0.0.5:9000".to_owned()),
            public_endpoint: Some("https://photos.example.com".to_owned()),
            credentials: S3Credentials {
                access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
                secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
                session_token: None,
            },
            timeouts: S3Timeouts::within_lease(Duration::from_secs(30)),
        }
    }

    /// The example of the documentation.
    #[test]
    fn the_signature_is_that_of_the_documentation() {
        let signer = S3LinkSigner::new(&settings(), Duration::from_secs(86399)).expect("valid");
        let request = Request {
            method: "GET",
            host: "examplebucket.s3.amazonaws.com",
            path: "/test.txt",
            content_type: None,
        };
        // 2013-05-24T00:00:00Z
        let query = signer.query(&request, Timestamp::from_millis(1_369_353_600_000));
        assert_eq!(
            query,
            "X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
             &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
             &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
    }

    #[test]
    fn a_link_leads_to_the_public_endpoint_and_is_the_same_for_the_same_expiry() {
        let signer = S3LinkSigner::new(&settings(), Duration::from_secs(3600)).expect("valid");
        let key = ObjectKey::Incoming {
            user_id: UserId::generate(),
            photo_id: PhotoId::generate(),
        };
        let link = |expires| signer.link(&key, &Access::Read, Timestamp::from_millis(expires));
        let first = link(1_764_000_000_000);
        assert_eq!(first, link(1_764_000_000_000));
        assert_ne!(first, link(1_764_000_900_000));
        let SignedLink::Absolute(url) = first else {
            panic!("{first:?}");
        };
        assert!(
            url.starts_with(&format!("https://photos.example.com/photos/{key}?")),
            "{url}"
        );
    }

    #[test]
    fn links_live_no_longer_than_s3_allows() {
        let eight_days = Duration::from_secs(8 * 24 * 3600);
        assert!(S3LinkSigner::new(&settings(), eight_days).is_err());
    }
}
