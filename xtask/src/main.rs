//! Developer commands: `cargo xtask <command>`.

#![expect(
    clippy::print_stdout,
    reason = "what these commands find out is said on stdout"
)]

mod attack;
mod bench;
mod eval;
mod faults;
mod fuzz;
mod openapi;
mod running_server;
mod schemathesis;
mod test;

use clap::Parser as _;

#[derive(Debug, clap::Parser)]
#[command(name = "xtask", about = "Developer commands")]
enum Command {
    /// Install what the tests need and run all of them.
    Test(test::TestArgs),
    /// Measure how well irises are found on annotated photos.
    Eval(eval::EvalArgs),
    /// Write docs/openapi.json anew from the handlers.
    Openapi,
    /// Damage everything that is read from outside, for as long as asked.
    Fuzz(fuzz::FuzzArgs),
    /// Measure a whole job through the running service, beside a named baseline.
    Bench(bench::BenchArgs),
    /// Do to a real server what a hostile outsider would, and hold what is measured against bounds.
    Attack(attack::AttackArgs),
    /// Play every fault at every step, and count what was lost, twice, stuck or left over.
    Faults(faults::FaultsArgs),
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Test(args) => test::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Openapi => openapi::run(),
        Command::Fuzz(args) => fuzz::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Attack(args) => attack::run(args),
        Command::Faults(args) => faults::run(args).map(drop),
    }
}
