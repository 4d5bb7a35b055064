//! From a kernel of a plan to dispatches: WGSL text, bindings and workgroups. Pure: no device is touched.

mod axes;
mod cell;
mod choice;
mod conv2d;
mod line;
mod map;
mod matmul;
mod pool2d;
mod reduce;
mod rows;
mod text;
mod words;

pub use choice::{MAX_ROW_INSTS, Tuning, max_row, scratch};
pub use text::{Binding, Job, Moving};

use crate::{
    error::{Error, Result},
    plan::Core,
};
use addax_shaders::{Parameters, Shader, kernels::kernel};
use text::Text;

/// One dispatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// What the shader table calls it.
    pub name: &'static str,
    /// WGSL with the entry point `main`.
    pub text: String,
    /// Workgroups.
    pub groups: [u32; 3],
    /// Bindings of group 0, then the scalars if they are read, then the moving offsets if there are any.
    pub bindings: Vec<Binding>,
    /// Whether scalars are read.
    pub scalars: bool,
    /// Element offsets that loops move.
    pub moving: Vec<Moving>,
}

/// The dispatches of a kernel, in order.
pub fn passes(job: &Job, tuning: &Tuning) -> Result<Vec<Pass>> {
    let result = match &job.kernel.core {
        Core::Map | Core::Gather { .. } | Core::ScatterAdd { .. } | Core::Line { .. } => map::passes(job),
        Core::Reduce { op, space, reduced, load } => reduce::passes(job, tuning, *op, space, reduced, load),
        Core::Rows { .. } => rows::passes(job, tuning),
        Core::MatMul { k, a, b } => matmul::passes(job, tuning, *k, a, b),
        Core::Conv2d { kind, conv, operands } => conv2d::passes(job, tuning, kind, conv, operands),
        Core::Pool2d { kind, pool, operands } => pool2d::passes(job, kind, pool, operands),
    };
    result.map_err(|e| Error::device(format!("kernel \"{}\" has no shader: {e}", job.kernel.label)))
}

/// A kernel of the shader table with these holes, its parameters in the text.
struct Family<'a> {
    name: &'static str,
    variant: &'a str,
    flags: Vec<&'static str>,
    params: Vec<u64>,
    /// Rows, columns and layers of the result, as the table counts them.
    extent: [u64; 3],
}

impl Family<'_> {
    fn pass(self, holes: Text) -> Result<Pass> {
        let name = self.name;
        let missing = |what: &str| Error::device(format!("the table of shaders has no {what} \"{name}\""));
        let kernel = kernel(name).ok_or_else(|| missing("kernel"))?;
        let variant = kernel.variant(self.variant).ok_or_else(|| missing("such variant of"))?;
        let [rows, cols, layers] = self.extent;
        let groups = kernel
            .groups(rows, cols, layers)
            .ok_or_else(|| Error::device(format!("a result of {rows} x {cols} x {layers} has too many workgroups")))?;
        let mut values = Vec::new();
        for value in self.params {
            let value = u32::try_from(value)
                .map_err(|_| Error::device(format!("an extent of {value} is more than shaders can count")))?;
            values.push(format!("{value}u"));
        }
        let values = values.join(", ");
        let (bindings, scalars, moving) = (holes.bindings.clone(), holes.scalars, holes.moving.clone());
        let holes = holes.finish();
        let mut shader = Shader::new(kernel).variant(variant).parameters(Parameters::Baked(&values)).holes(&holes);
        for flag in self.flags {
            shader = shader.flag(flag);
        }
        let text = shader.wgsl().map_err(|e| Error::device(e.to_string()))?;
        Ok(Pass { name, text, groups, bindings, scalars, moving })
    }
}
