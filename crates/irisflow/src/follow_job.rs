//! Following one job on a server: its bar, its end, its files.

use anyhow::Context as _;
use irisflow_client::{Client, ClientError, JobId, JobStatus, Status, Update};
use serde_json::{Value, json};

use crate::atomic_file::write_atomically;
use crate::exit_code::Outcome;
use crate::output_names::OutputNames;
use crate::progress_bars::{Bars, PhotoBar};

/// Watches the job to its end and, when there are names for them, writes its files. What goes wrong is
/// told on the bar.
pub(crate) async fn follow(
    client: &Client,
    job_id: &JobId,
    names: Option<&OutputNames>,
    bar: &PhotoBar,
    bars: &Bars,
) -> Outcome {
    let ended = try_follow(client, job_id, names, bar, bars).await;
    ended.unwrap_or_else(|error| {
        bar.end(&format!("error: {error:#}"));
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
            Update::Frame(frame) => bar.frame(&frame),
            Update::Lost { reason, wait } => bar.lost(&reason, wait),
        }
    }
    let job = client.job(job_id).await?;
    if let Some(names) = names {
        download(client, &job, names).await?;
        write_report(names, &report(&job))?;
        if job.status == Status::Completed {
            bars.announce(&names.result());
        }
    }
    Ok(end(&job, bar))
}

fn end(job: &JobStatus, bar: &PhotoBar) -> Outcome {
    match job.status {
        Status::Completed => {
            bar.end("Complete!");
            Outcome::Completed
        }
        Status::Cancelled => {
            bar.end("cancelled");
            Outcome::Failed
        }
        Status::Failed | Status::Pending | Status::Processing | Status::Unknown => {
            let said = [&job.error_message, &job.suggestion];
            let said: Vec<&str> = said.into_iter().flatten().map(String::as_str).collect();
            bar.end(&said.join(" "));
            if is_rejection(job) {
                Outcome::Rejected
            } else {
                Outcome::Failed
            }
        }
    }
}

/// Whether a better photo would help.
fn is_rejection(job: &JobStatus) -> bool {
    job.error_type.as_deref() == Some("quality_issue")
}

async fn download(
    client: &Client,
    job: &JobStatus,
    names: &OutputNames,
) -> Result<(), ClientError> {
    let files = [
        (&job.before_url, names.before()),
        (&job.mask_url, names.mask()),
        (&job.result_url, names.result()),
    ];
    for (link, target) in files {
        if let Some(link) = link {
            client.download(link, &target).await?;
        }
    }
    Ok(())
}

fn report(job: &JobStatus) -> Value {
    let ids = json!({ "job_id": job.job_id, "photo_id": job.photo_id });
    let measured = job.error_measured.as_ref();
    let told = match job.status {
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
    merged(told, ids)
}

/// The report of a photo that the server did not take in.
pub(crate) fn refusal_report(error: &ClientError) -> Value {
    json!({
        "status": "rejected",
        "rejection": {
            "code": error.code(),
            "message": error.to_string(),
            "suggestion": error.suggestion(),
        },
    })
}

/// The report is written last, so that whoever finds it finds everything.
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
