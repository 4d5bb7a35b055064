//! Compiled for browsers only (`cargo xtask wasm`) and called by nobody: that everything a program there needs can be awaited, and
//! that what would wait does not exist.
#![allow(dead_code, reason = "to be compiled is all it is for")]

use crate::{Array, DType, Device, Program, Recording, Result, Tensor, Variable, run};

/// A program from the device to the numbers.
async fn everything_can_be_awaited() -> Result<Vec<f32>> {
    #[cfg(feature = "gpu")]
    Device::set_default(&Device::gpu_async().await?);
    let device = Device::try_default()?;
    let w = Variable::new_async(Tensor::ones([2])).await;
    let count = Variable::state_async(Tensor::zeros([])).await;
    let x = Tensor::placeholder(0, DType::F32, [2]);
    let y = &x * w.value();
    let program = Program::capture_async(&device, &[x], &[y], &[], &[w.clone()]).await?;
    let out = program.run_async(&[&Array::new([2], &[1.0f32, 2.0])?]).await?;
    Recording::default().capture_async(&device).await?;
    Tensor::eval_async(&out).await?;
    w.assign_async(&out[0]).await?;
    run::step_async(&[], vec![(count.clone(), count.value() + 1.0)]).await?;
    let (_, _) = (out[0].detach_async().await?, out[0].watch_async().await?);
    let (_, _) = (out[0].to_array_async().await?, count.value().item_async::<f32>().await?);
    device.reopen_async().await?;
    out[0].to_vec_async().await
}

struct Absent;

/// Stands in for methods of these names: a type's own ones would come before, and return something else.
trait Waits: Sized {
    fn eval(_: &[Tensor]) -> Absent {
        Absent
    }
    fn to_array(&self) -> Absent {
        Absent
    }
    fn to_vec(&self) -> Absent {
        Absent
    }
    fn item(&self) -> Absent {
        Absent
    }
    fn detach(&self) -> Absent {
        Absent
    }
    fn watch(&self) -> Absent {
        Absent
    }
    fn new(_: Tensor) -> Absent {
        Absent
    }
    fn state(_: Tensor) -> Absent {
        Absent
    }
    fn assign(&self, _: &Tensor) -> Absent {
        Absent
    }
    fn capture(_: &Device) -> Absent {
        Absent
    }
    fn run(&self, _: &[&Array]) -> Absent {
        Absent
    }
    fn gpu() -> Absent {
        Absent
    }
    fn reopen(&self) -> Absent {
        Absent
    }
}
impl Waits for Tensor {}
impl Waits for Variable {}
impl Waits for Program {}
impl Waits for Device {}

/// Functions of the same names in two globs would be ambiguous.
mod functions {
    use super::Absent;
    pub(super) fn step() -> Absent {
        Absent
    }
    pub(super) fn step_and_rung() -> Absent {
        Absent
    }
    pub(super) fn block_on() -> Absent {
        Absent
    }
}

fn nothing_waits(x: &Tensor, w: &Variable, program: &Program, device: &Device) -> [Absent; 16] {
    #[allow(unused_imports, reason = "nothing of these is meant to be found")]
    use crate::{platform::*, run::*};
    use functions::*;
    [
        Tensor::eval(&[]),
        x.to_array(),
        x.to_vec(),
        x.item(),
        x.detach(),
        x.watch(),
        Variable::new(x.clone()),
        Variable::state(x.clone()),
        w.assign(x),
        Program::capture(device),
        program.run(&[]),
        Device::gpu(),
        device.reopen(),
        step(),
        step_and_rung(),
        block_on(),
    ]
}
