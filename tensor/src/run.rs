//! One run: bind leases everything, compute writes temporaries, commit writes state.
//!
//! What may take long is awaited first: opening, compiling, reading from other devices. From bind to commit nothing is awaited,
//! as variables are held meanwhile: running only submits.

use crate::{
    array::Array,
    device::Device,
    error::{Error, ErrorKind, Result},
    executor::Bound,
    graph::{Meta, Op, Tensor, Value},
    memory::Storage,
    plan::{
        Source,
        cache::{PlanCache, Prepared},
        split::Rung,
        trace::{Feeds, Traced, trace},
    },
    runs::patiently,
    variable::{Held, Variable},
    workspace::Workspace,
};
use std::sync::Arc;

/// The error of a computed tensor without a value, which there should not be.
pub(crate) fn no_value() -> Error {
    Error::device("a computed tensor has no value")
}

/// Copies a value to the host.
pub(crate) async fn read(value: &Value, meta: &Meta) -> Result<Array> {
    match value {
        Value::Host(array) => Ok(array.as_ref().clone()),
        Value::Device(storage) => {
            let executor = storage.device().executor();
            let bytes = executor.read(&storage.bound().buffer, 0..meta.bytes()).await?;
            Array::from_bytes(meta.dtype, &meta.shape, bytes)
        }
    }
}

/// [`read`] for those who cannot await.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn read_now(value: &Value, meta: &Meta) -> Result<Array> {
    crate::platform::block_on(read(value, meta))
}
/// [`read`] for those who cannot await: a browser's thread cannot wait either.
#[cfg(target_arch = "wasm32")]
pub(crate) fn read_now(value: &Value, _meta: &Meta) -> Result<Array> {
    match value {
        Value::Host(array) => Ok(array.as_ref().clone()),
        Value::Device(_) => Err(Error::device("a value on a device cannot be read without awaiting here")),
    }
}

/// Computes tensors that have no value yet.
pub(crate) async fn evaluate(tensors: &[Tensor]) -> Result<()> {
    let mut missing: Vec<Tensor> = Vec::new();
    for tensor in tensors {
        tensor.check()?;
        if tensor.value().is_none() && !missing.iter().any(|m| m.same(tensor)) {
            missing.push(tensor.clone());
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let (traced, feeds) = trace(&[], &missing, &[])?;
    let device = device_of(&feeds.inputs)?;
    let (values, _) = once(&device, traced, &feeds, &[]).await?;
    for (tensor, value) in missing.iter().zip(values) {
        tensor.node().set_value(tensor.output_index(), Value::Device(value));
    }
    Ok(())
}

/// One step: computes `outputs` and commits `updates`. Returns the outputs as new leaves.
///
/// On failure every variable is as it was. Variables are assigned together, after everything is computed.
#[cfg(not(target_arch = "wasm32"))]
pub fn step(outputs: &[Tensor], updates: Vec<(Variable, Tensor)>) -> Result<Vec<Tensor>> {
    crate::platform::block_on(step_async(outputs, updates)).map(|(values, _)| values)
}

/// [`step`], and how far down the memory ladder it went.
#[cfg(not(target_arch = "wasm32"))]
pub fn step_and_rung(outputs: &[Tensor], updates: Vec<(Variable, Tensor)>) -> Result<(Vec<Tensor>, Rung)> {
    crate::platform::block_on(step_async(outputs, updates))
}

/// [`step_and_rung`], awaited: the future is done when everything is submitted. The recorded graph of the updates is let go before
/// it runs, so that storage which only that held is updated in place.
pub async fn step_async(outputs: &[Tensor], updates: Vec<(Variable, Tensor)>) -> Result<(Vec<Tensor>, Rung)> {
    let mut updates = updates;
    updates.sort_by_key(|(variable, _)| variable.id());
    for pair in updates.windows(2) {
        if pair[0].0 == pair[1].0 {
            return Err(Error::argument(format!("variable \"{}\" is assigned twice in one step", pair[0].0.name())));
        }
    }
    for (variable, value) in &updates {
        value.check()?;
        variable.check_fits(value)?;
    }
    let metas = outputs.iter().map(|t| Ok((t.meta()?.clone(), t.origin()))).collect::<Result<Vec<_>>>()?;
    let (traced, feeds) = trace(&[], outputs, &updates)?;
    let states: Vec<Variable> = updates.iter().map(|(variable, _)| variable.clone()).collect();
    let leaves: Vec<Tensor> = feeds.inputs.iter().cloned().chain(states.iter().map(Variable::value)).collect();
    let device = device_of(&leaves)?;
    drop((leaves, updates));
    let (values, rung) = once(&device, traced, &feeds, &states).await?;
    let leaf = |((meta, origin), value)| Tensor::leaf(Value::Device(value), meta, false, origin);
    Ok((metas.into_iter().zip(values).map(leaf).collect(), rung))
}

/// The device that data lies on; the default one if all of it lies on the host.
pub(crate) fn device_of(leaves: &[Tensor]) -> Result<Device> {
    let device = leaves.iter().find_map(|leaf| match leaf.value() {
        Some(Value::Device(storage)) => Some(storage.device().clone()),
        _ => None,
    });
    match device {
        Some(device) => Ok(device),
        None => Device::try_default(),
    }
}

/// Plans a graph, binds fresh memory, runs, returns the outputs and the rung that they were computed on.
async fn once(device: &Device, traced: Traced, feeds: &Feeds, states: &[Variable]) -> Result<(Vec<Storage>, Rung)> {
    let inputs = resident(device, &traced, feeds, 0, states).await?;
    let bound: Vec<Bound> = inputs.iter().map(Storage::bound).collect();
    let room = room(device, 0, &hold(device, states).await?);
    let mut prepared = PlanCache::prepare(device, traced, feeds.labels.clone(), room).await?;
    let attempt = |prepared: &Prepared, states: &mut [Held]| {
        let mut outputs = Vec::new();
        for buffer in &prepared.plan.buffers {
            if let Source::Output(_) = buffer.source {
                outputs.push(device.alloc(buffer.bytes)?);
            }
        }
        execute(device, prepared, &bound, &outputs, states, &feeds.scalars)?;
        Ok((outputs, prepared.plan.rung))
    };
    descend(device, &mut prepared, 0, states, attempt).await
}

/// A graph's inputs from this one on, on the device. Where one has no room, the refusal is that of the whole step.
pub(crate) async fn resident(
    device: &Device,
    traced: &Traced,
    feeds: &Feeds,
    first: usize,
    states: &[Variable],
) -> Result<Vec<Storage>> {
    let mut inputs = Vec::new();
    for input in feeds.inputs.iter().skip(first) {
        match on_device(device, input).await {
            Ok(storage) => inputs.push(storage),
            Err(error) => {
                drop(inputs);
                let moved = replacements(device, &hold(device, states).await?);
                let base = device.staying() + absent(device, &feeds.inputs) + moved;
                return Err(PlanCache::refused_graph(device, traced, &feeds.labels, error, base));
            }
        }
    }
    Ok(inputs)
}

/// Tries a step, and when memory is refused, again on a lower rung of the ladder, as long as there is one. A refusal comes before
/// anything ran, so nothing is undone. `prepared` is left at the rung that worked; `leased` bytes of what it needs are held already.
/// The states are held during an attempt, not while a plan is awaited.
pub(crate) async fn descend<T>(
    device: &Device,
    prepared: &mut Arc<Prepared>,
    leased: u64,
    states: &[Variable],
    mut attempt: impl FnMut(&Prepared, &mut [Held]) -> Result<T>,
) -> Result<T> {
    let mut hopeful = true;
    loop {
        let (error, moved) = {
            let mut held = hold(device, states).await?;
            match patiently(device, || attempt(prepared, &mut held)) {
                Err(error) if error.is_out_of_memory() => (error, replacements(device, &held)),
                other => return other,
            }
        };
        let room = (device.room() + leased).saturating_sub(moved);
        match PlanCache::smaller(device, prepared, room).await? {
            Some(smaller) => *prepared = smaller,
            // The last try is at what the user allows.
            None if !hopeful || !device.forget_refusals() => {
                let base = device.staying().saturating_sub(leased) + moved;
                return Err(PlanCache::refused(device, prepared, error, base));
            }
            None => hopeful = false,
        }
    }
}

/// Bytes that a plan may take which moves these states; `leased` bytes of what it needs are held already.
pub(crate) fn room(device: &Device, leased: u64, states: &[Held]) -> u64 {
    (device.room() + leased).saturating_sub(replacements(device, states))
}

/// Keeps others from reading or assigning states while they are bound. None of them lies on another device then.
pub(crate) async fn hold<'v>(device: &Device, states: &'v [Variable]) -> Result<Vec<Held<'v>>> {
    loop {
        for state in states {
            fetch(device, state).await?;
        }
        let held: Vec<Held> = states.iter().map(Variable::hold).collect();
        // Somebody may have assigned one meanwhile.
        if held.iter().all(|state| elsewhere(device, state.current()).is_none()) {
            return Ok(held);
        }
    }
}

/// Takes a variable's value to the host if it lies on another device; from there any step can take it to its own.
async fn fetch(device: &Device, variable: &Variable) -> Result<()> {
    let far = {
        let held = variable.hold();
        elsewhere(device, held.current()).map(|_| held.current().clone())
    };
    if let Some(tensor) = far
        && let Some(value) = tensor.value()
    {
        let array = read(value, tensor.meta()?).await?;
        let mut held = variable.hold();
        if held.current().same(&tensor) {
            held.moved(Value::Host(Arc::new(array)));
        }
    }
    Ok(())
}

/// A tensor's storage, if that lies on another device.
fn elsewhere<'t>(device: &Device, tensor: &'t Tensor) -> Option<&'t Storage> {
    match tensor.value() {
        Some(Value::Device(storage)) if storage.device() != device => Some(storage),
        _ => None,
    }
}

/// Bytes that binding these states takes, because others hold their storage too.
pub(crate) fn replacements(device: &Device, states: &[Held]) -> u64 {
    let needs = |state: &&Held| match state.current().value() {
        Some(Value::Device(storage)) => {
            storage.device() != device || !state.current().only_handle() || !storage.is_unique()
        }
        _ => true,
    };
    let bytes = |state: &Held| state.current().meta().map_or(0, Meta::bytes);
    states.iter().filter(needs).map(bytes).sum()
}

/// Bytes of leaves that do not lie on the device yet.
pub(crate) fn absent(device: &Device, leaves: &[Tensor]) -> u64 {
    let away = |leaf: &&Tensor| !matches!(leaf.value(), Some(Value::Device(storage)) if storage.device() == device);
    leaves.iter().filter(away).filter_map(|leaf| leaf.meta().ok()).map(Meta::bytes).sum()
}

/// A leaf's storage on this device; host data and data of other devices is copied there.
pub(crate) async fn on_device(device: &Device, leaf: &Tensor) -> Result<Storage> {
    match leaf.value() {
        Some(value @ Value::Device(_)) if elsewhere(device, leaf).is_some() => {
            upload(device, &read(value, leaf.meta()?).await?)
        }
        Some(Value::Device(storage)) => Ok(storage.clone()),
        Some(Value::Host(array)) => upload(device, array),
        None => Err(unreadable(leaf)),
    }
}

/// Host data on a device.
pub(crate) fn upload(device: &Device, array: &Array) -> Result<Storage> {
    let storage = alloc_or_trim(device, array.bytes().len() as u64)?;
    device.executor().write(&storage.bound().buffer, 0, array.bytes())?;
    Ok(storage)
}

/// Binds, computes and commits. Everything that can be refused is refused before the first kernel runs.
pub(crate) fn execute(
    device: &Device,
    prepared: &Prepared,
    inputs: &[Bound],
    outputs: &[Storage],
    states: &mut [Held],
    scalars: &[u32],
) -> Result<()> {
    let plan = &prepared.plan;
    let mut replaced = Vec::new();
    let mut state_storages = Vec::with_capacity(states.len());
    for (n, state) in states.iter().enumerate() {
        let (storage, fresh) = own_storage(device, state.current())?;
        if fresh {
            replaced.push((n, storage.clone()));
        }
        state_storages.push(storage);
    }
    let workspace = Workspace::lease(device, plan)?;
    let bind = |source: Source| match source {
        Source::Input(n) => inputs.get(n).cloned(),
        Source::State(n) => state_storages.get(n).map(Storage::bound),
        Source::Output(n) => outputs.get(n).map(Storage::bound),
        shared => workspace.bound(shared),
    };
    let bound: Option<Vec<Bound>> = plan.buffers.iter().map(|buffer| bind(buffer.source)).collect();
    let bound = bound.ok_or_else(|| Error::device("a buffer of the plan was not bound"))?;
    let result = device.executor().run(&prepared.code, &bound, scalars);
    drop(bound);
    workspace.give_back(device);
    result?;
    for (n, storage) in replaced {
        states[n].replace(Value::Device(storage));
    }
    Ok(())
}

/// Storage that a held state may be updated in, and whether it is new: nobody else may hold it.
fn own_storage(device: &Device, current: &Tensor) -> Result<(Storage, bool)> {
    match current.value() {
        Some(Value::Device(storage)) if current.only_handle() && storage.is_unique() => Ok((storage.clone(), false)),
        Some(Value::Device(storage)) => {
            device.count_replaced();
            let own = alloc_or_trim(device, storage.bytes())?;
            device.executor().copy(&storage.bound().buffer, &own.bound().buffer, storage.bytes())?;
            Ok((own, true))
        }
        Some(Value::Host(array)) => Ok((upload(device, array)?, true)),
        None => Err(no_value()),
    }
}

/// Memory for something that stays; the shared workspace, which can be had again, gives way to it.
pub(crate) fn alloc_or_trim(device: &Device, bytes: u64) -> Result<Storage> {
    let attempt = || {
        device.alloc(bytes).or_else(|error| match error.is_out_of_memory() {
            true => {
                device.trim();
                device.forget_refusals();
                device.alloc(bytes)
            }
            false => Err(error),
        })
    };
    patiently(device, attempt)
}

/// The error of reading a placeholder.
pub(crate) fn unreadable(tensor: &Tensor) -> Error {
    let what = match (tensor.node().op(), tensor.meta()) {
        (Op::Param(i), Ok(Meta { shape, dtype })) => format!("placeholder {i} ({dtype} {shape})"),
        _ => "a placeholder".into(),
    };
    let inside = tensor.node().scope().map(|scope| format!(" inside layer \"{scope}\"")).unwrap_or_default();
    Error::new(ErrorKind::Symbolic(format!(
        "{what}{inside} has no value: it stands for data that comes later, so it cannot be read or printed here"
    )))
    .at(tensor.origin())
}

/// Shares ownership of host data with a tensor.
impl From<Array> for Tensor {
    #[track_caller]
    fn from(array: Array) -> Tensor {
        Tensor::from_array(Arc::new(array))
    }
}
