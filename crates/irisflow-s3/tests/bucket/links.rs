//! Presigned URLs, used as a client without credentials uses them.

use std::time::Duration;

use bytes::Bytes;
use irisflow_jobs::{Clock as _, SystemClock, Timestamp};
use irisflow_photos::{Access, LinkSigner as _, ObjectKey, ObjectStore as _, SignedLink};
use irisflow_s3::{S3LinkSigner, S3Store};
use irisflow_test_servers::S3Server;
use reqwest::StatusCode;
use reqwest::header::{CACHE_CONTROL, CONTENT_TYPE, RANGE};

use crate::server::{incoming, original, settings, start};

const LIFE: Duration = Duration::from_secs(900);

struct Links {
    server: S3Server,
    store: S3Store,
    signer: S3LinkSigner,
    client: reqwest::Client,
}

impl Links {
    fn start() -> Self {
        let (server, store) = start();
        let signer = S3LinkSigner::new(&settings(&server), LIFE).expect("valid");
        Self {
            server,
            store,
            signer,
            client: reqwest::Client::new(),
        }
    }

    fn url(&self, key: &ObjectKey, access: &Access, expires: Timestamp) -> String {
        match self.signer.link(key, access, expires) {
            SignedLink::Absolute(url) => url,
            SignedLink::OfApi(path) => panic!("{path}"),
        }
    }

    async fn put(&self, url: &str, content_type: &str) -> StatusCode {
        let put = self.client.put(url).header(CONTENT_TYPE, content_type);
        put.body("pixels").send().await.expect("an answer").status()
    }

    async fn get(&self, url: &str) -> reqwest::Response {
        self.client.get(url).send().await.expect("an answer")
    }
}

fn jpeg() -> Access {
    Access::Write {
        content_type: "image/jpeg".to_owned(),
    }
}

fn soon() -> Timestamp {
    SystemClock.now() + LIFE
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_uploads_by_a_link_with_the_type_that_it_has_named() {
    let links = Links::start();
    let key = incoming();
    let url = links.url(&key, &jpeg(), soon());
    assert_eq!(links.put(&url, "image/png").await, StatusCode::FORBIDDEN);
    assert_eq!(links.put(&url, "image/jpeg").await, StatusCode::OK);
    let stored = links.store.get(&key).await.expect("read");
    assert_eq!(stored, Some(Bytes::from_static(b"pixels")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_downloads_by_a_link_with_type_and_caching() {
    let links = Links::start();
    let key = original();
    links
        .store
        .put(&key, Bytes::from_static(b"pixels"))
        .await
        .expect("stored");
    let url = links.url(&key, &Access::Read, soon());
    let answer = links.get(&url).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()[CONTENT_TYPE], "image/jpeg");
    let caching = answer.headers()[CACHE_CONTROL].to_str().expect("text");
    assert!(
        caching.contains("private") && caching.contains("immutable"),
        "{caching}"
    );
    assert_eq!(answer.bytes().await.expect("a body"), "pixels");

    let part = links
        .client
        .get(&url)
        .header(RANGE, "bytes=1-2")
        .send()
        .await;
    let part = part.expect("an answer");
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.bytes().await.expect("a body"), "ix");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_good_for_one_object_one_method_and_its_time() {
    let links = Links::start();
    let (key, other) = (original(), original());
    for key in [&key, &other] {
        links
            .store
            .put(key, Bytes::from_static(b"x"))
            .await
            .expect("stored");
    }
    let url = links.url(&key, &Access::Read, soon());
    let refused = [
        links
            .get(&url.replace(&key.to_string(), &other.to_string()))
            .await
            .status(),
        links
            .get(&url.replace("X-Amz-Expires=901", "X-Amz-Expires=99999"))
            .await
            .status(),
        links.put(&url, "image/jpeg").await,
        links
            .client
            .delete(&url)
            .send()
            .await
            .expect("an answer")
            .status(),
        links
            .get(&links.url(
                &key,
                &Access::Read,
                SystemClock.now() - Duration::from_secs(2),
            ))
            .await
            .status(),
        links
            .get(&format!(
                "{}/{}/{key}",
                links.server.url(),
                S3Server::BUCKET
            ))
            .await
            .status(),
    ];
    for status in refused {
        assert!(status.is_client_error(), "{refused:?}");
    }
    assert_eq!(links.get(&url).await.status(), StatusCode::OK);
}
