//! Graphs as lines of Rust that record them.

use crate::{
    dtype::{DType, Scalar},
    error::Result,
    graph::{Binary, Body, ConvKind, LineKind, Op, PoolKind, Tensor, Value, View, topological},
    reference::{Key, Ranged},
    shape::Shape,
};
use std::collections::HashMap;

/// Lines that record these tensors, ending in `[…]`: the tensors themselves. They stand in a function that returns
/// [`Result`] and imports `addax_tensor::{*, graph::*}`.
pub fn to_rust(roots: &[Tensor]) -> String {
    let mut printer = Printer::default();
    printer.graph(roots, "");
    printer.lines.push(format!("[{}]", printer.names(roots).join(", ")));
    printer.lines.join("\n")
}

#[derive(Default)]
struct Printer {
    names: HashMap<Key, String>,
    lines: Vec<String>,
    count: usize,
}

impl Printer {
    fn graph(&mut self, roots: &[Tensor], indent: &str) {
        for tensor in topological(roots, |t| t.node().leaf_values().is_some()) {
            let node = tensor.node();
            if self.names.contains_key(&(node.id(), 0)) {
                continue;
            }
            let body = match node.op() {
                Op::Call(body) | Op::Scan(body, _) => Some(self.body(body, indent)),
                _ => None,
            };
            let name = format!("t{}", self.count);
            self.count += 1;
            let expression = self.expression(&tensor, body).unwrap_or_else(|error| format!("/* {error} */"));
            self.lines.push(format!("{indent}let {name} = {expression};"));
            for out in 0..node.metas().len() {
                let own = if body_of(node.op()) { format!("{name}[{out}]") } else { name.clone() };
                self.names.insert((node.id(), out as u16), own);
            }
        }
    }

    /// Lines for a body; its name.
    fn body(&mut self, body: &Body, indent: &str) -> String {
        let name = format!("body{}", self.count);
        self.count += 1;
        let meta = |p: &Tensor| {
            p.meta().map_or(String::new(), |m| format!("Meta::new(DType::{:?}, {})", m.dtype, shape(&m.shape)))
        };
        let metas: Vec<_> = body.params.iter().map(meta).collect();
        self.lines.push(format!(
            "{indent}let {name} = Body::new({:?}, &[{}], |{name}| {{",
            body.name,
            metas.join(", ")
        ));
        for (i, param) in body.params.iter().enumerate() {
            self.names.insert(param.key(), format!("{name}[{i}]"));
        }
        let inner = format!("{indent}    ");
        self.graph(&body.outputs, &inner);
        let outputs = self.names(&body.outputs).into_iter().map(|name| format!("{name}.clone()")).collect::<Vec<_>>();
        self.lines.push(format!("{inner}Ok(vec![{}])", outputs.join(", ")));
        let how = if body.recompute { ".recomputed()" } else { "" };
        self.lines.push(format!("{indent}}})?{how};"));
        name
    }

    fn names(&self, tensors: &[Tensor]) -> Vec<String> {
        tensors.iter().map(|t| self.names.get(&t.key()).cloned().unwrap_or_else(|| "_".into())).collect()
    }

    fn expression(&self, tensor: &Tensor, body: Option<String>) -> Result<String> {
        let node = tensor.node();
        if let Some(Value::Host(array)) = tensor.value() {
            return leaf(&Ranged::from_array(array)?);
        }
        let meta = tensor.meta()?;
        let inputs = self.names(&node.inputs());
        let owned = || inputs.iter().map(|name| format!("{name}.clone()")).collect::<Vec<_>>().join(", ");
        let first = inputs.first().map_or("", String::as_str);
        let second = inputs.get(1).map_or("", String::as_str);
        let third = inputs.get(2).map_or("", String::as_str);
        Ok(match node.op() {
            Op::Leaf => "/* a value on a device */".into(),
            Op::Param(i) => format!("Tensor::placeholder({i}, DType::{:?}, {})", meta.dtype, shape(&meta.shape)),
            Op::Scalar(value) => format!("Tensor::full(DType::{:?}, (), {})", meta.dtype, scalar(*value)),
            Op::Unary(op) => format!("{first}.unary(Unary::{op:?})"),
            Op::Binary(op) => binary(*op, first, second),
            Op::Select => format!("{first}.select(&{second}, &{third})"),
            Op::Cast => format!("{first}.cast(DType::{:?})", meta.dtype),
            Op::View(View::Reshape(to)) => format!("{first}.reshape({})", shape(to)),
            Op::View(View::Permute(order)) => format!("{first}.permute({order:?})"),
            Op::View(View::Broadcast(to)) => format!("{first}.broadcast_to({})", shape(to)),
            Op::View(View::Slice(axes)) => format!("{first}.slice_axes({axes:?})"),
            Op::View(View::Pad(pads, value)) => format!("{first}.pad({pads:?}, {})", scalar(*value)),
            Op::View(View::Flip(axes)) => format!("{first}.flip({axes:?})"),
            Op::Concat(axis) => format!("Tensor::concat(&[{}], {axis})", owned()),
            Op::Reduce(op, axes) => format!("{first}.reduce(ReduceOp::{op:?}, {axes:?})"),
            Op::MatMul(how) => format!("{first}.matmul_with(&{second}, {how:?})"),
            Op::Conv2d(ConvKind::Forward, conv) => format!("{first}.conv2d(&{second}, {conv:?})"),
            Op::Conv2d(ConvKind::InputGrad(to), conv) => {
                format!("{first}.conv2d_input_grad(&{second}, {}, {conv:?})", shape(to))
            }
            Op::Conv2d(ConvKind::FilterGrad(to), conv) => {
                format!("{first}.conv2d_filter_grad(&{second}, {}, {conv:?})", shape(to))
            }
            Op::Pool2d(PoolKind::Max, pool) => format!("{first}.max_pool2d({pool:?})"),
            Op::Pool2d(PoolKind::MaxGrad, pool) => format!("{first}.max_pool2d_grad(&{second}, {pool:?})"),
            Op::Pool2d(PoolKind::MaxGather, pool) => format!("{first}.max_pool2d_gather(&{second}, {pool:?})"),
            Op::Pool2d(PoolKind::Avg, pool) => format!("{first}.avg_pool2d({pool:?})"),
            Op::Pool2d(PoolKind::AvgGrad(to), pool) => format!("{first}.avg_pool2d_grad({}, {pool:?})", shape(to)),
            Op::Gather(axis) => format!("{first}.gather(&{second}, {axis})"),
            Op::ScatterAdd(axis) => {
                let len = meta.shape.get(*axis).copied().unwrap_or(0);
                format!("{second}.scatter_add(&{first}, {axis}, {len})")
            }
            Op::Line(LineKind::Cumulate(how), axis) => format!("{first}.cumulate({how:?}, {axis})"),
            Op::Line(LineKind::ArgSort { descending }, axis) => format!("{first}.argsort({axis}, {descending})"),
            Op::Line(LineKind::Take, axis) => format!("{first}.take_along_axis(&{second}, {axis})"),
            Op::Line(LineKind::Add, axis) => {
                let len = meta.shape.get(*axis).copied().unwrap_or(0);
                format!("{second}.add_along_axis(&{first}, {axis}, {len})")
            }
            Op::RandomBits { stream } => format!("random::bits(&{first}, {stream}, {})", shape(&meta.shape)),
            Op::Iota(axis) => format!("Tensor::iota(DType::{:?}, {}, {axis})", meta.dtype, shape(&meta.shape)),
            Op::StopGradient => format!("{first}.stop_gradient()"),
            Op::Call(_) => format!("Tensor::call(&{}, &[{}])?", body.unwrap_or_default(), owned()),
            Op::Scan(_, spec) => format!("Tensor::scan(&{}, {spec:?}, &[{}])?", body.unwrap_or_default(), owned()),
            Op::Error(error) => return Err(error.clone()),
        })
    }
}

fn body_of(op: &Op) -> bool {
    matches!(op, Op::Call(_) | Op::Scan(..))
}

fn binary(op: Binary, a: &str, b: &str) -> String {
    match op {
        Binary::Add => format!("&{a} + &{b}"),
        Binary::Sub => format!("&{a} - &{b}"),
        Binary::Mul => format!("&{a} * &{b}"),
        Binary::Div => format!("&{a} / &{b}"),
        Binary::Rem => format!("&{a} % &{b}"),
        Binary::Pow => format!("{a}.pow(&{b})"),
        Binary::Max => format!("{a}.maximum(&{b})"),
        Binary::Min => format!("{a}.minimum(&{b})"),
        Binary::And => format!("{a}.logical_and(&{b})"),
        Binary::Or => format!("{a}.logical_or(&{b})"),
        Binary::Xor => format!("{a}.logical_xor(&{b})"),
        Binary::Shl => format!("{a}.shift_left(&{b})"),
        Binary::Shr => format!("{a}.shift_right(&{b})"),
        Binary::Eq => format!("{a}.equal(&{b})"),
        Binary::Ne => format!("{a}.not_equal(&{b})"),
        Binary::Lt => format!("{a}.less(&{b})"),
        Binary::Le => format!("{a}.less_equal(&{b})"),
    }
}

fn shape(shape: &Shape) -> String {
    if shape.rank() == 0 { "()".into() } else { format!("{shape}") }
}

fn scalar(value: Scalar) -> String {
    match value {
        Scalar::Float(v) => float(v),
        Scalar::Int(v) => format!("{v}i64"),
        Scalar::Bool(v) => format!("{v}"),
    }
}

fn float(v: f64) -> String {
    match v {
        _ if v.is_nan() => "f64::NAN".into(),
        _ if v.is_infinite() => format!("{}f64::INFINITY", if v < 0.0 { "-" } else { "" }),
        _ => format!("{v:?}"),
    }
}

fn leaf(data: &Ranged) -> Result<String> {
    let dtype = data.meta.dtype;
    let element = |&v: &f64| match dtype {
        DType::Bool => format!("{}", v != 0.0),
        _ if dtype.is_int() => format!("{v}"),
        // The shortest digits that give this `f32` again.
        _ if v.is_finite() => format!("{:?}", v as f32),
        _ => float(v).replace("f64", "f32"),
    };
    let mut elements: Vec<_> = data.value.iter().map(element).collect();
    let suffix = match dtype {
        DType::Bool => "",
        DType::I32 => "i32",
        DType::U32 => "u32",
        DType::U8 => "u8",
        _ => "f32",
    };
    if let Some(first) = elements.first_mut()
        && !first.ends_with(char::is_alphabetic)
    {
        first.push_str(suffix);
    }
    if elements.is_empty() {
        return Ok(format!("Tensor::full(DType::{dtype:?}, {}, 0).detach()?", shape(&data.meta.shape)));
    }
    let made = format!("Tensor::from_vec([{}], {})", elements.join(", "), shape(&data.meta.shape));
    Ok(match dtype {
        DType::F16 | DType::BF16 => format!("{made}.cast(DType::{dtype:?}).detach()?"),
        _ => made,
    })
}
