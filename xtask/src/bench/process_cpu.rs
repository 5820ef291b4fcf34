//! CPU time of processes, from `/proc`; see proc(5).

use std::time::Duration;

use anyhow::Context as _;

/// Field positions after the process name in `/proc/PID/stat`.
const PARENT: usize = 1;
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
const CHILDREN_USER_TICKS: usize = 13;
const CHILDREN_SYSTEM_TICKS: usize = 14;
/// `sysconf(_SC_CLK_TCK)` is 100 on all common Linux systems.
const TICK: Duration = Duration::from_millis(10);

/// CPU time of a process, without its children.
pub(super) fn cpu_of(id: u32) -> anyhow::Result<Duration> {
    ticks(id, &[USER_TICKS, SYSTEM_TICKS])
}

/// CPU time of a process and all its descendants, those that have ended too.
pub(super) fn cpu_of_tree(id: u32) -> anyhow::Result<Duration> {
    let own = [
        USER_TICKS,
        SYSTEM_TICKS,
        CHILDREN_USER_TICKS,
        CHILDREN_SYSTEM_TICKS,
    ];
    let mut cpu = ticks(id, &own)?;
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(child) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let parent = fields_of(child)
            .ok()
            .and_then(|fields| fields.get(PARENT)?.parse::<u32>().ok());
        if parent == Some(id) {
            // It may end meanwhile, and is then counted with its parent next time.
            cpu += cpu_of_tree(child).unwrap_or_default();
        }
    }
    Ok(cpu)
}

/// CPU time of this process's children that have ended.
pub(super) fn cpu_of_ended_children() -> anyhow::Result<Duration> {
    let children = [CHILDREN_USER_TICKS, CHILDREN_SYSTEM_TICKS];
    ticks(std::process::id(), &children)
}

fn ticks(id: u32, positions: &[usize]) -> anyhow::Result<Duration> {
    let fields = fields_of(id)?;
    let mut ticks = 0;
    for position in positions {
        ticks += fields.get(*position).context("a field")?.parse::<u32>()?;
    }
    Ok(TICK * ticks)
}

fn fields_of(id: u32) -> anyhow::Result<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("the name of the process")?;
    Ok(fields.split_whitespace().map(str::to_owned).collect())
}
