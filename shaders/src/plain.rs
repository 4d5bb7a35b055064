//! Holes for dense row-major buffers without anything fused: what a kernel alone needs to run, and what tests compile.

use crate::kernels::{Kernel, Variant};
use std::fmt::Write;

/// Text for a kernel's holes, and what it declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    /// Fields that follow the kernel's own in `Params`.
    pub fields: &'static str,
    /// Bindings and functions.
    pub holes: String,
    /// Whether the binding `@group(0) @binding(i)` is written.
    pub written: Vec<bool>,
}

/// Collects bindings and functions.
struct Holes {
    text: String,
    written: Vec<bool>,
}

impl Holes {
    fn binding(&mut self, name: &str, element: &str, written: bool) {
        let access = if written { "read_write" } else { "read" };
        let index = self.written.len();
        // Writing to a String cannot fail.
        let _ =
            writeln!(self.text, "@group(0) @binding({index}) var<storage, {access}> buffer_{name}: array<{element}>;");
        self.written.push(written);
    }

    /// An input read by `load_NAME(arguments)` at `index`, or `load_NAME4` in vectors.
    fn load(&mut self, name: &str, arguments: &str, index: &str, vec4: bool) {
        self.binding(name, if vec4 { "vec4<f32>" } else { "f32" }, false);
        let (four, element, index) =
            if vec4 { ("4", "vec4<f32>", format!("({index}) / 4u")) } else { ("", "f32", index.to_owned()) };
        let _ =
            writeln!(self.text, "fn load_{name}{four}({arguments}) -> {element} {{ return buffer_{name}[{index}]; }}");
    }

    /// The output, written by `store(arguments, value)` at `index`, or `store4` in vectors.
    fn store(&mut self, arguments: &str, index: &str, element: &str, vec4: bool) {
        let element = if vec4 { "vec4<f32>" } else { element };
        self.binding("out", element, true);
        let (four, index) = if vec4 { ("4", format!("({index}) / 4u")) } else { ("", index.to_owned()) };
        let _ = writeln!(self.text, "fn store{four}({arguments}, value: {element}) {{ buffer_out[{index}] = value; }}");
    }
}

const PIXEL: &str = "b: u32, y: u32, x: u32, channel: u32";

/// Holes for `kernel` in this variant with these flags.
///
/// Operands are dense and in the order of the binding numbers: inputs as the kernel's head names them, then the output.
/// `matmul` reads A as `[batch, m, k]`, or `[batch, k, m]` with `A_BY_M`; B as `[batch, k, n]`, or `[batch, n, k]` with
/// `B_BY_K`. `map` computes `exp(x)`, and `rows` a softmax over rows of `length`, its one field.
pub fn plain(kernel: &Kernel, variant: &Variant, flags: &[&str]) -> Plain {
    let mut holes = Holes { text: String::new(), written: Vec::new() };
    let has = |word: &str| flags.contains(&word) || variant.defines.iter().any(|(name, _)| *name == word);
    let (a4, b4, c4) = (has("A_VEC4"), has("B_VEC4"), has("C_VEC4"));
    let mut fields = "";
    match kernel.file {
        "matmul" => {
            let a = if has("A_BY_M") {
                "(batch * params.k + k) * params.m + row"
            } else {
                "(batch * params.m + row) * params.k + k"
            };
            let b = if has("B_BY_K") {
                "(batch * params.n + col) * params.k + k"
            } else {
                "(batch * params.k + k) * params.n + col"
            };
            holes.load("a", "batch: u32, row: u32, k: u32", a, a4);
            holes.load("b", "batch: u32, k: u32, col: u32", b, b4);
            holes.store("batch: u32, row: u32, col: u32", "(batch * params.m + row) * params.n + col", "f32", c4);
        }
        "conv2d" => {
            let x = "((b * params.height + y) * params.width + x) * (params.cin * params.groups) + channel";
            let y = "((b * params.out_height + y) * params.out_width + x) * (params.cout * params.groups) + channel";
            let w = "(tap * params.cin + c) * (params.cout * params.groups) + o";
            if has("INPUT_GRAD") {
                holes.load("dy", PIXEL, y, a4);
            } else {
                holes.load("x", PIXEL, x, a4);
            }
            if has("FILTER_GRAD") {
                holes.load("dy", PIXEL, y, b4);
                let parts = "((split * params.kernel_height * params.kernel_width + tap) * params.cin + c)
                    * (params.cout * params.groups) + o";
                holes.store("split: u32, tap: u32, c: u32, o: u32", parts, "f32", c4);
            } else {
                holes.load("w", "tap: u32, c: u32, o: u32", w, b4);
                holes.store(PIXEL, if has("INPUT_GRAD") { x } else { y }, "f32", c4);
            }
        }
        "pool2d" => {
            let x = "((b * params.height + y) * params.width + x) * params.channels + channel";
            let y = "((b * params.out_height + y) * params.out_width + x) * params.channels + channel";
            let input_side = has("INPUT_SIDE");
            if has("NEEDS_PLACE") || has("AVERAGE") {
                holes.load("x", PIXEL, x, false);
            }
            if has("MAX_GATHER") {
                holes.load("v", PIXEL, x, false);
            }
            if input_side {
                holes.load("dy", PIXEL, y, false);
            }
            holes.store(PIXEL, if input_side { x } else { y }, "f32", false);
        }
        "reduce" => {
            let element = variant.defines.iter().find(|(name, _)| *name == "T").map_or("f32", |(_, value)| value);
            holes.binding("in", element, false);
            let at = "(outer: u32, reduced: u32, inner: u32)";
            let index = "[(outer * params.reduced + reduced) * params.inner + inner]";
            let _ = writeln!(holes.text, "fn load{at} -> {element} {{ return buffer_in{index}; }}");
            if has("ARG") && has("PARTIALS") {
                holes.binding("places_in", "u32", false);
                let _ = writeln!(holes.text, "fn load_index{at} -> u32 {{ return buffer_places_in{index}; }}");
            }
            if has("ARG") {
                holes.binding("out", element, true);
                holes.binding("places", "u32", true);
                let _ = writeln!(
                    holes.text,
                    "fn store(outer: u32, inner: u32, value: {element}, index: u32) {{
    let at = outer * params.inner + inner;
    buffer_out[at] = value;
    buffer_places[at] = index;
}}"
                );
            } else {
                holes.store("outer: u32, inner: u32", "outer * params.inner + inner", element, false);
            }
        }
        "rows" => {
            fields = "length: u32,";
            holes.binding("x", "f32", false);
            holes.binding("out", "f32", true);
            holes.text.push_str(
                "fn combine(stage: u32, a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let x = bitcast<f32>(a.x);
    let y = bitcast<f32>(b.x);
    let largest = select(x, y, y > x || is_nan(y));
    return vec2<u32>(bitcast<u32>(select(x + y, largest, stage == 0u)), 0u);
}
fn row_stages(row: u32, lane: u32, stored: bool) {
    let start = row * params.length;
    var top = buffer_x[start];
    for (var i = lane; i < params.length; i += LANES) {
        let x = buffer_x[start + i];
        top = select(top, x, x > top || is_nan(x));
    }
    top = bitcast<f32>(row_reduce(0u, vec2<u32>(bitcast<u32>(top), 0u)).x);
    var sum = 0.0;
    for (var i = lane; i < params.length; i += LANES) {
        sum += math_exp(buffer_x[start + i] - top);
    }
    sum = bitcast<f32>(row_reduce(1u, vec2<u32>(bitcast<u32>(sum), 0u)).x);
    if (stored) {
        for (var i = lane; i < params.length; i += LANES) {
            buffer_out[start + i] = math_exp(buffer_x[start + i] - top) / sum;
        }
    }
}
",
            );
        }
        _ => {
            holes.binding("x", "f32", false);
            holes.binding("out", "f32", true);
            holes.text.push_str(
                "fn body(first: u32, lanes: u32) {
    for (var i = first; i < first + lanes; i += 1u) {
        buffer_out[i] = math_exp(buffer_x[i]);
    }
}
",
            );
        }
    }
    Plain { fields, holes: holes.text, written: holes.written }
}
