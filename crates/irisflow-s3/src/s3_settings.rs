//! Which bucket, where it is, and how long a node waits for it.

use std::fmt;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use url::Url;

/// A bucket.
#[derive(Debug, Clone)]
pub struct S3Settings {
    pub bucket: String,
    pub region: String,
    /// Where nodes reach the storage; `None`: at AWS.
    pub endpoint: Option<String>,
    /// Where clients reach it, when that is another address: presigned URLs begin with it.
    pub public_endpoint: Option<String>,
    pub credentials: S3Credentials,
    pub timeouts: S3Timeouts,
}

/// Keys of an account that may list the bucket, and read, write and delete its objects. `Debug` shows no secret.
#[derive(Clone)]
pub struct S3Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    /// Of temporary credentials.
    pub session_token: Option<String>,
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Credentials({})", self.access_key_id)
    }
}

/// How long a node waits. A call ends after `retries` + `answer` at the latest, while bytes do not flow.
#[derive(Debug, Clone, Copy)]
pub struct S3Timeouts {
    pub connect: Duration,
    /// For the answer to a request, and between two pieces of it.
    pub answer: Duration,
    /// How long after its beginning a failed request is repeated.
    pub retries: Duration,
}

impl S3Timeouts {
    /// Half of a lease in all, so that a worker has time to hand its job back.
    pub fn within_lease(lease: Duration) -> Self {
        Self {
            connect: lease / 10,
            answer: lease / 3,
            retries: lease / 6,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum S3SettingsError {
    #[error(
        "{0:?} is no endpoint of S3: write http:// or https://, a host, and a port where it has its own"
    )]
    Endpoint(String),
    #[error("{0:?} is no name of a bucket: 3 to 63 lower-case letters, digits, hyphens and dots")]
    Bucket(String),
    #[error("presigned URLs of S3 live for seven days at most")]
    LinksLiveTooLong,
    #[error("the S3 client could not be set up: {0}")]
    Client(#[from] object_store::Error),
}

impl fmt::Display for S3Settings {
    /// The bucket and its storage, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = self.endpoint.clone();
        let endpoint = endpoint.unwrap_or_else(|| self.aws_origin());
        write!(f, "the bucket {} at {endpoint}", self.bucket)
    }
}

impl S3Settings {
    /// Scheme, host and port that presigned URLs begin with, as in `https://s3.eu-central-1.amazonaws.com`.
    ///
    /// # Errors
    /// When the endpoint is not one.
    pub fn public_origin(&self) -> Result<String, S3SettingsError> {
        match self.public_endpoint.as_ref().or(self.endpoint.as_ref()) {
            Some(endpoint) => origin_of(endpoint),
            None => Ok(self.aws_origin()),
        }
    }

    fn node_origin(&self) -> Result<String, S3SettingsError> {
        match &self.endpoint {
            Some(endpoint) => origin_of(endpoint),
            None => Ok(self.aws_origin()),
        }
    }

    fn aws_origin(&self) -> String {
        format!("https://s3.{}.amazonaws.com", self.region)
    }

    pub(crate) fn check_bucket(&self) -> Result<(), S3SettingsError> {
        let allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
        match (3..=63).contains(&self.bucket.len()) && self.bucket.bytes().all(allowed) {
            true => Ok(()),
            false => Err(S3SettingsError::Bucket(self.bucket.clone())),
        }
    }

    pub(crate) fn client(&self) -> Result<AmazonS3, S3SettingsError> {
        self.check_bucket()?;
        let origin = self.node_origin()?;
        let S3Timeouts {
            connect,
            answer,
            retries,
        } = self.timeouts;
        // Not one limit for a whole request: a large photo on a slow line makes progress.
        let options = ClientOptions::new()
            .with_allow_http(origin.starts_with("http://"))
            .with_timeout_disabled()
            .with_connect_timeout(connect)
            .with_read_timeout(answer);
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(50),
                max_backoff: Duration::from_secs(1),
                base: 2.0,
            },
            max_retries: 10,
            retry_timeout: retries,
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&self.bucket)
            .with_region(&self.region)
            .with_endpoint(origin)
            .with_virtual_hosted_style_request(false)
            // Bulk deletion is missing in some storages.
            .with_disable_bulk_delete(true)
            .with_access_key_id(&self.credentials.access_key_id)
            .with_secret_access_key(&self.credentials.secret_access_key)
            .with_client_options(options)
            .with_retry(retry);
        if let Some(token) = &self.credentials.session_token {
            builder = builder.with_token(token);
        }
        Ok(builder.build()?)
    }
}

fn origin_of(endpoint: &str) -> Result<String, S3SettingsError> {
    let wrong = || S3SettingsError::Endpoint(endpoint.to_owned());
    let url = Url::parse(endpoint).map_err(|_| wrong())?;
    let has_only_an_origin = matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.username().is_empty()
        && url.has_host();
    match matches!(url.scheme(), "http" | "https") && has_only_an_origin {
        true => Ok(url.origin().ascii_serialization()),
        false => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(endpoint: Option<&str>, public_endpoint: Option<&str>) -> S3Settings {
        S3Settings {
            bucket: "photos".to_owned(),
            region: "eu-central-1".to_owned(),
            endpoint: endpoint.map(str::to_owned),
            public_endpoint: public_endpoint.map(str::to_owned),
            credentials: S3Credentials {
                access_key_id: "KEYID".to_owned(),
                secret_access_key: "hidden-secret".to_owned(),
                session_token: Some("hidden-token".to_owned()),
            },
            timeouts: S3Timeouts::within_lease(Duration::from_secs(30)),
        }
    }

    #[test]
    fn links_begin_with_the_public_endpoint_or_else_with_the_one_of_the_nodes() {
        let origin = |endpoint, public| {
            settings(endpoint, public)
                .public_origin()
                .expect("it is one")
        };
        assert_eq!(origin(None, None), "https://s3.eu-central-1.amazonaws.com");
        assert_eq!(
            origin(Some("http://10.0.0.5:9000/"), None),
            "http://10.0.0.5:9000"
        );
        assert_eq!(
            origin(
                Some("http://10.0.0.5:9000"),
                Some("https://Photos.example.com:443")
            ),
            "https://photos.example.com"
        );
    }

    #[test]
    fn an_endpoint_is_an_origin_and_nothing_more() {
        for endpoint in [
            "10.0.0.5:9000",
            "https://a/bucket",
            "ftp://a",
            "https://me@a",
            "https://a?x",
        ] {
            let refused = settings(Some(endpoint), None).public_origin();
            assert!(
                matches!(refused, Err(S3SettingsError::Endpoint(_))),
                "{endpoint}"
            );
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let shown = format!("{:?}", settings(None, None));
        assert!(
            shown.contains("KEYID") && !shown.contains("hidden"),
            "{shown}"
        );
    }

    #[test]
    fn a_bucket_has_a_name_that_needs_no_encoding() {
        for bucket in ["ab", "Photos", "a/b", "photos?"] {
            let wrong = S3Settings {
                bucket: bucket.to_owned(),
                ..settings(None, None)
            };
            assert!(
                matches!(wrong.check_bucket(), Err(S3SettingsError::Bucket(_))),
                "{bucket}"
            );
        }
    }
}
