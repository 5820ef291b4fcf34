//! Developer commands: `cargo xtask <command>`.

mod eval;

use clap::Parser as _;

#[derive(Debug, clap::Parser)]
#[command(name = "xtask", about = "Developer commands")]
enum Command {
    Eval(eval::EvalArgs),
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Eval(args) => eval::run(args),
    }
}
