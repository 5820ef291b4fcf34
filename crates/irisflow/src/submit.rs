//! `irisflow submit`: processes photos on a server: uploads, submits in batches, follows every job, downloads the
//! results. Ctrl-C leaves the jobs running and prints the command that resumes watching.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use irisflow_client::{
    BATCH_LIMIT, Background, Batch, Client, ClientError, JobId, Outline, PhotoId, PictureOptions,
    PictureSize, Preset,
};
use irisflow_image::finish::ResultSize;
use irisflow_messages::{Language, text};

use crate::account::AccountArgs;
use crate::exit_code::Outcome;
use crate::follow_job::{follow, rejected_upload_report, write_report};
use crate::output_names::{OutputNames, OutputNaming};
use crate::picture_args::{BackgroundArg, OutlineArg, PictureArgs, PresetArg};
use crate::progress_bars::{Bars, PhotoBar};

/// Turn photos of eyes into pictures of their irises, on a server.
///
/// Uploads the photos, submits them as batches, shows each job's progress, and downloads NAME.jpg (the
/// iris), NAME_mask.png, NAME_before.jpg and NAME.json for each photo, as `irisflow process` writes
/// them. Where no outline is chosen and both can be made, the second comes as NAME_visible.jpg. Ctrl-C leaves the jobs running; `irisflow watch` comes back to them.
///
/// Exit status: 0 when every photo was completed, 1 when some were rejected, 2 for a wrong command
/// line, 3 when something failed, 130 when interrupted.
#[derive(Debug, clap::Args)]
pub(crate) struct SubmitArgs {
    /// Photos to submit.
    #[arg(required = true, value_name = "PHOTO")]
    photos: Vec<PathBuf>,

    /// Folder for the results; made when it does not exist.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,

    #[command(flatten)]
    picture: PictureArgs,

    #[command(flatten)]
    account: AccountArgs,
}

const UPLOADS_AT_ONCE: usize = 3;
const WATCHED_AT_ONCE: usize = 16;
/// No server accepts larger photos; they are not even read into memory.
const MAX_PHOTO_BYTES: u64 = 1 << 30;
/// How long Ctrl-C waits for the response of a submit in progress.
const SUBMIT_TIMEOUT_AT_EXIT: Duration = Duration::from_secs(5);

pub(crate) fn run(args: SubmitArgs) -> anyhow::Result<ExitCode> {
    crate::in_runtime(submit(args))
}

async fn submit(args: SubmitArgs) -> anyhow::Result<ExitCode> {
    fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make the folder {}", args.out.display()))?;
    let client = args.account.sign_in().await?;
    let run = Arc::new(Run {
        client,
        options: options_of(args.picture),
        bars: Bars::new(),
        unfinished: Mutex::default(),
        submitting: tokio::sync::Mutex::default(),
    });
    let mut naming = OutputNaming::new(&args.out, &args.photos);
    let photos = args.photos.into_iter();
    let photos = photos
        .map(|path| (naming.names_for(&path), path))
        .collect::<Vec<_>>();
    tokio::select! {
        outcome = run.all(photos) => Ok(outcome.into()),
        pressed = tokio::signal::ctrl_c() => {
            pressed.context("listening for Ctrl-C")?;
            // The jobs of a submit in progress may exist already: wait for their ids.
            let _ = tokio::time::timeout(SUBMIT_TIMEOUT_AT_EXIT, run.submitting.lock()).await;
            run.print_watch_command(&args.account.server, &args.out);
            Ok(Outcome::Interrupted.into())
        }
    }
}

fn options_of(picture: PictureArgs) -> PictureOptions {
    PictureOptions {
        outline: picture.outline.map(|outline| match outline {
            OutlineArg::Round => Outline::Round,
            OutlineArg::Visible => Outline::Visible,
        }),
        size: Some(match picture.size {
            ResultSize::Pixels(pixels) => PictureSize::Pixels(pixels),
            ResultSize::Auto => PictureSize::Auto,
        }),
        background: Some(match picture.background {
            BackgroundArg::Black => Background::Black,
            BackgroundArg::White => Background::White,
            BackgroundArg::Transparent => Background::Transparent,
            BackgroundArg::Photo => Background::Photo,
        }),
        preset: Some(match picture.preset {
            PresetArg::Natural => Preset::Natural,
            PresetArg::Vivid => Preset::Vivid,
        }),
    }
}

/// One run of the command.
struct Run {
    client: Client,
    options: PictureOptions,
    bars: Bars,
    /// Jobs that are submitted and have not ended.
    unfinished: Mutex<Vec<JobId>>,
    /// Locked while a batch is being submitted.
    submitting: tokio::sync::Mutex<()>,
}

/// A photo with its output names, progress bar and state.
struct PhotoTask {
    names: OutputNames,
    bar: Arc<PhotoBar>,
    state: PhotoState,
}

/// The state of a photo.
enum PhotoState {
    Uploaded(PhotoId),
    Submitted(JobId),
    Ended(Outcome),
}

impl Run {
    /// Pipelined: later photos are uploaded while jobs of earlier ones run.
    async fn all(self: &Arc<Self>, photos: Vec<(OutputNames, PathBuf)>) -> Outcome {
        let mut batches = Vec::new();
        let mut photos = photos.into_iter().peekable();
        while photos.peek().is_some() {
            batches.push(photos.by_ref().take(BATCH_LIMIT).collect::<Vec<_>>());
        }
        stream::iter(batches)
            .then(async |batch| stream::iter(self.upload_and_submit(batch).await))
            .flatten()
            .map(async |task| self.finish(task).await)
            .buffer_unordered(WATCHED_AT_ONCE)
            .fold(Outcome::Completed, async |worst, outcome| {
                worst.max(outcome)
            })
            .await
    }

    async fn upload_and_submit(
        self: &Arc<Self>,
        photos: Vec<(OutputNames, PathBuf)>,
    ) -> Vec<PhotoTask> {
        let uploads =
            stream::iter(photos).map(async |(names, path)| self.upload(names, &path).await);
        let mut tasks: Vec<PhotoTask> = uploads.buffered(UPLOADS_AT_ONCE).collect().await;
        let photo_ids: Vec<PhotoId> = tasks
            .iter()
            .filter_map(|task| match &task.state {
                PhotoState::Uploaded(photo_id) => Some(photo_id.clone()),
                PhotoState::Submitted(_) | PhotoState::Ended(_) => None,
            })
            .collect();
        if photo_ids.is_empty() {
            return tasks;
        }
        // Spawned, so that Ctrl-C does not cancel it and lose the ids of jobs that were just created.
        let run = Arc::clone(self);
        let submitted = tokio::spawn(async move { run.submit(&photo_ids).await }).await;
        let submitted = submitted.context("submitting").flatten();
        for task in &mut tasks {
            task.apply_submit(submitted.as_ref());
        }
        tasks
    }

    async fn upload(&self, names: OutputNames, path: &Path) -> PhotoTask {
        let bar = Arc::new(self.bars.photo(&path.display().to_string()));
        let state = match self.try_upload(path, &names, &bar).await {
            Ok(state) => state,
            Err(error) => {
                bar.fail(format!("{error:#}"));
                PhotoState::Ended(Outcome::Failed)
            }
        };
        PhotoTask { names, bar, state }
    }

    async fn try_upload(
        &self,
        path: &Path,
        names: &OutputNames,
        bar: &Arc<PhotoBar>,
    ) -> anyhow::Result<PhotoState> {
        let photo = read_photo(path).await?;
        let total = photo.len() as u64;
        let shown = Arc::clone(bar);
        let sent = move |sent| shown.show_upload(sent, total);
        match self.client.upload(photo, sent).await {
            Ok(photo) => {
                bar.show_uploaded();
                Ok(PhotoState::Uploaded(photo.id))
            }
            Err(error) if is_rejection(&error) => {
                write_report(names, &rejected_upload_report(&error))?;
                bar.end(&advice(&error));
                Ok(PhotoState::Ended(Outcome::Rejected))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn submit(&self, photo_ids: &[PhotoId]) -> anyhow::Result<Vec<Batch>> {
        let _held = self.submitting.lock().await;
        let mut batches = Vec::new();
        let mut answers = std::pin::pin!(self.client.submit_batches(photo_ids, self.options));
        while let Some(batch) = answers.next().await {
            let batch = batch?;
            let job_ids = batch.jobs.iter().map(|job| job.job_id.clone());
            self.unfinished().extend(job_ids);
            batches.push(batch);
        }
        Ok(batches)
    }

    async fn finish(&self, task: PhotoTask) -> Outcome {
        let PhotoTask { names, bar, state } = task;
        match state {
            PhotoState::Ended(outcome) => outcome,
            PhotoState::Submitted(job_id) => {
                let outcome = follow(&self.client, &job_id, Some(&names), &bar, &self.bars).await;
                self.unfinished().retain(|unfinished| *unfinished != job_id);
                outcome
            }
            PhotoState::Uploaded(_) => {
                bar.fail(text!("cli-not-in-batch").in_language(Language::PROGRAM));
                Outcome::Failed
            }
        }
    }

    fn print_watch_command(&self, server: &str, out: &Path) {
        let unfinished = self.unfinished();
        if unfinished.is_empty() {
            self.bars.print_line(&text!("cli-interrupted-all-finished"));
            return;
        }
        let ids: Vec<&str> = unfinished.iter().map(JobId::as_str).collect();
        let (count, ids) = (ids.len(), ids.join(" "));
        let out = out.display();
        self.bars.print_line(&text!(
            "cli-interrupted-unfinished",
            count = count,
            command = format!("irisflow watch --server {server} --out {out} {ids}"),
        ));
    }

    fn unfinished(&self) -> std::sync::MutexGuard<'_, Vec<JobId>> {
        self.unfinished
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl PhotoTask {
    /// Sets the state from the result of the submit.
    fn apply_submit(&mut self, submitted: Result<&Vec<Batch>, &anyhow::Error>) {
        let PhotoState::Uploaded(photo_id) = &self.state else {
            return;
        };
        match submitted {
            Ok(batches) => {
                let jobs = batches.iter().flat_map(|batch| &batch.jobs);
                let job = jobs.into_iter().find(|job| job.photo_id == *photo_id);
                if let Some(job) = job {
                    self.state = PhotoState::Submitted(job.job_id.clone());
                }
            }
            Err(error) => {
                self.bar.fail(format!("{error:#}"));
                self.state = PhotoState::Ended(Outcome::Failed);
            }
        }
    }
}

async fn read_photo(path: &Path) -> anyhow::Result<Bytes> {
    let cannot = || format!("cannot read {}", path.display());
    let size = tokio::fs::metadata(path).await.with_context(cannot)?.len();
    if size > MAX_PHOTO_BYTES {
        bail!("{} is too large for a photo", path.display());
    }
    Ok(tokio::fs::read(path).await.with_context(cannot)?.into())
}

/// Whether the server rejected the photo itself.
fn is_rejection(error: &ClientError) -> bool {
    matches!(error.status(), Some(400 | 413 | 415))
}

fn advice(error: &ClientError) -> String {
    match error.suggestion() {
        Some(suggestion) => format!("{error} {suggestion}"),
        None => error.to_string(),
    }
}
