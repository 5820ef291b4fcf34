//! The bus within the process passes what every bus must pass.

use std::sync::Arc;

use irisflow_bus::LocalBus;
use irisflow_jobs::conformance::bus::BusUnderTest;

async fn open() -> BusUnderTest {
    let bus = Arc::new(LocalBus::new());
    BusUnderTest {
        sender: bus.clone(),
        receiver: bus,
        keep: Box::new(()),
    }
}

irisflow_jobs::every_bus_must_pass!(open);
