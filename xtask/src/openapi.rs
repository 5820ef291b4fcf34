//! `cargo xtask openapi`: writes the committed description of the API. Review its diff, and regenerate the
//! page's types from it.

use anyhow::Context as _;

use crate::test::workspace_root;

pub(crate) fn run() -> anyhow::Result<()> {
    let path = workspace_root()?.join("docs/openapi.json");
    let description = irisflow_server::openapi()
        .to_pretty_json()
        .context("as JSON")?;
    std::fs::write(&path, description + "\n").with_context(|| path.display().to_string())?;
    println!("wrote {}", path.display());
    println!("now run `npm run generate` in web/ and clients/typescript/");
    Ok(())
}
