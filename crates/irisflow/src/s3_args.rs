//! Settings of a bucket for photos and results.

use std::time::Duration;

use anyhow::bail;
use clap::Args;

use crate::compose::{ObjectStoreChoice, S3Credentials, S3Settings, S3Timeouts};
use crate::secret_arg::SecretArg;

/// A bucket for photos and results, in place of the data folder.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "S3")]
pub(crate) struct S3Args {
    /// Bucket for photos and results, in place of files in the data folder. Keys of S3 are read from
    /// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
    #[arg(long, env = "IRISFLOW_S3_BUCKET", value_name = "NAME")]
    s3_bucket: Option<String>,
    /// Region of the bucket.
    #[arg(
        long,
        env = "AWS_REGION",
        value_name = "REGION",
        default_value = "us-east-1"
    )]
    s3_region: String,
    /// Where this process reaches the storage, as in `http://10.0.0.5:9000`. Default: AWS.
    #[arg(long, env = "IRISFLOW_S3_ENDPOINT", value_name = "URL")]
    s3_endpoint: Option<String>,
    /// Where clients reach it, when that is another address: presigned URLs begin with it.
    #[arg(long, env = "IRISFLOW_S3_PUBLIC_ENDPOINT", value_name = "URL")]
    s3_public_endpoint: Option<String>,
    #[arg(long, env = "AWS_ACCESS_KEY_ID", hide = true, hide_env_values = true)]
    s3_access_key_id: Option<SecretArg>,
    #[arg(
        long,
        env = "AWS_SECRET_ACCESS_KEY",
        hide = true,
        hide_env_values = true
    )]
    s3_secret_access_key: Option<SecretArg>,
    #[arg(long, env = "AWS_SESSION_TOKEN", hide = true, hide_env_values = true)]
    s3_session_token: Option<SecretArg>,
}

impl S3Args {
    /// `lease`: of the workers, within which a storage that hangs must be noticed.
    pub(crate) fn choice(&self, lease: Duration) -> anyhow::Result<ObjectStoreChoice> {
        // An empty variable is how a compose file leaves a setting out.
        let given = |setting: &Option<String>| setting.clone().filter(|text| !text.is_empty());
        let Some(bucket) = given(&self.s3_bucket) else {
            return Ok(ObjectStoreChoice::Files);
        };
        let key = |key: &Option<SecretArg>| SecretArg::text(key.as_ref()).map(str::to_owned);
        let (Some(access_key_id), Some(secret_access_key)) =
            (key(&self.s3_access_key_id), key(&self.s3_secret_access_key))
        else {
            bail!("--s3-bucket needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
        };
        let settings = S3Settings {
            bucket,
            region: self.s3_region.clone(),
            endpoint: given(&self.s3_endpoint),
            public_endpoint: given(&self.s3_public_endpoint),
            credentials: S3Credentials {
                access_key_id,
                secret_access_key,
                session_token: key(&self.s3_session_token),
            },
            timeouts: S3Timeouts::within_lease(lease),
        };
        Ok(ObjectStoreChoice::S3(Box::new(settings)))
    }
}
