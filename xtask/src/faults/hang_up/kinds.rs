//! The kinds of request that change something: how each is prepared, and what its client asks when it
//! comes back after hanging up.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::request::Request;
use super::visitor::{Account, World};
use crate::faults::crowd::PASSWORD;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
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
pub(super) struct Prepared {
    pub(super) request: Request,
    pub(super) account: Account,
    /// What it is about, where it is about a photo.
    pub(super) photo_id: String,
    pub(super) job_id: String,
    /// The path for its bytes, of a photo that was announced.
    upload_path: String,
}

const AFTERWARDS: Duration = Duration::from_secs(1);
const NEW_PASSWORD: &str = "Clearer-Iris-8";

impl Kind {
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

    pub(super) async fn prepare(self, world: &mut World, by: &Account) -> anyhow::Result<Prepared> {
        match self {
            Self::Register
            | Self::SignIn
            | Self::Refresh
            | Self::SignOut
            | Self::EndOtherSessions
            | Self::ChangePassword
            | Self::DeleteAccount
            | Self::Consent => self.prepare_account(world, by).await,
            Self::Announce
            | Self::Put
            | Self::Confirm
            | Self::Create
            | Self::Check
            | Self::DeletePhoto => self.prepare_photo(world, by).await,
            Self::Submit
            | Self::Batch
            | Self::Reprocess
            | Self::CancelJob
            | Self::CancelBatch
            | Self::DeleteJob => self.prepare_job(world, by).await,
        }
    }

    async fn prepare_account(self, world: &mut World, by: &Account) -> anyhow::Result<Prepared> {
        let mut account = by.clone();
        let request = match self {
            Self::Register => {
                account.email = world.new_email();
                let credentials = json!({"email": account.email, "password": PASSWORD});
                Request::json("POST", "/api/v1/auth/register", &credentials)
            }
            Self::SignIn => {
                let credentials = json!({"email": account.email, "password": PASSWORD});
                Request::json("POST", "/api/v1/auth/login/json", &credentials)
            }
            Self::Consent => {
                let consent = json!({"consent_type": "biometric_capture", "text_version": "1"});
                Request::json("POST", "/api/v1/privacy/consent", &consent).by(&account.access)
            }
            _ => {
                account = world.account().await?;
                let access = account.access.as_str();
                match self {
                    Self::Refresh => {
                        let body = json!({"refresh_token": account.refresh});
                        Request::json("POST", "/api/v1/auth/refresh", &body)
                    }
                    Self::SignOut => Request::empty("POST", "/api/v1/auth/logout").by(access),
                    Self::EndOtherSessions => {
                        world.sign_in(&account.email, PASSWORD).await?;
                        Request::empty("DELETE", "/api/v1/users/me/sessions").by(access)
                    }
                    Self::ChangePassword => {
                        let body =
                            json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
                        Request::json("PUT", "/api/v1/users/me/password", &body).by(access)
                    }
                    _ => {
                        let photo_id = world.photo(&account).await?;
                        world.submit(&account, &photo_id).await?;
                        world.until_idle().await?;
                        let body = json!({"confirm": true});
                        Request::json("DELETE", "/api/v1/users/me", &body).by(access)
                    }
                }
            }
        };
        Ok(Prepared::about(request, account))
    }

    async fn prepare_photo(self, world: &mut World, by: &Account) -> anyhow::Result<Prepared> {
        let access = by.access.as_str();
        let (mut photo_id, mut upload_path) = (String::new(), String::new());
        if matches!(self, Self::Put | Self::Confirm) {
            (photo_id, upload_path) = world.announce(by).await?;
        }
        let request = match self {
            Self::Announce => Request::json("POST", "/api/v1/photos/upload", &json!({})).by(access),
            Self::Put => Request::image("PUT", &upload_path, world.photo.clone()),
            Self::Confirm => {
                world.put(&upload_path).await?;
                Request::empty("POST", &format!("/api/v1/photos/{photo_id}/confirm")).by(access)
            }
            Self::Create => {
                Request::image("POST", "/api/v1/photos", world.photo.clone()).by(access)
            }
            _ => {
                photo_id = world.photo(by).await?;
                let path = format!("/api/v1/photos/{photo_id}");
                match self {
                    Self::Check => Request::empty("POST", &format!("{path}/check")).by(access),
                    _ => Request::empty("DELETE", &path).by(access),
                }
            }
        };
        Ok(Prepared {
            photo_id,
            upload_path,
            ..Prepared::about(request, by.clone())
        })
    }

    async fn prepare_job(self, world: &mut World, by: &Account) -> anyhow::Result<Prepared> {
        let access = by.access.as_str();
        let photo_id = world.photo(by).await?;
        let mut job_id = String::new();
        let key = Uuid::new_v4().to_string();
        let request = match self {
            Self::Submit => {
                world.submitted_once.push(photo_id.clone());
                let body = json!({"photo_id": photo_id});
                Request::json("POST", "/api/v1/processing/submit", &body).with_key(&key)
            }
            Self::Batch => {
                world.submitted_once.push(photo_id.clone());
                let body = json!({"photo_ids": [photo_id]});
                Request::json("POST", "/api/v1/processing/batch", &body).with_key(&key)
            }
            Self::CancelBatch => {
                let body = json!({"photo_ids": [photo_id]});
                let answer = world
                    .must("POST", "/processing/batch", Some(access), &body)
                    .await?;
                let batch_id = answer.text("batch_id")?;
                let path = format!("/api/v1/processing/batches/{batch_id}/cancel");
                Request::empty("POST", &path)
            }
            _ => {
                job_id = world.submit(by, &photo_id).await?;
                let path = format!("/api/v1/processing/jobs/{job_id}");
                match self {
                    Self::CancelJob => Request::empty("POST", &format!("{path}/cancel")),
                    Self::DeleteJob => Request::empty("DELETE", &path),
                    _ => {
                        world.until_idle().await?;
                        Request::empty("POST", &format!("{path}/reprocess")).with_key(&key)
                    }
                }
            }
        };
        Ok(Prepared {
            photo_id,
            job_id,
            ..Prepared::about(request.by(access), by.clone())
        })
    }

    /// What is half done, if anything is. Whether it was done is the server's business.
    pub(super) async fn ask_after(
        self,
        world: &mut World,
        prepared: &Prepared,
    ) -> anyhow::Result<Option<String>> {
        // What has begun may go on without its client.
        tokio::time::sleep(AFTERWARDS).await;
        let account = &prepared.account;
        let access = Some(account.access.as_str());
        match self {
            Self::Register => {
                if world.sign_in(&account.email, PASSWORD).await?.is_none() {
                    let credentials = json!({"email": account.email, "password": PASSWORD});
                    world
                        .must("POST", "/auth/register", None, &credentials)
                        .await?;
                }
            }
            Self::ChangePassword => {
                let old = world.sign_in(&account.email, PASSWORD).await?.is_some();
                let new = world.sign_in(&account.email, NEW_PASSWORD).await?.is_some();
                if old == new {
                    return Ok(Some(format!("old password works: {old}, new one: {new}")));
                }
            }
            Self::DeleteAccount => {
                let me = world.ask("GET", "/users/me", access, &Value::Null).await?;
                if me.status == 200 {
                    let photos = world.must("GET", "/photos", access, &Value::Null).await?;
                    if photos.body["total"] != 1 {
                        return Ok(Some("an account is there without its photo".to_owned()));
                    }
                }
            }
            // A refresh token whose answer was lost is given again; see the grace.
            Self::Refresh => {
                let again = prepared.request.send(&world.address).await?;
                if again != 200 {
                    return Ok(Some(format!("the refresh token is lost: {again}")));
                }
            }
            Self::Put | Self::Confirm => return ask_after_upload(world, prepared).await,
            Self::Submit | Self::Batch | Self::Reprocess => {
                let again = prepared.request.send(&world.address).await?;
                if again != 201 {
                    return Ok(Some(format!("asking again with the same key: {again}")));
                }
            }
            Self::DeletePhoto => {
                let path = format!("/photos/{}", prepared.photo_id);
                let answer = world.ask("GET", &path, access, &Value::Null).await?;
                if !matches!(answer.status, 200 | 404) {
                    return Ok(Some(format!("a photo answers {}", answer.status)));
                }
            }
            Self::CancelJob | Self::DeleteJob => {
                let path = format!("/processing/jobs/{}", prepared.job_id);
                let answer = world.ask("GET", &path, access, &Value::Null).await?;
                if !matches!(answer.status, 200 | 404) {
                    return Ok(Some(format!("a job answers {}", answer.status)));
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

/// The upload can be finished, wherever it broke off.
async fn ask_after_upload(
    world: &mut World,
    prepared: &Prepared,
) -> anyhow::Result<Option<String>> {
    let access = Some(prepared.account.access.as_str());
    let path = format!("/photos/{}/confirm", prepared.photo_id);
    let mut answer = world.ask("POST", &path, access, &Value::Null).await?;
    if answer.status == 409 {
        let put = world.put(&prepared.upload_path).await?;
        if put != 200 {
            return Ok(Some(format!("uploading again: {put}")));
        }
        answer = world.ask("POST", &path, access, &Value::Null).await?;
    }
    let is_there = answer.status == 200;
    Ok((!is_there).then(|| format!("confirming again: {} {}", answer.status, answer.body)))
}

impl Prepared {
    fn about(request: Request, account: Account) -> Self {
        Self {
            request,
            account,
            photo_id: String::new(),
            job_id: String::new(),
            upload_path: String::new(),
        }
    }
}
