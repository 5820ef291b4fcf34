//! Sends a photo, shows the work live, and saves the picture:
//!
//! ```sh
//! cargo run -p irisflow-client --example process_photo -- http://localhost:8080 you@example.com Clear-Iris-7 eye.jpg iris.jpg
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it receives")]

use std::path::Path;

use irisflow_client::{Client, PictureOptions, Update};

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, email, password, source, target] = arguments.as_slice() else {
        return Err("usage: process_photo SERVER EMAIL PASSWORD PHOTO PICTURE".into());
    };
    let client = Client::new(server)?;
    client.sign_in(email, password).await?;
    process(&client, Path::new(source), Path::new(target)).await
}

async fn process(client: &Client, source: &Path, target: &Path) -> Result<(), Failure> {
    let photo = client
        .upload(std::fs::read(source)?.into(), |_sent| {})
        .await?;
    let job = client.submit(&photo.id, PictureOptions::default()).await?;
    let mut watch = client.watch(&job.job_id);
    while let Some(update) = watch.next().await {
        match update? {
            Update::Frame(frame) => println!("{:3} % {}", frame.progress, frame.step),
            Update::Lost { reason, wait } => println!("reconnecting in {wait:?}: {reason}"),
        }
    }
    let job = client.job(&job.job_id).await?;
    let url = job
        .result_url
        .ok_or_else(|| job.error_message.unwrap_or_default())?;
    client.download(&url, target).await?;
    println!("saved {}", target.display());
    Ok(())
}
