//! Programs that come as Python packages, each in a folder of its own below `target/`.

use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Debug)]
pub(super) struct PythonTool<'a> {
    pub(super) program: &'a str,
    /// The virtual environment that is made for it.
    pub(super) folder: PathBuf,
    /// For pip: what to install, in which version.
    pub(super) requirements: &'a [&'a str],
}

impl PythonTool<'_> {
    /// The program, installed when it is not there. `None` when that fails.
    pub(super) fn find_or_install(&self, root: &Path) -> Option<PathBuf> {
        let program = self.folder.join("bin").join(self.program);
        let runs = |program: &Path, arguments: &[&str]| {
            Command::new(program)
                .args(arguments)
                .current_dir(root)
                .output()
                .is_ok_and(|output| output.status.success())
        };
        if runs(&program, &["--version"]) {
            return Some(program);
        }
        println!("== {} is missing; installing it with pip", self.program);
        let folder = self.folder.to_string_lossy();
        let pip = [&["install", "--quiet"], self.requirements].concat();
        let installed = runs(Path::new("python3"), &["-m", "venv", &folder])
            && runs(&self.folder.join("bin/pip"), &pip);
        (installed && runs(&program, &["--version"])).then_some(program)
    }
}
