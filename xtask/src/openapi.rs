//! `cargo xtask openapi`: writes the committed descriptions of the API and of the live frames. Review their diff, and
//! regenerate the types of the TypeScript client from it.

use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use crate::test::workspace_root;

pub(crate) fn run() -> anyhow::Result<()> {
    let docs = workspace_root()?.join("docs");
    let description = irisflow_server::openapi()
        .to_pretty_json()
        .context("as JSON")?;
    write(&docs.join("openapi.json"), &description)?;
    write_json(
        &docs.join("events.schema.json"),
        &irisflow_server::event_schema(),
    )?;
    write_json(&docs.join("asyncapi.json"), &irisflow_server::asyncapi())?;
    println!("now run `npm run generate` in clients/typescript/");
    Ok(())
}

fn write_json(path: &Path, value: &Value) -> anyhow::Result<()> {
    write(
        path,
        &serde_json::to_string_pretty(value).context("as JSON")?,
    )
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, format!("{text}\n")).with_context(|| path.display().to_string())?;
    println!("wrote {}", path.display());
    Ok(())
}
