//! `irisflow watch`: resumes watching jobs on a server, or cancels them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use futures_util::{StreamExt as _, stream};
use irisflow_client::{Client, JobId};
use irisflow_messages::text;

use crate::account::AccountArgs;
use crate::exit_code::Outcome;
use crate::follow_job::follow;
use crate::follow_timeline::follow_timeline;
use crate::output_names::{OutputNames, OutputNaming};
use crate::progress_bars::Bars;

/// Watch jobs on a server to their end and, with --out, download what they made.
///
/// Without jobs, all jobs of the account are followed, also new ones, until Ctrl-C. Files are named after the job: JOB.jpg, JOB_mask.png, JOB_before.jpg, JOB.json. Ctrl-C leaves the
/// jobs running. Exit status as of `irisflow submit`; a cancelled job counts as failed.
#[derive(Debug, clap::Args)]
pub(crate) struct WatchArgs {
    /// The jobs. Without any, all jobs of the account are followed.
    #[arg(value_name = "JOB")]
    jobs: Vec<String>,

    /// Folder for the results; made when it does not exist. Without it nothing is downloaded.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Cancel them; one that has ended stays as it is.
    #[arg(long, requires = "jobs")]
    cancel: bool,

    #[command(flatten)]
    account: AccountArgs,
}

const WATCHED_AT_ONCE: usize = 16;

pub(crate) fn run(args: WatchArgs) -> anyhow::Result<ExitCode> {
    crate::in_runtime(watch(args))
}

async fn watch(args: WatchArgs) -> anyhow::Result<ExitCode> {
    if let Some(out) = &args.out {
        fs::create_dir_all(out)
            .with_context(|| format!("cannot make the folder {}", out.display()))?;
    }
    let client = args.account.sign_in().await?;
    let bars = Bars::new();
    if args.jobs.is_empty() {
        let followed = follow_timeline(&client, args.out.as_deref(), &bars);
        return until_interrupted(followed, &bars).await;
    }
    let mut naming = args.out.as_deref().map(|out| OutputNaming::new(out, &[]));
    let jobs = args.jobs.into_iter().map(|job| {
        let names = naming
            .as_mut()
            .map(|naming| naming.names_for(Path::new(&job)));
        (JobId::from(job), names)
    });
    let jobs: Vec<(JobId, Option<OutputNames>)> = jobs.collect();
    if args.cancel {
        for (job_id, _) in &jobs {
            client.cancel(job_id).await?;
        }
    }
    until_interrupted(follow_all(&client, jobs, &bars), &bars).await
}

async fn until_interrupted(
    followed: impl Future<Output = Outcome>,
    bars: &Bars,
) -> anyhow::Result<ExitCode> {
    tokio::select! {
        outcome = followed => Ok(outcome.into()),
        pressed = tokio::signal::ctrl_c() => {
            pressed.context("listening for Ctrl-C")?;
            bars.print_line(&text!("cli-interrupted-watching"));
            Ok(Outcome::Interrupted.into())
        }
    }
}

async fn follow_all(
    client: &Client,
    jobs: Vec<(JobId, Option<OutputNames>)>,
    bars: &Bars,
) -> Outcome {
    stream::iter(jobs)
        .map(async |(job_id, names)| {
            let bar = bars.photo(job_id.as_str());
            follow(client, &job_id, names.as_ref(), &bar, bars).await
        })
        .buffer_unordered(WATCHED_AT_ONCE)
        .fold(Outcome::Completed, async |worst, outcome| {
            worst.max(outcome)
        })
        .await
}
