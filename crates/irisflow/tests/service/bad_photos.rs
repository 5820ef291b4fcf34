//! Invalid uploads of each kind get their error code and a message, and do not crash the server.

use reqwest::StatusCode;
use serde_json::Value;

use crate::app::{App, User, good_eye, json_of};

async fn refused(user: &User<'_>, bytes: Vec<u8>, status: StatusCode) -> Value {
    let body = json_of(user.post_photo(bytes).await, status).await;
    assert!(
        body["detail"]
            .as_str()
            .is_some_and(|sentence| sentence.len() > 10),
        "{body}"
    );
    body
}

/// A PNG whose header declares 60000 x 60000 pixels.
fn huge_png() -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    bytes.extend(60_000_u32.to_be_bytes());
    bytes.extend(60_000_u32.to_be_bytes());
    bytes.extend([8, 2, 0, 0, 0]);
    let crc = bytes[12..].iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ 0xEDB8_8320
            } else {
                crc >> 1
            }
        })
    });
    bytes.extend((!crc).to_be_bytes());
    bytes.extend([0; 32]);
    bytes
}

#[tokio::test]
async fn each_kind_of_bad_upload_gets_its_code_and_the_server_lives() {
    let app = App::start_with(&[("IRISFLOW_MAX_PHOTO_BYTES", "100000")]).await;
    let user = app.user("you").await;

    let empty = refused(&user, Vec::new(), StatusCode::BAD_REQUEST).await;
    assert_eq!(empty["code"], "not_an_image");
    let text = b"this is a letter, not a photo".to_vec();
    assert_eq!(
        refused(&user, text, StatusCode::BAD_REQUEST).await["code"],
        "not_an_image"
    );
    let huge = refused(&user, huge_png(), StatusCode::PAYLOAD_TOO_LARGE).await;
    assert_eq!(huge["code"], "image_too_large");
    let heavy = refused(&user, vec![0xff; 200_000], StatusCode::PAYLOAD_TOO_LARGE).await;
    assert_eq!(heavy["code"], "image_too_large");
    let heic = b"\0\0\0\x18ftypheic\0\0\0\0heicmif1".to_vec();
    let heic = refused(&user, heic, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    assert_eq!(heic["code"], "unsupported_format");
    assert!(
        heic["detail"]
            .as_str()
            .is_some_and(|text| text.contains("HEIC")),
        "{heic}"
    );

    app.until_no_objects("incoming").await;
    app.until_no_objects("iris").await;
    let job_id = user.upload_and_submit(good_eye()).await;
    assert_eq!(user.until_ended(&job_id).await["status"], "completed");
}

#[tokio::test]
async fn a_truncated_photo_is_rejected_with_a_message() {
    let app = App::start().await;
    let user = app.user("you").await;
    let mut bytes = good_eye();
    bytes.truncate(bytes.len() / 2);
    let answer = user.post_photo(bytes).await;
    let body = if answer.status() == StatusCode::CREATED {
        // Its header is complete, so that only decoding in the job detects it.
        let photo = json_of(answer, StatusCode::CREATED).await;
        let job_id = user.submit(photo["id"].as_str().expect("an id")).await;
        let job = user.until_ended(&job_id).await;
        assert_eq!(job["error_type"], "quality_issue", "{job}");
        job["error_code"].clone()
    } else {
        json_of(answer, StatusCode::BAD_REQUEST).await["code"].clone()
    };
    assert_eq!(body, "not_an_image");
}
