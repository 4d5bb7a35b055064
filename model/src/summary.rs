//! `summary`: what a model is made of, as a table.

use crate::{build::Output, memory_report::Phase, model::Model};
use addax_layers::{Weight, weights};
use addax_tensor::{Result, error::bytes_for_people};
use std::fmt;

/// A model as people read it: a table of layers, numbers of weights, planned memory. Print it.
#[derive(Clone, Debug)]
pub struct Summary {
    title: String,
    rows: Vec<[String; 3]>,
    footer: Vec<String>,
}

/// Rows that the planned memory is told for.
const BATCH: usize = 32;

impl Model {
    /// A table of layers with output shapes and numbers of weights, in Keras' look. For a compiled model it also tells the
    /// memory that a training step with 32 rows needs, by planning it.
    ///
    /// It never fails: what cannot be found out yet is a `?`, with the reason below.
    pub fn summary(&self) -> Summary {
        let title = format!("Model: \"{}\"", self.name());
        let names = self.chain.names().unwrap_or_default();
        let built = self.build();
        let mut rows = Vec::new();
        for (i, layer) in self.chain.layers.iter().enumerate() {
            let name = names.get(i).map_or("?", String::as_str);
            let shape = built.as_ref().ok().and_then(|b| b.outputs.get(i)).map_or("?".into(), shape);
            let params = match &built {
                Ok(_) => thousands(count(weights(&**layer).iter().map(|w| w.weight))),
                Err(_) => "?".into(),
            };
            rows.push([format!("{name} ({})", layer.class_name()), shape, params]);
        }
        let footer = match built.and_then(|_| self.footer()) {
            Ok(footer) => footer,
            Err(error) => vec![format!(" Not built: {error}")],
        };
        Summary { title, rows, footer }
    }

    fn footer(&self) -> Result<Vec<String>> {
        let slots = self.slots()?;
        let size = |keep: &dyn Fn(&Weight) -> bool| -> Result<(usize, u64)> {
            let kept = slots.iter().filter(|(_, w)| keep(w)).filter_map(|(_, w)| w.variable());
            kept.map(|v| Ok((v.shape()?.numel(), v.meta()?.bytes()))).try_fold(
                (0, 0),
                |(n, b), next: Result<(usize, u64)>| {
                    let (numel, bytes) = next?;
                    Ok((n + numel, b + bytes))
                },
            )
        };
        let line =
            |what: &str, (n, bytes): (usize, u64)| format!(" {what}: {} ({})", thousands(n), bytes_for_people(bytes));
        let mut lines = vec![
            line("Total params", size(&|_| true)?),
            line("Trainable params", size(&|w| w.is_trainable())?),
            line("Non-trainable params", size(&|w| !w.is_trainable())?),
        ];
        if let Some(compiled) = &self.compiled {
            let state = compiled.optimizer().variables();
            let optimizer = state.iter().map(|v| Ok((v.shape()?.numel(), v.meta()?.bytes())));
            let total =
                optimizer.collect::<Result<Vec<_>>>()?.into_iter().fold((0, 0), |(n, b), (m, c)| (n + m, b + c));
            lines.push(line("Optimizer params", total));
        }
        let (phases, _) = self.phases(&["train", "predict"], BATCH)?;
        let phase = |phase: &Phase| format!("{} to {}", bytes_for_people(phase.peak), phase.name);
        let phases: Vec<String> = phases.iter().map(phase).collect();
        lines.push(format!(" Planned memory for a batch of {BATCH}: {}", phases.join(", ")));
        Ok(lines)
    }
}

fn count<'a>(weights: impl Iterator<Item = &'a Weight>) -> usize {
    weights.filter_map(Weight::variable).filter_map(|v| v.shape().ok()).map(|s| s.numel()).sum()
}

/// `(None, 28, 28, 1)`, as Keras writes it.
fn shape(output: &Output) -> String {
    let axes: Vec<String> = output.shape.iter().map(|d| d.map_or("None".into(), |d| d.to_string())).collect();
    match axes.as_slice() {
        [one] => format!("({one},)"),
        many => format!("({})", many.join(", ")),
    }
}

/// `54,410`.
fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["Layer (type)", "Output Shape", "Param #"].map(String::from);
        let widths: Vec<usize> = (0..3)
            .map(|c| self.rows.iter().chain([&head]).map(|r| r[c].chars().count()).max().unwrap_or(0) + 2)
            .collect();
        let rule = |left: &str, line: &str, cross: &str, right: &str| {
            let parts: Vec<String> = widths.iter().map(|&w| line.repeat(w)).collect();
            format!("{left}{}{right}", parts.join(cross))
        };
        let row = |cells: &[String; 3], bar: &str| {
            let [a, b, c] = cells;
            let (wa, wb, wc) = (widths[0] - 2, widths[1] - 2, widths[2] - 2);
            format!("{bar} {a:<wa$} {bar} {b:<wb$} {bar} {c:>wc$} {bar}")
        };
        writeln!(f, "{}", self.title)?;
        writeln!(f, "{}", rule("┏", "━", "┳", "┓"))?;
        writeln!(f, "{}", row(&head, "┃"))?;
        writeln!(f, "{}", rule("┡", "━", "╇", "┩"))?;
        for (i, cells) in self.rows.iter().enumerate() {
            if i > 0 {
                writeln!(f, "{}", rule("├", "─", "┼", "┤"))?;
            }
            writeln!(f, "{}", row(cells, "│"))?;
        }
        writeln!(f, "{}", rule("└", "─", "┴", "┘"))?;
        for (i, line) in self.footer.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_marked() {
        assert_eq!([0, 999, 1000, 54410, 1234567].map(thousands), ["0", "999", "1,000", "54,410", "1,234,567"]);
    }
}
