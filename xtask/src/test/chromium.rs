//! The browser of the browser test.

use std::path::Path;

const CHROMIUM: &str = "/usr/bin/chromium";

pub(super) fn find_or_install() -> Option<&'static str> {
    if !Path::new(CHROMIUM).exists() {
        println!("== Chromium is missing; installing it with apt-get");
        super::apt_install(&["chromium"]);
    }
    Path::new(CHROMIUM).exists().then_some(CHROMIUM)
}
