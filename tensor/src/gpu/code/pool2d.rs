//! Two-dimensional pooling and its gradients.

use super::{
    Family, Pass,
    cell::{Cell, puts, reads},
    conv2d::pixels,
    text::{Job, Text, line},
};
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::{Pool2d, PoolKind},
};

/// One pass, a thread per result.
pub fn passes(job: &Job, kind: &PoolKind, pool: &Pool2d, operands: &[(u16, [usize; 4])]) -> Result<Vec<Pass>> {
    let unfit = || Error::device(format!("pooling of shape {:?} with {} operands", job.kernel.shape, operands.len()));
    let result = <[usize; 4]>::try_from(job.kernel.shape.as_slice()).map_err(|_| unfit())?;
    let operand = |n: usize| operands.get(n).ok_or_else(unfit);
    let (variant, input, output, names): (_, _, _, &[&str]) = match kind {
        PoolKind::Max => ("max", operand(0)?.1, result, &["x"]),
        PoolKind::MaxGather => ("max_gather", operand(0)?.1, result, &["x", "v"]),
        PoolKind::MaxGrad => ("max_grad", result, operand(1)?.1, &["x", "dy"]),
        PoolKind::Avg => ("average", operand(0)?.1, result, &["x"]),
        PoolKind::AvgGrad(_) => ("average_grad", result, operand(0)?.1, &["dy"]),
    };
    let block = &job.kernel.block;
    let mut args: Vec<u16> = operands.iter().map(|(arg, _)| *arg).collect();
    args.extend(reads(block));
    let puts = puts(job, block, 1);
    let mut text = Text::new(*job, &args, &[], &puts);
    let cell = Cell::new(&mut text, job, block, 4, Some(DType::F32), puts);
    for (name, operand) in names.iter().zip(operands) {
        text.push(&pixels(name, operand, false));
    }
    let mut out = String::new();
    line!(out, "fn store(i0: u32, i1: u32, i2: u32, i3: u32, value: f32) {{\n{}}}", cell.one("value"));
    text.push(&out);
    let params = [
        input,
        [output[1], output[2], pool.window[0], pool.window[1]],
        [pool.strides[0], pool.strides[1], pool.pads[0].0, pool.pads[1].0],
    ];
    let all = job.kernel.numel() as u64;
    let params = params.into_iter().flatten().map(|n| n as u64).collect();
    Ok(vec![Family { name: "pool2d", variant, flags: Vec::new(), params, extent: [all, 1, 1] }.pass(text)?])
}
