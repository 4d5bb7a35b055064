//! A plan for people: `ADDAX_LOG=plan` prints it.

use super::{Plan, Source, Step};
use crate::error::bytes_for_people;
use std::fmt;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "plan: {}, {} dispatches, workspace {}, scratch {}, inputs and state {}",
            self.rung,
            self.dispatches(),
            bytes_for_people(self.workspace),
            bytes_for_people(self.scratch),
            bytes_for_people(self.fixed_bytes())
        )?;
        for step in &self.compute {
            self.show(f, step, 1)?;
        }
        if !self.commit.is_empty() {
            writeln!(f, "  commit")?;
        }
        for step in &self.commit {
            self.show(f, step, 2)?;
        }
        Ok(())
    }
}

impl Plan {
    fn show(&self, f: &mut fmt::Formatter<'_>, step: &Step, depth: usize) -> fmt::Result {
        let indent = "  ".repeat(depth);
        match step {
            Step::Loop { trips, body } => {
                writeln!(f, "{indent}loop {trips}")?;
                body.iter().try_for_each(|step| self.show(f, step, depth + 1))
            }
            Step::Run { kernel, args } => {
                let args: Vec<String> = args
                    .iter()
                    .zip(&kernel.args)
                    .map(|(arg, spec)| {
                        let buffer = &self.buffers[arg.buffer];
                        let name = match buffer.source {
                            Source::Input(n) => format!("in{n}"),
                            Source::State(n) => format!("state{n}"),
                            Source::Output(n) => format!("out{n}"),
                            Source::Workspace(at) => format!("@{at}"),
                            Source::Slot(n) => format!("slot{n}"),
                            Source::Scratch => "scratch".into(),
                        };
                        let sign = match spec.usage {
                            super::Use::Read => "",
                            super::Use::Write => ">",
                            super::Use::ReadWrite => "<>",
                        };
                        format!("{sign}{name}")
                    })
                    .collect();
                writeln!(
                    f,
                    "{indent}{:<48} {:<20} {:>10} {:>9.2} Mflop  {}",
                    kernel.label,
                    format!("{:?}", kernel.shape),
                    bytes_for_people(kernel.bytes()),
                    kernel.flops() as f64 / 1e6,
                    args.join(" ")
                )
            }
        }
    }
}
