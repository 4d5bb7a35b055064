//! The faults that `cargo xtask mutate` plants.

/// A fault: which tests have to notice it, where it is, what stands there (once), what is put there.
pub struct Fault {
    /// Arguments of `cargo test`.
    pub tests: &'static str,
    pub file: &'static str,
    pub from: &'static str,
    pub to: &'static str,
}

const fn fault(tests: &'static str, file: &'static str, from: &'static str, to: &'static str) -> Fault {
    Fault { tests, file, from, to }
}

const ENGINE: &str = "-p addax-tensor --test random_graphs --test engine --test cpu_executor --test half --lib";
const AWAITING: &str = "-p addax-tensor --test awaiting";
const ROWS: &str = "-p addax-tensor --test rows";
const SINK: &str = "-p addax-tensor --test sink --test rows";
const UPDATES: &str = "-p addax-tensor --test updates";
const SPLITTING: &str = "-p addax-tensor --lib --test splitting";
const RECOMPUTING: &str = "-p addax-tensor --lib --test recomputing";
const COMPOSITES: &str = "-p addax-tensor --test composites";
const KERAS_OPS: &str = "-p addax-tensor --test keras_ops";
const GRADIENTS: &str = "-p addax-autodiff --tests";
const LAYERS: &str = "-p addax-layers --tests";
const OPTIMIZERS: &str = "-p addax-optim --tests";
const REFUSALS: &str = "-p addax --test refusals --test memory_report";
const LADDER: &str = "-p addax --test ladder";
const MEMORY: &str = "-p addax-tensor --lib --test memory";
const LOST: &str = "-p addax --test lost_device";
const TOLD: &str = "-p addax --test hints --test hooks";
const LOSSES: &str = "-p addax-losses --tests";
const PROMOTION: &str = "-p addax-tensor --test promotion";

/// Faults in the handling of axes, pads, strides and epilogues, in what keeps state safe, in the gradient table, optimizers and
/// losses.
pub const FAULTS: &[Fault] = &[
    fault(
        ENGINE,
        "tensor/src/plan/coords.rs",
        "offset: under[a] as i64 - 1 - coords[a].offset,",
        "offset: under[a] as i64 - coords[a].offset,",
    ),
    fault(
        ENGINE,
        "tensor/src/plan/coords.rs",
        "index.offset -= pads[a].0 as i64;",
        "index.offset -= pads[a].1 as i64;",
    ),
    fault(
        ENGINE,
        "tensor/src/plan/coords.rs",
        "result[axis] = coord.clone();",
        "let mirrored = result.len() - 1 - axis; result[mirrored] = coord.clone();",
    ),
    fault(
        UPDATES,
        "tensor/src/plan/updates.rs",
        "filter(|id| !self.kept.contains(id));",
        "filter(|id| self.kept.contains(id));",
    ),
    fault(
        UPDATES,
        "tensor/src/plan/updates.rs",
        "all.iter().all(|&c| c == update)",
        "all.iter().any(|&c| c == update)",
    ),
    fault(SINK, "tensor/src/plan/sink.rs", "n if n == split.len() =>", "_ if true =>"),
    fault(SINK, "tensor/src/plan/sink.rs", "split.iter().any(|&axis| len(axis) != 1)", "false"),
    fault(SINK, "tensor/src/plan/sink.rs", "of(node.inputs[0]) == below,", "true,"),
    fault(ROWS, "tensor/src/plan/rows/join.rs", "own && (read == Read::Other || matches!", "own && (matches!"),
    fault(ROWS, "tensor/src/plan/rows/keep.rs", "= Inst::Kept { slot };", "= Inst::Kept { slot: first as u16 };"),
    fault(ROWS, "tensor/src/cpu/rows.rs", "slots: &slots, row: first,", "slots: &slots, row: 0,"),
    fault(ROWS, "tensor/src/cpu/reduce/fold.rs", "if lane >= old { last[lane] } else { identity }", "last[lane]"),
    fault(ENGINE, "tensor/src/plan/coords.rs", "s * axis.step as i64).collect()", "s * 1).collect()"),
    fault(ENGINE, "tensor/src/plan/coords.rs", "stride *= above[axis] as i64;", "stride += above[axis] as i64;"),
    fault(ENGINE, "tensor/src/plan/emit.rs", "if transposed { (col, row) } else { (row, col) };", "(row, col);"),
    fault(
        ENGINE,
        "tensor/src/plan/emit.rs",
        "ReduceOp::Prod => Scalar::Int(1).word(dtype),",
        "ReduceOp::Prod => Scalar::Int(0).word(dtype),",
    ),
    fault(ENGINE, "tensor/src/plan/emit.rs", "coords[axis].offset += before as i64;", "coords[axis].offset += 0;"),
    fault(ENGINE, "tensor/src/plan/emit.rs", "spec.usage = Use::ReadWrite;", "spec.usage = Use::Read;"),
    fault(ENGINE, "tensor/src/plan/cluster.rs", "if !aligned || matches!", "if matches!"),
    fault(
        ENGINE,
        "tensor/src/plan/cluster.rs",
        "self.clusters.list[h].level >= cluster.level",
        "self.clusters.list[h].level > cluster.level + 9",
    ),
    fault(
        ENGINE,
        "tensor/src/plan/lower.rs",
        "&& g.readers.get(operand) == Some(&0)",
        "&& g.readers.contains_key(operand)",
    ),
    fault(ENGINE, "tensor/src/plan/lower.rs", "(reader != writer || !aligned)", "(reader != writer && !aligned)"),
    fault(ENGINE, "tensor/src/plan/carry.rs", "self.steps % self.rows", "0"),
    fault(
        ENGINE,
        "tensor/src/plan/lower.rs",
        "if spec.reverse { spec.steps - 1 } else { 0 }",
        "if spec.reverse { 0 } else { 0 }",
    ),
    fault(
        ENGINE,
        "tensor/src/plan/place.rs",
        "if theirs.last < life.first || life.last < theirs.first {",
        "if theirs.last <= life.first || life.last < theirs.first {",
    ),
    fault(ENGINE, "tensor/src/plan/place.rs", "free_from[slot] = life.last + 1;", "free_from[slot] = life.last;"),
    fault(ENGINE, "tensor/src/plan/simplify.rs", "let after = dims[axis] - end;", "let after = 0 * end;"),
    fault(ENGINE, "tensor/src/plan/simplify.rs", "parts.windows(2).all(meet).then_some(parts)", "Some(parts)"),
    fault(
        ENGINE,
        "tensor/src/run.rs",
        "if current.only_handle() && storage.is_unique() =>",
        "if storage.is_unique() || current.only_handle() =>",
    ),
    fault(AWAITING, "tensor/src/run.rs", "if held.current().same(&tensor) {", "if held.current().value().is_some() {"),
    fault(
        AWAITING,
        "tensor/src/memory.rs",
        "self.meter.0.live.fetch_sub(self.bytes, Ordering::Relaxed);",
        "self.meter.0.live.fetch_sub(self.bytes / 2, Ordering::Relaxed);",
    ),
    fault(MEMORY, "tensor/src/plan/cache.rs", "room / 2 >= self.room;", "room > self.room;"),
    fault(MEMORY, "tensor/src/plan/cache.rs", "if nodes > self.max_nodes {", "if nodes > self.max_nodes * 1000 {"),
    fault(
        MEMORY,
        "tensor/src/device.rs",
        "if !error.is_out_of_memory() || self.0.idle.let_go() == 0 {",
        "if !error.is_out_of_memory() || self.0.idle.bytes() > 0 {",
    ),
    fault(MEMORY, "tensor/src/runs.rs", "now.ended != seen", "now.ended < seen"),
    fault(
        MEMORY,
        "tensor/src/run.rs",
        "let base = device.staying() + absent(device, &feeds.inputs) + moved;",
        "let base = device.staying() + moved;",
    ),
    fault(
        REFUSALS,
        "model/src/save.rs",
        "error.context(path.display())",
        "Error::format(error.to_string()).context(path.display())",
    ),
    fault(
        PROMOTION,
        "tensor/src/graph/functions.rs",
        "Binary::Mul | Binary::Min => Some(Binary::And),",
        "Binary::Mul | Binary::Min => Some(Binary::Or),",
    ),
    fault(ENGINE, "tensor/src/shape.rs", "(1, b) => Ok(b),", "(1, b) => Ok(b.min(2)),"),
    fault(
        ENGINE,
        "tensor/src/graph/op.rs",
        "self.stop.saturating_sub(self.start).div_ceil(self.step)",
        "self.stop.saturating_sub(self.start) / self.step",
    ),
    // Padding, strides, dilation.
    fault(
        ENGINE,
        "tensor/src/graph/windows.rs",
        "let window = (k.max(1) - 1) * self.dilation[i] + 1;",
        "let window = (k.max(1) - 1) * self.dilation[0] + 1;",
    ),
    fault(
        ENGINE,
        "tensor/src/cpu/tile.rs",
        "low = low.max(-first.div_euclid(stride));",
        "low = low.max(-(first / stride));",
    ),
    fault(
        LAYERS,
        "layers/src/values/window.rs",
        "Ok((total / 2, total - total / 2))",
        "Ok((total - total / 2, total / 2))",
    ),
    fault(
        LAYERS,
        "layers/src/values/window.rs",
        "let steps = n.div_ceil(stride.max(1));",
        "let steps = n / stride.max(1);",
    ),
    // The gradient table.
    fault(GRADIENTS, "autodiff/src/rules/unary.rs", "dy * (1.0 - y.square())", "dy * (1.0 - y)"),
    fault(GRADIENTS, "autodiff/src/rules/unary.rs", "-(dy * x.sin())", "dy * x.sin()"),
    fault(
        GRADIENTS,
        "autodiff/src/rules/binary.rs",
        "low.equal(high).select(dy * 0.5, 0.0)",
        "low.equal(high).select(dy, 0.0)",
    ),
    fault(GRADIENTS, "autodiff/src/rules/mod.rs", "c.select(0.0, dy)", "c.select(dy, 0.0)"),
    fault(
        GRADIENTS,
        "autodiff/src/rules/contract.rs",
        "true => b.matmul_with(dy, with(tb, true)),",
        "true => b.matmul_with(dy, with(tb, false)),",
    ),
    fault(
        GRADIENTS,
        "autodiff/src/rules/reduce.rs",
        "let ties = winners.cast(x.dtype()?).sum(axes);",
        "let ties = winners.cast(x.dtype()?).max(axes);",
    ),
    fault(
        GRADIENTS,
        "autodiff/src/rules/view.rs",
        "(axis.start, len - axis.start - cells)",
        "(len - axis.start - cells, axis.start)",
    ),
    fault(GRADIENTS, "autodiff/src/rules/view.rs", "inverse[from] = to as isize;", "inverse[to] = from as isize;"),
    // Splitting.
    fault(
        SPLITTING,
        "tensor/src/plan/axes.rs",
        "ReduceOp::ArgMax | ReduceOp::ArgMin => Sample::Coupled,",
        "ReduceOp::ArgMax | ReduceOp::ArgMin => Sample::Folded(ReduceOp::Max),",
    ),
    fault(
        SPLITTING,
        "tensor/src/plan/axes.rs",
        "if x.along(0) != y.along(0) => Sample::Coupled,",
        "if x.axis > 99 => Sample::Coupled,",
    ),
    fault(
        SPLITTING,
        "tensor/src/plan/split/body.rs",
        "How::From(vec![Key::Whole(self.from[id].inputs[0]), Key::First])",
        "How::From(vec![Key::Whole(self.from[id].inputs[0])])",
    ),
    fault(
        SPLITTING,
        "tensor/src/plan/split/mod.rs",
        "usize::from(matches!(samples.of[input], Sample::Folded(_)))",
        "usize::from(matches!(samples.of[input], Sample::Coupled))",
    ),
    fault(SPLITTING, "tensor/src/plan/fold.rs", "ReduceOp::Max => low,", "ReduceOp::Max => 0,"),
    fault(SPLITTING, "tensor/src/plan/place.rs", "touched.partial.extend(inside.get(shared));", ""),
    // Attention, and loops whose gradient computes steps again.
    fault(GRADIENTS, "tensor/src/ops/attention.rs", "pads[axis].1 = padding;", "pads[axis].0 = padding;"),
    fault(COMPOSITES, "tensor/src/ops/attention.rs", ".less_equal(rows)", ".less(rows)"),
    fault(GRADIENTS, "tensor/src/ops/attention.rs", "&body.recomputed(), spec", "&body, spec"),
    fault(
        GRADIENTS,
        "autodiff/src/scan/residual.rs",
        "stored.extend(params.iter().take(spec.carries));",
        "stored.extend(params.iter().take(0));",
    ),
    fault(
        GRADIENTS,
        "autodiff/src/scan/total.rs",
        "Op::Reduce(ReduceOp::Sum, axes) if !self.as_they_go =>",
        "Op::Reduce(ReduceOp::Sum, axes) =>",
    ),
    fault(
        ENGINE,
        "tensor/src/plan/trace.rs",
        "topological(roots, |t| !missing.contains(&t.node().id()))",
        "topological(roots, |t| t.value().is_some() || env.contains_key(&t.key()))",
    ),
    fault(
        LAYERS,
        "layers/src/builtin/recurrent.rs",
        "let outputs = Tensor::scan(&body, spec, &inputs)?;",
        "let outputs = Tensor::scan(&body.recomputed(), spec, &inputs)?;",
    ),
    // Loops and pairs.
    fault(ENGINE, "tensor/src/plan/carry.rs", "usize::from(before == self.down)", "usize::from(before != self.down)"),
    fault(
        ENGINE,
        "tensor/src/plan/simplify.rs",
        "reduced(axis) && below[axis] != 1",
        "reduced(axis) && below[axis] == 0",
    ),
    fault(
        ENGINE,
        "tensor/src/plan/materialize.rs",
        "Prim::View(View::Pad(..)) => 3,",
        "Prim::View(View::Pad(..)) => 0,",
    ),
    // Operations of Keras.
    fault(KERAS_OPS, "tensor/src/ops/correlation.rs", "(m / 2, m - m / 2 - 1)", "(m - m / 2 - 1, m / 2)"),
    fault(KERAS_OPS, "tensor/src/ops/ctc.rs", "labels + again * IMPOSSIBLE", "labels"),
    fault(KERAS_OPS, "tensor/src/ops/fourier.rs", "z * cos - y * sin", "z * cos + y * sin"),
    fault(GRADIENTS, "tensor/src/ops/jacobi.rs", "+ rest * &inverse", ""),
    fault(GRADIENTS, "tensor/src/ops/measure.rs", "- (mean - about).square())", "- (mean - mean).square())"),
    fault(
        ENGINE,
        "tensor/src/cpu/conv/winograd/transform.rs",
        "V::splat(2.0 * ROOT)).add_product(odd[1]",
        "V::splat(ROOT)).add_product(odd[1]",
    ),
    fault(ENGINE, "tensor/src/cpu/conv/winograd.rs", "self.first + i as i64", "self.first.abs() + i as i64"),
    fault(ENGINE, "tensor/src/cpu/conv/winograd/image.rs", "TAPS as i64 - 1 - before as i64", "before as i64"),
    fault(ENGINE, "tensor/src/cpu/conv/winograd/filter.rs", "block > range.start", "block > 0"),
    fault(ENGINE, "tensor/src/cpu/pairs.rs", "uses[at] == 1 && !op.constant", "!op.constant"),
    fault(
        GRADIENTS,
        "tensor/src/plan/trace.rs",
        "position(|&other| other == id && n >= spec.carries)",
        "position(|_| n >= spec.carries)",
    ),
    // Optimizers.
    fault(OPTIMIZERS, "optim/src/rules/adam.rs", "now.one_minus_power(beta_2).sqrt()", "now.one_minus_power(beta_2)"),
    fault(OPTIMIZERS, "optim/src/rules/sgd.rs", "p + &m * self.momentum - step", "p + &m - step"),
    fault(OPTIMIZERS, "optim/src/clip.rs", "total.sqrt().maximum(limit)", "total.sqrt().minimum(limit)"),
    fault(OPTIMIZERS, "optim/src/engine.rs", "p - p * decay * &now.rate", "p - p * decay"),
    fault(OPTIMIZERS, "optim/src/schedule/decay.rs", "(1.0 - p).pow(self.power)", "(1.0 - p)"),
    // Mixed precision.
    fault(
        ENGINE,
        "tensor/src/cpu/element.rs",
        "word.wrapping_add(0x7fff + ((word >> 16) & 1))",
        "word.wrapping_add(0x8000)",
    ),
    fault(
        LAYERS,
        "layers/src/builtin/embedding.rs",
        "fn autocast(&self) -> bool {\n        false",
        "fn autocast(&self) -> bool {\n        true",
    ),
    fault(
        OPTIMIZERS,
        "optim/src/loss_scale.rs",
        "finite = finite.logical_and(g.is_finite().all(..));",
        "finite = g.is_finite().all(..);",
    ),
    fault(OPTIMIZERS, "optim/src/loss_scale.rs", "(variable, finite.select(new, old))", "(variable, new + old * 0)"),
    fault(
        OPTIMIZERS,
        "optim/src/loss_scale.rs",
        "count.equal(self.dynamic_growth_steps - 1)",
        "count.equal(self.dynamic_growth_steps)",
    ),
    // Losses.
    fault(
        LOSSES,
        "losses/src/reduction.rs",
        "mask.cast(dtype).sum_all() *",
        "mask.cast(dtype).sum_all().maximum(2.0) *",
    ),
    fault(
        LOSSES,
        "losses/src/formulas/crossentropy.rs",
        "y * (1.0 - smoothing) + smoothing / classes",
        "y * (1.0 - smoothing) + smoothing",
    ),
    fault(LOSSES, "losses/src/formulas/crossentropy.rs", "return y * (-p).softplus()", "return y * p.softplus()"),
    fault(LOSSES, "losses/src/formulas/regression.rs", "size * d - 0.5 * d * d", "size * d - 0.5 * d"),
    fault(LOSSES, "losses/src/formulas/overlap.rs", "(sum(&y) + sum(&p) + EPSILON)", "(sum(&y) + sum(&y) + EPSILON)"),
    // Short memory, lost devices.
    fault(
        RECOMPUTING,
        "tensor/src/plan/recompute/rewrite.rs",
        "delay: delay.filter(|_| starts),",
        "delay: delay.filter(|_| false && starts),",
    ),
    fault(
        RECOMPUTING,
        "tensor/src/plan/recompute/choose.rs",
        "if roots.len() > 1 && bytes > most {",
        "if roots.len() > 1 && bytes > most && false {",
    ),
    fault(SPLITTING, "tensor/src/plan/split/mod.rs", "let start = run.start * cut.inner;", "let start = 0;"),
    fault(REFUSALS, "model/src/batch_size.rs", "while high - low > 1 {", "while high - low > 2 {"),
    fault(LADDER, "model/src/custom_fit.rs", "if training && let Some(news)", "if !training && let Some(news)"),
    fault(LOST, "model/src/recovery.rs", "all.extend(self.steps.state());", ""),
    fault(
        LOST,
        "model/src/recovery.rs",
        "Change::Rate(rate) => self.session.model.set_learning_rate(rate)?,",
        "Change::Rate(_) => {}",
    ),
    fault(LOST, "callbacks/src/list.rs", "self.first = self.failed;", "self.first = 0;"),
    fault(LOST, "model/src/passes.rs", "self.count = mark.count;", ""),
    // What people and callbacks are told.
    fault(
        TOLD,
        "model/src/hints.rs",
        "self.sum = self.sum.wrapping_add(hasher.finish());",
        "self.sum = hasher.finish();",
    ),
    fault(
        TOLD,
        "model/src/hints.rs",
        "chosen.cloned().unwrap_or_else(if silent { Console::stderr }",
        "chosen.cloned().unwrap_or_else(if silent { Console::silent }",
    ),
    fault(
        TOLD,
        "model/src/predict.rs",
        "callbacks.on_predict_batch_end(batch, &mut logs, &mut session)?;",
        "let _ = &mut logs;",
    ),
];
