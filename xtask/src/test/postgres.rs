//! PostgreSQL, which the tests of the stores on it start for themselves.

#[cfg(unix)]
pub(super) fn find_or_install() -> bool {
    use irisflow_test_servers::PostgresServer;

    if !PostgresServer::is_installed() {
        println!("== PostgreSQL is missing; installing it with apt-get");
        super::apt_install(&["postgresql"]);
    }
    PostgresServer::is_installed()
}

#[cfg(not(unix))]
pub(super) fn find_or_install() -> bool {
    false
}
