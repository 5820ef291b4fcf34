//! Follows one job on a server: updates its progress bar, downloads its files and writes its report.

use anyhow::Context as _;
use irisflow_client::{Client, ClientError, JobId, JobStatus, Status, Update};
use irisflow_image::coverage::Outline;
use irisflow_image::finish::Background;
use irisflow_messages::{Language, progress, text};
use serde_json::{Value, json};

use crate::atomic_file::write_atomically;
use crate::exit_code::Outcome;
use crate::output_names::OutputNames;
use crate::progress_bars::{Bars, PhotoBar};

/// Watches the job until it ends and, if `names` are given, writes its files. An error is shown on the
/// progress bar.
pub(crate) async fn follow(
    client: &Client,
    job_id: &JobId,
    names: Option<&OutputNames>,
    bar: &PhotoBar,
    bars: &Bars,
) -> Outcome {
    let followed = try_follow(client, job_id, names, bar, bars).await;
    followed.unwrap_or_else(|error| {
        bar.fail(format!("{error:#}"));
        Outcome::Failed
    })
}

async fn try_follow(
    client: &Client,
    job_id: &JobId,
    names: Option<&OutputNames>,
    bar: &PhotoBar,
    bars: &Bars,
) -> anyhow::Result<Outcome> {
    let mut watch = client.watch(job_id);
    while let Some(update) = watch.next().await {
        match update? {
            Update::Frame(frame) => bar.show_frame(&frame),
            Update::Lost { reason, wait } => bar.show_reconnecting(&reason, wait),
        }
    }
    let job = client.job(job_id).await?;
    finish(client, &job, names, bar, bars).await
}

/// Writes the files of a job that has ended, if `names` are given, and shows its outcome.
pub(crate) async fn finish(
    client: &Client,
    job: &JobStatus,
    names: Option<&OutputNames>,
    bar: &PhotoBar,
    bars: &Bars,
) -> anyhow::Result<Outcome> {
    if let Some(names) = names {
        download(client, job, names).await?;
        write_report(names, &report(job))?;
        if let (Status::Completed, Some(url)) = (job.status, &job.result_url) {
            bars.print_result(&names.result_on(background_of(url)));
        }
    }
    Ok(show_outcome(job, bar))
}

fn show_outcome(job: &JobStatus, bar: &PhotoBar) -> Outcome {
    match job.status {
        Status::Completed => {
            bar.end(&progress::completed().in_language(Language::PROGRAM));
            Outcome::Completed
        }
        Status::Cancelled => {
            bar.end(&text!("cli-cancelled").in_language(Language::PROGRAM));
            Outcome::Failed
        }
        Status::Failed | Status::Pending | Status::Processing | Status::Unknown => {
            let sentences = [&job.error_message, &job.suggestion];
            let sentences: Vec<&str> = sentences
                .into_iter()
                .flatten()
                .map(String::as_str)
                .collect();
            bar.end(&sentences.join(" "));
            if is_rejection(job) {
                Outcome::Rejected
            } else {
                Outcome::Failed
            }
        }
    }
}

/// Whether the photo was rejected, so that a better photo helps.
fn is_rejection(job: &JobStatus) -> bool {
    job.error_type.as_deref() == Some("quality_issue")
}

async fn download(
    client: &Client,
    job: &JobStatus,
    names: &OutputNames,
) -> Result<(), ClientError> {
    if let Some(other) = &job.alternative {
        let outline = match other.outline {
            irisflow_client::Outline::Round => Outline::Round,
            irisflow_client::Outline::Visible => Outline::Visible,
        };
        let picture = names.result_of(outline, background_of(&other.result_url));
        client
            .download(&other.mask_url, &names.mask_of(outline))
            .await?;
        client.download(&other.result_url, &picture).await?;
    }
    if let Some(url) = &job.before_url {
        client.download(url, &names.before()).await?;
    }
    if let Some(url) = &job.mask_url {
        client.download(url, &names.mask()).await?;
    }
    if let Some(url) = &job.result_url {
        let picture = names.result_on(background_of(url));
        client.download(url, &picture).await?;
    }
    Ok(())
}

/// Only pictures on a transparent background are PNGs.
fn background_of(picture_url: &str) -> Background {
    let path = picture_url.split('?').next().unwrap_or_default();
    match path.ends_with(".png") {
        true => Background::Transparent,
        false => Background::Black,
    }
}

fn report(job: &JobStatus) -> Value {
    let ids = json!({ "job_id": job.job_id, "photo_id": job.photo_id });
    let measured = job.error_measured.as_ref();
    let report = match job.status {
        Status::Completed => json!({
            "status": "completed",
            "rejection": null,
            "result": { "width": job.result_width, "height": job.result_height },
            "quality": job.quality,
            "quality_score": job.quality_score,
            "processing_time_ms": job.processing_time_ms,
        }),
        Status::Cancelled => json!({ "status": "cancelled", "rejection": null }),
        Status::Failed | Status::Pending | Status::Processing | Status::Unknown => json!({
            "status": if is_rejection(job) { "rejected" } else { "failed" },
            "rejection": {
                "code": job.error_code,
                "message": job.error_message,
                "suggestion": job.suggestion,
                "figure": measured.map(|measured| measured.figure.as_str()),
                "value": measured.map(|measured| measured.value),
                "threshold": measured.map(|measured| measured.threshold),
            },
        }),
    };
    merged(report, ids)
}

/// The report of a photo that the server rejected at the upload.
pub(crate) fn rejected_upload_report(error: &ClientError) -> Value {
    json!({
        "status": "rejected",
        "rejection": {
            "code": error.code(),
            "message": error.to_string(),
            "suggestion": error.suggestion(),
        },
    })
}

/// Writes the report. It must be the last file written, so that its presence means that all files exist.
pub(crate) fn write_report(names: &OutputNames, report: &Value) -> anyhow::Result<()> {
    let target = names.report();
    write_atomically(&target, format!("{report:#}\n").as_bytes())
        .with_context(|| format!("cannot write {}", target.display()))
}

fn merged(mut object: Value, more: Value) -> Value {
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
    object
}
