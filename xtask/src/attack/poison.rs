//! Photos that are none, or that are made to burst whoever opens them.

use reqwest::Method;

use super::Scene;
use super::account::Account;
use super::finding::Finding;
use super::photos::{boastful_jpeg, boastful_png, noisy_png};
use super::victim::Victim;

pub(super) async fn uploads(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let mut victim = Victim::start(scene, &["--workers", "1"]).await?;
    let account = Account::register(&victim.url, "owner").await?;
    let eye = scene.good_eye()?;
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
    let poison: [(&str, Vec<u8>); 11] = [
        ("nothing at all", Vec::new()),
        ("a text", b"Dear server, this is a photo.".to_vec()),
        ("HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec()),
        (
            "a PNG that says 100,000 x 100,000",
            boastful_png(100_000, 100_000),
        ),
        (
            "a PNG that says 2^31 x 2^31",
            boastful_png(0x7FFF_FFFF, 0x7FFF_FFFF),
        ),
        (
            "a JPEG that says 65,535 x 65,535",
            boastful_jpeg(&eye, u16::MAX, u16::MAX),
        ),
        ("half a PNG", cut_png),
        (
            "a gzip bomb's head",
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
    for (what, bytes) in poison {
        let request = account.request(Method::POST, "/photos");
        let answer = request
            .header("Content-Type", "image/jpeg")
            .body(bytes)
            .send()
            .await;
        let status = super::crowds::status_of(&answer);
        // Damage within the pixels is found out by the job.
        let harmless = status == 201 && what.ends_with("JPEG") || what.ends_with("bits");
        taken += usize::from(status == 201);
        if !(400..500).contains(&status) && !harmless {
            bad.push(format!("{what}: {status}"));
        }
    }
    let photos = account.get("/photos").await?;
    for photo in photos["items"].as_array().cloned().unwrap_or_default() {
        if let Some(id) = photo["id"].as_str() {
            // A refusal is as good as a job that fails.
            let _ = account.submit(id).await;
        }
    }
    account
        .until_idle(std::time::Duration::from_secs(30))
        .await?;
    let log = victim.recipe().log();
    Ok(vec![
        Finding::none(
            format!("answered other than 4xx {}", bad.join(", "))
                .trim()
                .to_owned(),
            bad.len(),
        ),
        Finding::note("taken, to be found out by a job", taken),
        Finding::none(
            "jobs that completed",
            account.count("completed").await?.saturating_sub(taken),
        ),
        Finding::none("panics in the log", log.matches("panicked").count()),
        Finding::that("the server lives", victim.is_alive()),
        Finding::at_most("peak memory, MB", victim.peak_memory_mb()?, 600.0),
    ])
}
