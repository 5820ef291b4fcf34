//! `POST /photos/{id}/check`: checks a photo without a job.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use irisflow_image::check::{Checked, check_photo};
use irisflow_image::geometry::QuarterTurn;
use irisflow_image::geometry::{Ellipse, Polyline};
use irisflow_image::rejection::Rejection;
use irisflow_image::segment::Quality;
use irisflow_jobs::{PhotoId, StoredPhoto};
use irisflow_messages::{Language, Text, photos};
use serde::Serialize;
use utoipa::ToSchema;

use super::photo_body::key_of;
use crate::app::App;
use crate::auth::CurrentUser;
use crate::error::{ApiError, ErrorBody, Missing, ValidationBody};
use crate::extractors::PathId;
use crate::processing::submit::check_usable;
use crate::quality::QualityBody;

/// The verdict on a photo. All coordinates are in pixels of the upright photo.
#[derive(Serialize, ToSchema)]
pub(crate) struct CheckBody {
    /// Whether processing would accept the photo.
    usable: bool,
    /// Number of detected eyes, usable or not.
    eyes_seen: usize,
    /// Text for the user: why the photo cannot be used, or how good it is.
    #[schema(example = "A beautiful, sharp photo.")]
    message: String,
    /// One thing to do; null when the photo needs no improvement.
    suggestion: Option<String>,
    /// Null for a usable photo.
    rejection: Option<RejectionBody>,
    /// Quality figures of the best iris.
    #[schema(value_type = Option<QualityBody>)]
    quality: Option<serde_json::Value>,
    /// 0 (unusable) to 100 (best): the geometric mean of the scores of the single figures.
    quality_score: Option<u8>,
    /// Confidence that an iris was found and measured correctly, 0 to 1.
    confidence: Option<f32>,
    photo: Option<SizeBody>,
    /// Outer border (limbus) of the best iris, also when it is not good enough.
    iris: Option<EllipseBody>,
    pupil: Option<EllipseBody>,
    /// Margin of the lid from left to right, as `[x, y]` points; empty when it is not near the iris.
    upper_lid: Vec<[f32; 2]>,
    lower_lid: Vec<[f32; 2]>,
    /// How the photo lies on its side: `clockwise` or `counterclockwise`, the turn after which its eye is upright.
    /// Null for an upright one. A job turns it; all places here are those in the photo as it is.
    turn: Option<&'static str>,
    checked_in_ms: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RejectionBody {
    #[schema(example = "too_blurry")]
    code: &'static str,
    message: String,
    suggestion: String,
    /// Stable name of the measured figure; null when the reason is not a figure.
    #[schema(example = "sharpness")]
    figure: Option<&'static str>,
    value: Option<f64>,
    /// The limit that the value missed.
    threshold: Option<f64>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SizeBody {
    width: u32,
    height: u32,
}

/// Centre, semi-axes, and the clockwise rotation of the first semi-axis in degrees.
#[derive(Serialize, ToSchema)]
pub(crate) struct EllipseBody {
    cx: f32,
    cy: f32,
    rx: f32,
    ry: f32,
    angle_deg: f32,
}

/// Check a photo without a job: whether it can be used or why not, where the iris is, and its quality.
#[utoipa::path(post, path = "/photos/{id}/check", tag = "photos", security(("bearer" = [])),
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "The verdict, also on a photo that cannot be used", body = CheckBody),
        (status = 401, body = ErrorBody),
        (status = 403, description = "`consent_required`", body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, description = "`photo_not_uploaded`: not confirmed yet", body = ErrorBody),
        (status = 410, description = "`photo_expired`", body = ErrorBody),
        (status = 422, body = ValidationBody),
        (status = 503, description = "`busy`; `Retry-After` says when to ask again", body = ErrorBody),
    ))]
pub(crate) async fn check(
    State(app): State<App>,
    user: CurrentUser,
    PathId(photo_id): PathId<PhotoId>,
) -> Result<Json<CheckBody>, ApiError> {
    app.check_consent(&user).await?;
    let photo = app.parts.photos.photo(user.id(), photo_id).await?;
    let photo = photo.ok_or(ApiError::NotFound(Missing::Photo))?;
    check_usable(&photo)?;
    let (files, limits) = (Arc::clone(&app.parts.files), app.settings.photo_limits);
    let (key, stored) = (key_of(&photo), photo.stored.as_ref());
    let memory_bytes = stored.map_or(0, StoredPhoto::memory_bytes);
    let check = async move {
        let started_at = Instant::now();
        let bytes = files.get(&key).await?;
        // The photo was deleted in the meantime.
        let bytes = bytes.ok_or(ApiError::NotFound(Missing::Photo))?;
        let checked = tokio::task::spawn_blocking(move || check_photo(&bytes, &limits)).await?;
        let checked_in_ms = u64::try_from(started_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok::<_, ApiError>(CheckBody::of(&checked, checked_in_ms))
    };
    Ok(Json(
        app.decoding
            .decode(user.id(), memory_bytes, check)
            .await??,
    ))
}

impl CheckBody {
    fn of(checked: &Checked, checked_in_ms: u64) -> Self {
        let verdict = &checked.verdict;
        let iris = verdict.iris.as_ref();
        Self {
            usable: verdict.rejection.is_none(),
            eyes_seen: verdict.eyes_seen,
            message: photos::headline(verdict).map(said).unwrap_or_default(),
            suggestion: photos::tip(verdict).map(said),
            rejection: verdict.rejection.as_ref().map(RejectionBody::from),
            quality: iris.map(|iris| named(&iris.quality)),
            quality_score: iris.map(|iris| iris.quality.score()),
            confidence: iris.map(|iris| iris.confidence),
            photo: checked
                .photo_size
                .map(|(width, height)| SizeBody { width, height }),
            iris: iris.map(|iris| EllipseBody::from(&iris.iris)),
            pupil: iris.map(|iris| EllipseBody::from(&iris.pupil)),
            upper_lid: iris.map_or_else(Vec::new, |iris| points(&iris.upper_lid)),
            lower_lid: iris.map_or_else(Vec::new, |iris| points(&iris.lower_lid)),
            turn: checked.turn.map(QuarterTurn::as_str),
            checked_in_ms,
        }
    }
}

fn said(text: Text) -> String {
    text.in_language(Language::PROGRAM)
}

impl From<&Rejection> for RejectionBody {
    fn from(rejection: &Rejection) -> Self {
        let advice = photos::rejection(rejection);
        let missed = rejection.missed_limit();
        Self {
            code: rejection.code().as_str(),
            message: said(advice.message),
            suggestion: said(advice.suggestion),
            figure: missed.map(|missed| missed.figure),
            value: missed.map(|missed| missed.value),
            threshold: missed.map(|missed| missed.threshold),
        }
    }
}

impl From<&Ellipse> for EllipseBody {
    fn from(ellipse: &Ellipse) -> Self {
        Self {
            cx: ellipse.cx,
            cy: ellipse.cy,
            rx: ellipse.rx,
            ry: ellipse.ry,
            angle_deg: ellipse.angle_deg,
        }
    }
}

fn named(quality: &Quality) -> serde_json::Value {
    let figures = quality.named().into_iter();
    figures
        .map(|(name, value)| (name.to_owned(), serde_json::json!(value)))
        .collect()
}

fn points(line: &Polyline) -> Vec<[f32; 2]> {
    line.iter().map(|&(x, y)| [x, y]).collect()
}
