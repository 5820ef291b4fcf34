//! The kinds of state-changing request: how each is prepared, and how its client checks the outcome after
//! a disconnect.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::api_client::{Account, ApiClient};
use super::raw_request::RawRequest;
use crate::faults::test_users::PASSWORD;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestKind {
    Register,
    SignIn,
    Refresh,
    SignOut,
    EndOtherSessions,
    ChangePassword,
    DeleteAccount,
    Consent,
    Announce,
    Put,
    Confirm,
    Create,
    Check,
    DeletePhoto,
    Submit,
    Batch,
    Reprocess,
    CancelJob,
    CancelBatch,
    DeleteJob,
}

/// A request that is ready to be sent.
#[derive(Debug)]
pub(super) struct PreparedRequest {
    pub(super) request: RawRequest,
    pub(super) account: Account,
    /// Empty for a request without a photo, like `job_id` for one without a job.
    pub(super) photo_id: String,
    pub(super) job_id: String,
    /// Path of the presigned upload URL; empty without one.
    upload_path: String,
}

/// Delay before the check, in which the server may finish a request whose client is gone.
const CHECK_DELAY: Duration = Duration::from_secs(1);
const NEW_PASSWORD: &str = "Clearer-Iris-8";

impl RequestKind {
    pub(super) const ALL: [Self; 20] = [
        Self::Register,
        Self::SignIn,
        Self::Refresh,
        Self::SignOut,
        Self::EndOtherSessions,
        Self::ChangePassword,
        Self::DeleteAccount,
        Self::Consent,
        Self::Announce,
        Self::Put,
        Self::Confirm,
        Self::Create,
        Self::Check,
        Self::DeletePhoto,
        Self::Submit,
        Self::Batch,
        Self::Reprocess,
        Self::CancelJob,
        Self::CancelBatch,
        Self::DeleteJob,
    ];

    pub(super) fn queues_jobs(self) -> bool {
        matches!(self, Self::Submit | Self::Batch)
    }

    pub(super) async fn prepare(
        self,
        client: &mut ApiClient,
        by: &Account,
    ) -> anyhow::Result<PreparedRequest> {
        match self {
            Self::Register
            | Self::SignIn
            | Self::Refresh
            | Self::SignOut
            | Self::EndOtherSessions
            | Self::ChangePassword
            | Self::DeleteAccount
            | Self::Consent => self.prepare_account(client, by).await,
            Self::Announce
            | Self::Put
            | Self::Confirm
            | Self::Create
            | Self::Check
            | Self::DeletePhoto => self.prepare_photo(client, by).await,
            Self::Submit
            | Self::Batch
            | Self::Reprocess
            | Self::CancelJob
            | Self::CancelBatch
            | Self::DeleteJob => self.prepare_job(client, by).await,
        }
    }

    async fn prepare_account(
        self,
        client: &mut ApiClient,
        by: &Account,
    ) -> anyhow::Result<PreparedRequest> {
        let mut account = by.clone();
        let request = match self {
            Self::Register => {
                account.email = client.new_email();
                let credentials = json!({"email": account.email, "password": PASSWORD});
                RawRequest::json("POST", "/api/v1/auth/register", &credentials)
            }
            Self::SignIn => {
                let credentials = json!({"email": account.email, "password": PASSWORD});
                RawRequest::json("POST", "/api/v1/auth/login/json", &credentials)
            }
            Self::Consent => {
                let consent = json!({"consent_type": "biometric_capture", "text_version": "1"});
                RawRequest::json("POST", "/api/v1/privacy/consent", &consent)
                    .with_token(&account.access)
            }
            _ => {
                account = client.account().await?;
                let access = account.access.as_str();
                match self {
                    Self::Refresh => {
                        let body = json!({"refresh_token": account.refresh});
                        RawRequest::json("POST", "/api/v1/auth/refresh", &body)
                    }
                    Self::SignOut => {
                        RawRequest::empty("POST", "/api/v1/auth/logout").with_token(access)
                    }
                    Self::EndOtherSessions => {
                        client.sign_in(&account.email, PASSWORD).await?;
                        RawRequest::empty("DELETE", "/api/v1/users/me/sessions").with_token(access)
                    }
                    Self::ChangePassword => {
                        let body =
                            json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
                        RawRequest::json("PUT", "/api/v1/users/me/password", &body)
                            .with_token(access)
                    }
                    _ => {
                        let photo_id = client.photo(&account).await?;
                        client.submit(&account, &photo_id).await?;
                        client.wait_until_idle().await?;
                        let body = json!({"confirm": true});
                        RawRequest::json("DELETE", "/api/v1/users/me", &body).with_token(access)
                    }
                }
            }
        };
        Ok(PreparedRequest::new(request, account))
    }

    async fn prepare_photo(
        self,
        client: &mut ApiClient,
        by: &Account,
    ) -> anyhow::Result<PreparedRequest> {
        let access = by.access.as_str();
        let (mut photo_id, mut upload_path) = (String::new(), String::new());
        if matches!(self, Self::Put | Self::Confirm) {
            (photo_id, upload_path) = client.create_upload(by).await?;
        }
        let request = match self {
            Self::Announce => {
                RawRequest::json("POST", "/api/v1/photos/upload", &json!({})).with_token(access)
            }
            Self::Put => RawRequest::image("PUT", &upload_path, client.photo.clone()),
            Self::Confirm => {
                client.put(&upload_path).await?;
                RawRequest::empty("POST", &format!("/api/v1/photos/{photo_id}/confirm"))
                    .with_token(access)
            }
            Self::Create => {
                RawRequest::image("POST", "/api/v1/photos", client.photo.clone()).with_token(access)
            }
            _ => {
                photo_id = client.photo(by).await?;
                let path = format!("/api/v1/photos/{photo_id}");
                match self {
                    Self::Check => {
                        RawRequest::empty("POST", &format!("{path}/check")).with_token(access)
                    }
                    _ => RawRequest::empty("DELETE", &path).with_token(access),
                }
            }
        };
        Ok(PreparedRequest {
            photo_id,
            upload_path,
            ..PreparedRequest::new(request, by.clone())
        })
    }

    async fn prepare_job(
        self,
        client: &mut ApiClient,
        by: &Account,
    ) -> anyhow::Result<PreparedRequest> {
        let access = by.access.as_str();
        let photo_id = client.photo(by).await?;
        let mut job_id = String::new();
        let key = Uuid::new_v4().to_string();
        let request = match self {
            Self::Submit => {
                client.submitted_once.push(photo_id.clone());
                let body = json!({"photo_id": photo_id});
                RawRequest::json("POST", "/api/v1/processing/submit", &body).with_key(&key)
            }
            Self::Batch => {
                client.submitted_once.push(photo_id.clone());
                let body = json!({"photo_ids": [photo_id]});
                RawRequest::json("POST", "/api/v1/processing/batch", &body).with_key(&key)
            }
            Self::CancelBatch => {
                let body = json!({"photo_ids": [photo_id]});
                let response = client
                    .call_ok("POST", "/processing/batch", Some(access), &body)
                    .await?;
                let batch_id = response.text("batch_id")?;
                let path = format!("/api/v1/processing/batches/{batch_id}/cancel");
                RawRequest::empty("POST", &path)
            }
            _ => {
                job_id = client.submit(by, &photo_id).await?;
                let path = format!("/api/v1/processing/jobs/{job_id}");
                match self {
                    Self::CancelJob => RawRequest::empty("POST", &format!("{path}/cancel")),
                    Self::DeleteJob => RawRequest::empty("DELETE", &path),
                    _ => {
                        client.wait_until_idle().await?;
                        RawRequest::empty("POST", &format!("{path}/reprocess")).with_key(&key)
                    }
                }
            }
        };
        Ok(PreparedRequest {
            photo_id,
            job_id,
            ..PreparedRequest::new(request.with_token(access), by.clone())
        })
    }

    /// Describes what was only half executed, if anything was. Executed or not at all are both fine.
    pub(super) async fn check_outcome(
        self,
        client: &mut ApiClient,
        prepared: &PreparedRequest,
    ) -> anyhow::Result<Option<String>> {
        tokio::time::sleep(CHECK_DELAY).await;
        let account = &prepared.account;
        let access = Some(account.access.as_str());
        match self {
            Self::Register => {
                if client.sign_in(&account.email, PASSWORD).await?.is_none() {
                    let credentials = json!({"email": account.email, "password": PASSWORD});
                    client
                        .call_ok("POST", "/auth/register", None, &credentials)
                        .await?;
                }
            }
            Self::ChangePassword => {
                let old = client.sign_in(&account.email, PASSWORD).await?.is_some();
                let new = client
                    .sign_in(&account.email, NEW_PASSWORD)
                    .await?
                    .is_some();
                if old == new {
                    return Ok(Some(format!("old password works: {old}, new one: {new}")));
                }
            }
            Self::DeleteAccount => {
                let me = client
                    .call("GET", "/users/me", access, &Value::Null)
                    .await?;
                if me.status == 200 {
                    let photos = client
                        .call_ok("GET", "/photos", access, &Value::Null)
                        .await?;
                    if photos.body["total"] != 1 {
                        return Ok(Some("an account is there without its photo".to_owned()));
                    }
                }
            }
            // The server repeats the response of a refresh within its grace period.
            Self::Refresh => {
                let again = prepared.request.send(&client.address).await?;
                if again != 200 {
                    return Ok(Some(format!("the refresh token is lost: {again}")));
                }
            }
            Self::Put | Self::Confirm => return check_upload(client, prepared).await,
            Self::Submit | Self::Batch | Self::Reprocess => {
                let again = prepared.request.send(&client.address).await?;
                if again != 201 {
                    return Ok(Some(format!("asking again with the same key: {again}")));
                }
            }
            Self::DeletePhoto => {
                let path = format!("/photos/{}", prepared.photo_id);
                let response = client.call("GET", &path, access, &Value::Null).await?;
                if !matches!(response.status, 200 | 404) {
                    return Ok(Some(format!("a photo answers {}", response.status)));
                }
            }
            Self::CancelJob | Self::DeleteJob => {
                let path = format!("/processing/jobs/{}", prepared.job_id);
                let response = client.call("GET", &path, access, &Value::Null).await?;
                if !matches!(response.status, 200 | 404) {
                    return Ok(Some(format!("a job answers {}", response.status)));
                }
            }
            Self::SignIn
            | Self::SignOut
            | Self::EndOtherSessions
            | Self::Consent
            | Self::Announce
            | Self::Create
            | Self::Check
            | Self::CancelBatch => {}
        }
        Ok(None)
    }
}

/// An interrupted upload can be completed, wherever it was interrupted.
async fn check_upload(
    client: &mut ApiClient,
    prepared: &PreparedRequest,
) -> anyhow::Result<Option<String>> {
    let access = Some(prepared.account.access.as_str());
    let path = format!("/photos/{}/confirm", prepared.photo_id);
    let mut response = client.call("POST", &path, access, &Value::Null).await?;
    if response.status == 409 {
        let put = client.put(&prepared.upload_path).await?;
        if put != 200 {
            return Ok(Some(format!("uploading again: {put}")));
        }
        response = client.call("POST", &path, access, &Value::Null).await?;
    }
    let is_confirmed = response.status == 200;
    Ok((!is_confirmed).then(|| format!("confirming again: {} {}", response.status, response.body)))
}

impl PreparedRequest {
    fn new(request: RawRequest, account: Account) -> Self {
        Self {
            request,
            account,
            photo_id: String::new(),
            job_id: String::new(),
            upload_path: String::new(),
        }
    }
}
