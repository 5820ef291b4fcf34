//! Malformed uploads: files that are not photos, truncated and corrupted photos, decompression bombs.

use reqwest::Method;

use super::AttackContext;
use super::measurement::Measurement;
use super::target_server::TargetServer;
use super::test_account::Account;
use super::test_photos::{jpeg_claiming_size, noisy_png, png_claiming_size};

pub(super) async fn uploads(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    let mut server = TargetServer::start(context, &["--workers", "1"]).await?;
    let account = Account::register(&server.url, "owner").await?;
    let eye = context.good_eye()?;
    let mut cut = eye.clone();
    cut.truncate(eye.len() / 2);
    let mut flipped = eye.clone();
    for (index, byte) in flipped.iter_mut().enumerate().skip(600) {
        if index % 97 == 0 {
            *byte ^= 0x55;
        }
    }
    let mut cut_png = noisy_png(3000)?;
    cut_png.truncate(100_000);
    let files: [(&str, Vec<u8>); 11] = [
        ("nothing at all", Vec::new()),
        ("a text", b"Dear server, this is a photo.".to_vec()),
        ("HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec()),
        (
            "a PNG claiming 100,000 x 100,000",
            png_claiming_size(100_000, 100_000),
        ),
        (
            "a PNG claiming 2^31 x 2^31",
            png_claiming_size(0x7FFF_FFFF, 0x7FFF_FFFF),
        ),
        (
            "a JPEG claiming 65,535 x 65,535",
            jpeg_claiming_size(&eye, u16::MAX, u16::MAX),
        ),
        ("half a PNG", cut_png),
        (
            "the head of a gzip bomb",
            vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3],
        ),
        (
            "an SVG with a script",
            b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>".to_vec(),
        ),
        ("half a JPEG", cut),
        ("a JPEG with flipped bits", flipped),
    ];
    let (mut bad, mut taken) = (Vec::new(), 0);
    for (what, bytes) in files {
        let request = account.request(Method::POST, "/photos");
        let answer = request
            .header("Content-Type", "image/jpeg")
            .body(bytes)
            .send()
            .await;
        let status = super::load::status_of(&answer);
        // Corrupt pixel data is detected only by the job.
        let harmless = status == 201 && what.ends_with("JPEG") || what.ends_with("bits");
        taken += usize::from(status == 201);
        if !(400..500).contains(&status) && !harmless {
            bad.push(format!("{what}: {status}"));
        }
    }
    let photos = account.get("/photos").await?;
    for photo in photos["items"].as_array().cloned().unwrap_or_default() {
        if let Some(id) = photo["id"].as_str() {
            // A rejected submit is as good as a failing job.
            let _ = account.submit(id).await;
        }
    }
    account
        .wait_until_idle(std::time::Duration::from_secs(30))
        .await?;
    let log = server.config().log();
    Ok(vec![
        Measurement::zero(
            format!("responses other than 4xx {}", bad.join(", "))
                .trim()
                .to_owned(),
            bad.len(),
        ),
        Measurement::info("accepted, to be rejected by a job", taken),
        Measurement::zero(
            "jobs that completed",
            account.count("completed").await?.saturating_sub(taken),
        ),
        Measurement::zero("panics in the log", log.matches("panicked").count()),
        Measurement::is_true("the server still runs", server.is_alive()),
        Measurement::at_most("peak memory, MB", server.peak_memory_mb()?, 600.0),
    ])
}
