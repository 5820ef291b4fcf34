//! Developer commands: `cargo xtask <command>`.

#![expect(
    clippy::print_stdout,
    reason = "these commands print their results to stdout"
)]

mod attack;
mod bench;
mod eval;
mod faults;
mod fuzz;
mod golden;
mod openapi;
mod running_server;
mod test;

use clap::Parser as _;

#[derive(Debug, clap::Parser)]
#[command(name = "xtask", about = "Developer commands")]
enum Command {
    /// Install what the tests need and run all of them.
    Test(test::TestArgs),
    /// Evaluate the segmenter on annotated photos and renders.
    Eval(eval::EvalArgs),
    /// Make the golden pictures of the imaging core again, and compare them or store them anew.
    Golden(golden::GoldenArgs),
    /// Write docs/openapi.json anew from the handlers.
    Openapi,
    /// Fuzz all external input for a given time.
    Fuzz(fuzz::FuzzArgs),
    /// Run benchmarks, each with a baseline.
    Bench(bench::BenchArgs),
    /// Run black-box attacks on a real server and check the measurements against bounds.
    Attack(attack::AttackArgs),
    /// Run the crash matrix: inject every fault at every step and check the invariants.
    Faults(faults::FaultsArgs),
}

fn main() -> anyhow::Result<()> {
    // What stores and workers complain of when they run in this process.
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .init();
    match Command::parse() {
        Command::Test(args) => test::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Golden(args) => golden::run(&args),
        Command::Openapi => openapi::run(),
        Command::Fuzz(args) => fuzz::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Attack(args) => attack::run(args),
        Command::Faults(args) => faults::run(args).map(drop),
    }
}
