//! Two-dimensional convolutions and their gradients.

use super::{
    Family, Pass,
    cell::{Cell, puts, reads},
    choice::{Tuning, conv_extents, product},
    reduce::second,
    text::{Job, Text, line},
};
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::{Conv2d, ConvKind, ReduceOp},
};

type Operand = (u16, [usize; 4]);

/// One pass; two for filter gradients with few results.
pub fn passes(
    job: &Job,
    tuning: &Tuning,
    kind: &ConvKind,
    conv: &Conv2d,
    operands: &[Operand; 2],
) -> Result<Vec<Pass>> {
    let result = <[usize; 4]>::try_from(job.kernel.shape.as_slice())
        .map_err(|_| Error::device(format!("a convolution's result has 4 axes, got {:?}", job.kernel.shape)))?;
    let [(_, first), (_, second_shape)] = operands;
    let (x, w, y, variant) = match kind {
        ConvKind::Forward => (*first, *second_shape, result, "forward"),
        ConvKind::InputGrad(_) => (result, *second_shape, *first, "input_grad"),
        ConvKind::FilterGrad(_) => (*first, result, *second_shape, "filter_grad"),
    };
    let groups = conv.groups.max(1);
    let (cin, cout) = (w[2], y[3] / groups);
    let filter = variant == "filter_grad";
    let e = conv_extents(kind, &result, operands, groups);
    let choice = product(tuning, e, false, filter);
    let split = choice.split;
    let vectors = choice.engine != "point";
    // Four neighbours along the last axis of each operand, within a group.
    let lasts = match kind {
        ConvKind::Forward => [cin, cout, cout],
        ConvKind::InputGrad(_) => [cout, cout, cin],
        ConvKind::FilterGrad(_) => [cin, cout, cout],
    };
    let [a, b] = operands;
    let a_four = vectors && lasts[0] % 4 == 0 && job.starts_at_multiple(a.0, 4);
    let b_four = vectors && lasts[1] % 4 == 0 && job.starts_at_multiple(b.0, 4);
    let c_four = vectors && lasts[2] % 4 == 0;
    let flags = [(a_four, "A_VEC4"), (b_four, "B_VEC4"), (c_four, "C_VEC4")];
    let wide: Vec<u16> = [(a_four, a.0), (b_four, b.0)].iter().filter(|(on, _)| *on).map(|(_, arg)| *arg).collect();
    let mut args = vec![a.0, b.0];
    let (four, value) = if c_four { ("4", "vec4<f32>") } else { ("", "f32") };
    let mut out = String::new();
    let mut text = if split.parts == 1 {
        let block = &job.kernel.block;
        args.extend(reads(block));
        let puts = puts(job, block, if c_four { 4 } else { 1 });
        let mut text = Text::new(*job, &args, &wide, &puts);
        let cell = Cell::new(&mut text, job, block, 4, Some(DType::F32), puts);
        if filter {
            line!(out, "fn store{four}(split: u32, tap: u32, i2: u32, i3: u32, value: {value}) {{");
            line!(out, "    let i0 = tap / {}u;\n    let i1 = tap % {}u;", w[1], w[1]);
        } else {
            line!(out, "fn store{four}(i0: u32, i1: u32, i2: u32, i3: u32, value: {value}) {{");
        }
        line!(out, "{}}}", if c_four { cell.four("value") } else { cell.one("value") });
        text
    } else {
        let mut text = Text::new(*job, &args, &wide, &[]);
        let scratch = text.scratch(true);
        line!(out, "fn store{four}(split: u32, tap: u32, c: u32, o: u32, value: {value}) {{");
        line!(out, "    let at = ((split * {}u + tap) * {cin}u + c) * {}u + o;", w[0] * w[1], w[3]);
        match c_four {
            false => line!(out, "    {scratch}[at] = bitcast<u32>(value);"),
            true => {
                for lane in 0..4 {
                    line!(out, "    {scratch}[at + {lane}u] = bitcast<u32>(value[{lane}]);");
                }
            }
        }
        out.push('}');
        text
    };
    match kind {
        ConvKind::Forward => {
            text.push(&pixels("x", a, a_four));
            text.push(&weights(b, b_four));
        }
        ConvKind::InputGrad(_) => {
            text.push(&pixels("dy", a, a_four));
            text.push(&weights(b, b_four));
        }
        ConvKind::FilterGrad(_) => {
            text.push(&pixels("x", a, a_four));
            text.push(&pixels("dy", b, b_four));
        }
    }
    text.push(&out);
    let size = |n: usize| n as u64;
    let params = [
        [x[0], x[1], x[2], cin],
        [y[1], y[2], cout, groups],
        [w[0], w[1], conv.strides[0], conv.strides[1]],
        [conv.dilation[0], conv.dilation[1], conv.pads[0].0, conv.pads[1].0],
    ];
    let mut params: Vec<u64> = params.into_iter().flatten().map(size).collect();
    params.extend([split.parts, split.chunk]);
    let pass = Family {
        name: engine(choice.engine),
        variant,
        flags: flags.iter().filter(|(on, _)| *on).map(|(_, flag)| *flag).collect(),
        params,
        extent: match choice.engine {
            "point" => [e.m * e.n * e.batches * split.parts, 1, 1],
            _ => [e.m, e.n, e.batches * split.parts],
        },
    }
    .pass(text)?;
    Ok(match split.parts {
        1 => vec![pass],
        parts => {
            let all = job.kernel.numel() as u64;
            vec![pass, second(job, tuning, ReduceOp::Sum, DType::F32, [1, parts, all])?]
        }
    })
}

/// A hole that reads an image.
pub fn pixels(name: &str, (arg, [_, height, width, channels]): &Operand, four: bool) -> String {
    let (suffix, ty) = if four { ("4", "vec4<f32>") } else { ("", "f32") };
    format!(
        "fn load_{name}{suffix}(b: u32, y: u32, x: u32, channel: u32) -> {ty} {{
    return at{suffix}_{arg}(((b * {height}u + y) * {width}u + x) * {channels}u + channel);
}}"
    )
}

fn weights((arg, [_, _, cin, filters]): &Operand, four: bool) -> String {
    let (suffix, ty) = if four { ("4", "vec4<f32>") } else { ("", "f32") };
    format!(
        "fn load_w{suffix}(tap: u32, c: u32, o: u32) -> {ty} {{
    return at{suffix}_{arg}((tap * {cin}u + c) * {filters}u + o);
}}"
    )
}

fn engine(name: &str) -> &'static str {
    match name {
        "128" => "conv2d_128",
        "64" => "conv2d_64",
        "32" => "conv2d_32",
        "direct" => "conv2d_direct",
        _ => "conv2d_point",
    }
}
