//! The port `ObjectStore` of `irisflow-photos` on S3, and presigned URLs of it.
//!
//! Nothing here relies on a put that fails when the object exists, which not every storage keeps to: keys contain the
//! epoch of the attempt or the number of the intake, and the row in the database says which object is valid.

mod errors;
mod presigned;
mod s3_settings;
mod s3_store;
mod s3_upload;

pub use presigned::S3LinkSigner;
pub use s3_settings::{S3Credentials, S3Settings, S3SettingsError, S3Timeouts};
pub use s3_store::S3Store;
