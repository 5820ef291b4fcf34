//! A server of its own for each test, and stores on it.

use std::time::Duration;

use irisflow_jobs::{PhotoFormat, PhotoId, UserId};
use irisflow_photos::ObjectKey;
use irisflow_s3::{S3Credentials, S3Settings, S3Store, S3Timeouts};
use irisflow_test_servers::S3Server;

/// Short, so that a server that hangs is noticed soon.
const TIMEOUTS: S3Timeouts = S3Timeouts {
    connect: Duration::from_secs(1),
    answer: Duration::from_millis(700),
    retries: Duration::from_secs(4),
};

pub(crate) fn settings(server: &S3Server) -> S3Settings {
    S3Settings {
        bucket: S3Server::BUCKET.to_owned(),
        region: S3Server::REGION.to_owned(),
        endpoint: Some(server.url()),
        public_endpoint: None,
        credentials: S3Credentials {
            access_key_id: S3Server::ACCESS_KEY.to_owned(),
            secret_access_key: S3Server::SECRET_KEY.to_owned(),
            session_token: None,
        },
        timeouts: TIMEOUTS,
    }
}

pub(crate) fn start() -> (S3Server, S3Store) {
    let server = S3Server::start().expect("the server starts");
    let store = S3Store::new(&settings(&server)).expect("the settings are valid");
    (server, store)
}

pub(crate) fn incoming() -> ObjectKey {
    ObjectKey::Incoming {
        user_id: UserId::generate(),
        photo_id: PhotoId::generate(),
    }
}

pub(crate) fn original() -> ObjectKey {
    ObjectKey::Original {
        user_id: UserId::generate(),
        photo_id: PhotoId::generate(),
        intake: Some(1),
        format: PhotoFormat::Jpeg,
    }
}
