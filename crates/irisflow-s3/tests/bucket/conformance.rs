//! A bucket passes what every object store must pass.

use std::sync::Arc;
use std::time::Duration;

use irisflow_photos::ObjectStore;
use irisflow_s3::{S3Store, S3Timeouts};
use irisflow_test_servers::S3Server;

use crate::server::settings;

async fn open() -> (S3Server, Arc<dyn ObjectStore>) {
    let server = S3Server::start().expect("the server starts");
    let mut settings = settings(&server);
    settings.timeouts = S3Timeouts::within_lease(Duration::from_secs(60));
    let store = S3Store::new(&settings).expect("the settings are valid");
    (server, Arc::new(store))
}

irisflow_photos::every_object_store_must_pass!(open);
