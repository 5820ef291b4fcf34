//! One photo to its pictures, step by step, beside three programs in Python and OpenCV
//! (`xtask/baselines/iris_picture.py`), all in the same run. Processor time on one pinned core, wall time on
//! two, peak memory: each program runs as a process of its own, and the least of its runs counts.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use irisflow_image::check::check_photo;
use irisflow_image::geometry::{Ellipse, PixelRect};
use irisflow_image::load::{Limits, load_photo};
use irisflow_image::pipeline::{self, ProcessOptions, Stage, StageMark};
use irisflow_image::segment::{PhotoPixels as _, segment_iris};
use irisflow_image::threads::Threads;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::camera_jpeg::camera_jpeg;

const STEPS: [&str; 5] = [
    "decode",
    "find and cut out",
    "reflections",
    "enhance",
    "save",
];
const SIZES: [(u32, u16, u16); 3] = [(12, 4032, 3024), (24, 5664, 4248), (48, 8064, 6048)];
/// Iris radius in shares of the photo's height: as large as fits, and of an eye whose corners are a third of
/// the photo apart (an eye is about five iris radii wide).
const FRAMINGS: [(&str, f32); 2] = [
    ("iris filling the frame", 0.46),
    ("eye in the middle third", 0.0926),
];

#[derive(Debug, clap::Args)]
pub(super) struct ImageArgs {
    /// A Python with opencv-python-headless and numpy; without one only our own figures are printed
    #[arg(long)]
    python: Option<PathBuf>,
    /// How often each is done, after once that does not count
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Only photos of so many megapixels: 12, 24 or 48
    #[arg(long)]
    megapixels: Option<u32>,
    /// With libjpeg-turbo, which takes cmake and nasm to build
    #[arg(long)]
    pub(super) turbo: bool,
}

/// One program's share of a bench: called by the bench itself, in a process of its own.
#[derive(Debug, clap::Args)]
pub(super) struct ImageRunArgs {
    photo: PathBuf,
    #[arg(long)]
    runs: usize,
    #[arg(long)]
    threads: usize,
    /// The verdict alone
    #[arg(long)]
    verdict: bool,
}

/// What each program prints about itself.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Figures {
    steps_ms: [f64; 5],
    cpu_ms: f64,
    wall_ms: f64,
    peak_mb: f64,
}

pub(super) fn run(arguments: &ImageArgs, root: &Path) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let source = root.join("crates/irisflow-image/tests/photos/pixabay_eye_2154384.jpg");
    let source = std::fs::read(&source).with_context(|| source.display().to_string())?;
    let wanted = |megapixels| arguments.megapixels.is_none_or(|only| only == megapixels);
    for (megapixels, width, height) in SIZES.into_iter().filter(|size| wanted(size.0)) {
        for (framing, radius) in FRAMINGS {
            let iris_radius = radius * f32::from(height);
            let photo = framed(&source, (width, height), iris_radius)?;
            let path = folder.path().join("photo.jpg");
            std::fs::write(&path, &photo)?;
            println!(
                "\n**{megapixels} MP, {framing}** ({width} x {height}, {} bytes, iris radius {iris_radius:.0} px)\n",
                photo.len()
            );
            let circle = [f32::from(width) / 2.0, f32::from(height) / 2.0, iris_radius];
            compare(arguments, root, &path, circle)?;
            print_verdict(arguments, &path, framing)?;
        }
        let no_eye = root.join("crates/irisflow-image/tests/photos/mdn_teddy-bear.jpg");
        let no_eye = std::fs::read(&no_eye).with_context(|| no_eye.display().to_string())?;
        let path = folder.path().join("no_eye.jpg");
        std::fs::write(&path, filling(&no_eye, (width, height))?)?;
        print_verdict(arguments, &path, "no eye")?;
    }
    Ok(())
}

fn print_verdict(arguments: &ImageArgs, photo: &Path, what: &str) -> anyhow::Result<()> {
    let verdict = ours(photo, arguments.runs, Cores::One, &["--verdict"])?;
    println!(
        "\nthe verdict alone, {what}: {:.0} ms of processor time, {:.0} MB",
        verdict.cpu_ms, verdict.peak_mb
    );
    Ok(())
}

fn compare(
    arguments: &ImageArgs,
    root: &Path,
    photo: &Path,
    circle: [f32; 3],
) -> anyhow::Result<()> {
    let mut columns = vec![(
        "ours",
        ours(photo, arguments.runs, Cores::One, &[])?,
        ours(photo, arguments.runs, Cores::Two, &[])?,
    )];
    if let Some(python) = &arguments.python {
        for kind in ["naive", "tuned", "floor"] {
            let on = |cores| in_python(python, root, kind, photo, circle, arguments.runs, cores);
            columns.push((kind, on(Cores::One)?, on(Cores::Two)?));
        }
    }
    let row = |what: &str, figure: &dyn Fn(&Figures, &Figures) -> f64| {
        let cells: Vec<String> = columns
            .iter()
            .map(|(_, one, two)| format!("{:.0}", figure(one, two)))
            .collect();
        println!("| {what} | {} |", cells.join(" | "));
    };
    let names: Vec<&str> = columns.iter().map(|column| column.0).collect();
    println!("| ms | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(names.len()));
    for (index, step) in STEPS.iter().enumerate() {
        row(step, &|one, _| one.steps_ms[index]);
    }
    row("**all, processor time**", &|one, _| one.cpu_ms);
    row("all, wall time on two cores", &|_, two| two.wall_ms);
    row("the same, processor time", &|_, two| two.cpu_ms);
    row("peak memory, MB", &|one, _| one.peak_mb);
    let ours = columns[0].1.cpu_ms;
    for (name, one, _) in &columns[1..] {
        println!("ours / {name}: {:.2}", ours / one.cpu_ms);
    }
    Ok(())
}

/// The cores that a program may use.
#[derive(Debug, Clone, Copy)]
enum Cores {
    One,
    Two,
}

impl Cores {
    fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    fn run(self, program: &Path, arguments: &[String]) -> anyhow::Result<Figures> {
        let list = match self {
            Self::One => "0",
            Self::Two => "0,1",
        };
        let output = Command::new("taskset")
            .args(["-c", list])
            .arg(program)
            .args(arguments)
            .output()
            .context("taskset, of util-linux, which pins a program to its cores")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{} failed: {said}",
            program.display()
        );
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

fn ours(photo: &Path, runs: usize, cores: Cores, more: &[&str]) -> anyhow::Result<Figures> {
    let mut arguments = vec![
        "bench".into(),
        "image-run".into(),
        photo.display().to_string(),
        format!("--runs={runs}"),
        format!("--threads={}", cores.count()),
    ];
    arguments.extend(more.iter().map(|&argument| argument.to_owned()));
    cores.run(&std::env::current_exe()?, &arguments)
}

fn in_python(
    python: &Path,
    root: &Path,
    kind: &str,
    photo: &Path,
    circle: [f32; 3],
    runs: usize,
    cores: Cores,
) -> anyhow::Result<Figures> {
    let script = root.join("xtask/baselines/iris_picture.py");
    let mut arguments = vec![
        script.display().to_string(),
        kind.to_owned(),
        photo.display().to_string(),
    ];
    arguments.extend(circle.map(|number| number.to_string()));
    arguments.push(format!("--runs={runs}"));
    arguments.push(format!("--threads={}", cores.count()));
    cores
        .run(python, &arguments)
        .context("a Python with opencv-python-headless and numpy")
}

/// Processes the photo again and again, and prints the least that each step took.
pub(super) fn run_ours(arguments: &ImageRunArgs) -> anyhow::Result<()> {
    let photo = std::fs::read(&arguments.photo)?;
    let options = ProcessOptions {
        threads: Threads::new(arguments.threads),
        ..ProcessOptions::default()
    };
    let mut least = Figures {
        steps_ms: [f64::MAX; 5],
        cpu_ms: f64::MAX,
        wall_ms: f64::MAX,
        peak_mb: 0.0,
    };
    for run in 0..=arguments.runs {
        let once = match arguments.verdict {
            true => verdict_once(&photo),
            false => once(&photo, &options)?,
        };
        if run == 0 {
            continue;
        }
        for (least, step) in least.steps_ms.iter_mut().zip(once.steps_ms) {
            *least = least.min(step);
        }
        least.cpu_ms = least.cpu_ms.min(once.cpu_ms);
        least.wall_ms = least.wall_ms.min(once.wall_ms);
    }
    least.peak_mb = super::whole_job::peak_memory_mb(std::process::id())? as f64;
    println!("{}", serde_json::to_string(&least)?);
    Ok(())
}

fn once(photo: &[u8], options: &ProcessOptions) -> anyhow::Result<Figures> {
    let mut steps_ms = [0.0; 5];
    let mut step_begun = 0.0;
    let mut observer = |stage: Stage, mark: StageMark| {
        match mark {
            StageMark::Begin => step_begun = processor_ms(),
            StageMark::End => steps_ms[stage as usize] = processor_ms() - step_begun,
        }
        ControlFlow::Continue(())
    };
    let (cpu_begun, wall_begun) = (processor_ms(), Instant::now());
    let processed = pipeline::process(photo, options, &mut observer);
    let (cpu_ms, wall) = (processor_ms() - cpu_begun, wall_begun.elapsed());
    processed.map_err(|error| anyhow::anyhow!("the photo is not processed: {error}"))?;
    Ok(Figures {
        steps_ms,
        cpu_ms,
        wall_ms: wall.as_secs_f64() * 1000.0,
        peak_mb: 0.0,
    })
}

fn verdict_once(photo: &[u8]) -> Figures {
    let (cpu_begun, wall_begun) = (processor_ms(), Instant::now());
    std::hint::black_box(check_photo(photo, &Limits::default()));
    Figures {
        steps_ms: [0.0; 5],
        cpu_ms: processor_ms() - cpu_begun,
        wall_ms: wall_begun.elapsed().as_secs_f64() * 1000.0,
        peak_mb: 0.0,
    }
}

/// User and system time of this process so far.
fn processor_ms() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let time = Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32);
    time.as_secs_f64() * 1000.0
}

/// The test photo `source` enlarged so that its iris has this radius in the middle of a photo of this size,
/// with the noise of a sensor, so that it costs what a camera's photo costs to decode.
fn framed(source: &[u8], (width, height): (u16, u16), iris_radius: f32) -> anyhow::Result<Vec<u8>> {
    let rejected = |rejection| anyhow::anyhow!("{rejection}");
    let eye = load_photo(source, &Limits::default()).map_err(rejected)?;
    let iris: Ellipse = segment_iris(&eye).map_err(rejected)?.iris;
    let (source_width, source_height) = eye.size();
    let planes = eye.crop(PixelRect {
        x: 0,
        y: 0,
        width: source_width,
        height: source_height,
    });
    let scale = iris.mean_radius() / iris_radius;
    let middle = |cells: u16| f32::from(cells) / 2.0;
    camera_jpeg(&planes, (width, height), |column, row| {
        let x = iris.cx + (f32::from(column) + 0.5 - middle(width)) * scale;
        let y = iris.cy + (f32::from(row) + 0.5 - middle(height)) * scale;
        (x, y)
    })
}

/// A photo enlarged or reduced to this size, as a camera writes it.
fn filling(source: &[u8], (width, height): (u16, u16)) -> anyhow::Result<Vec<u8>> {
    let photo = load_photo(source, &Limits::default())
        .map_err(|rejection| anyhow::anyhow!("{rejection}"))?;
    let (source_width, source_height) = photo.size();
    let planes = photo.crop(PixelRect {
        x: 0,
        y: 0,
        width: source_width,
        height: source_height,
    });
    let share = |at: u16, of: u16| (f32::from(at) + 0.5) / f32::from(of);
    camera_jpeg(&planes, (width, height), |column, row| {
        let x = share(column, width) * source_width as f32;
        (x, share(row, height) * source_height as f32)
    })
}
