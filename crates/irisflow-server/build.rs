//! Builds the web app and embeds it. Without Node.js a placeholder page is embedded instead, and the API works
//! without the web app.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};
use std::{env, fs};

#[expect(
    clippy::disallowed_methods,
    reason = "cargo passes settings to build scripts in the environment"
)]
fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let web = manifest.join("../../web");
    for input in [
        "src",
        "public",
        "index.html",
        "package.json",
        "package-lock.json",
    ] {
        println!("cargo::rerun-if-changed={}", web.join(input).display());
    }
    // The page contains the client.
    let client = manifest.join("../../clients/typescript/src");
    println!("cargo::rerun-if-changed={}", client.display());
    println!("cargo::rerun-if-changed=build.rs");

    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("web");
    match build_web_app(&web) {
        Ok(()) => {
            copy_folder(&web.join("dist"), &out);
            backdate(&out);
        }
        // Not backdated, so that the next build tries again.
        Err(reason) => {
            println!("cargo::warning=the web app is left out: {reason}");
            write_placeholder(&out);
        }
    }
    memory_serve::load_directory(out);
}

fn build_web_app(web: &Path) -> Result<(), String> {
    if !web.join("package.json").exists() {
        return Err("its sources are not here".to_owned());
    }
    npm(web, &["--version"]).map_err(|_| "Node.js with npm is not installed".to_owned())?;
    if is_older(
        &web.join("node_modules/.package-lock.json"),
        &web.join("package-lock.json"),
    ) {
        npm(web, &["ci", "--no-audit", "--no-fund"])?;
    }
    npm(web, &["run", "build"])
}

fn npm(web: &Path, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("npm")
        .args(arguments)
        .current_dir(web)
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last_line = stderr
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    Err(format!("`npm {}` failed: {last_line}", arguments.join(" ")))
}

fn is_older(target: &Path, source: &Path) -> bool {
    let time = |path: &Path| {
        fs::metadata(path)
            .and_then(|metadata| metadata.modified())
            .ok()
    };
    match (time(target), time(source)) {
        (Some(target), Some(source)) => target < source,
        _ => true,
    }
}

fn copy_folder(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    copy_into(from, to).unwrap_or_else(|error| panic!("copying the web app: {error}"));
}

fn copy_into(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_into(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Sets old modification times in a folder. Cargo watches it, because `memory_serve` embeds it, and files that were
/// written by this build would count as changed in the next one. A failure only makes builds slower.
fn backdate(path: &Path) {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.for_each(|entry| backdate(&entry.path()));
    let past = SystemTime::UNIX_EPOCH + Duration::from_hours(24);
    let _ = fs::File::open(path).and_then(|opened| opened.set_modified(past));
}

fn write_placeholder(out: &Path) {
    const PAGE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
        <meta name=\"viewport\" content=\"width=device-width\"><title>Irisflow</title>\
        <p>Irisflow is running. This build has no web app, because Node.js was not there when it was \
        built; install Node.js 20 or newer and build again, or use the <a href=\"/docs\">API</a>.</p>";
    let written = fs::create_dir_all(out).and_then(|()| fs::write(out.join("index.html"), PAGE));
    written.unwrap_or_else(|error| panic!("writing the page without the web app: {error}"));
}
