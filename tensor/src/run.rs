//! Boundaries: where lazy tensors become numbers. Bind leases everything, compute writes temporaries, commit writes state.

use crate::{
    array::Array,
    device::Device,
    dtype::Element,
    error::{Error, ErrorKind, Result},
    executor::Bound,
    graph::{Meta, Op, Origin, Tensor, Value},
    memory::Storage,
    plan::{
        Source,
        cache::{self, PlanCache, Prepared},
        split::Rung,
        trace::{Feeds, Traced, trace},
    },
    platform,
    runs::patiently,
    variable::{Held, Variable},
    workspace::Workspace,
};
use std::{panic::Location, sync::Arc};

impl Tensor {
    /// Computes these tensors together, so that what they share is computed once. Only submits: reading waits.
    #[track_caller]
    pub fn eval(tensors: &[Tensor]) -> Result<()> {
        let origin = Location::caller();
        evaluate(tensors).map_err(|e| e.at(origin))
    }
    /// The elements as host data: computes and waits.
    #[track_caller]
    pub fn to_array(&self) -> Result<Array> {
        Tensor::eval(std::slice::from_ref(self))?;
        match self.value() {
            Some(value) => read(value, self.meta()?),
            None => Err(no_value()),
        }
    }
    /// The elements in row-major order: computes and waits. Fails if `T` would lose information (see [`Element`]).
    #[track_caller]
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        let origin = Location::caller();
        self.to_array()?.to_vec().map_err(|e| e.at(origin))
    }
    /// The only element: computes and waits.
    #[track_caller]
    pub fn item<T: Element>(&self) -> Result<T> {
        match self.to_vec::<T>()?.as_slice() {
            [one] => Ok(*one),
            _ => {
                Err(Error::shape(format!("item needs one element, got shape {}", self.shape()?)).at(Location::caller()))
            }
        }
    }
    /// The computed value without its history: no gradient flows through it.
    #[track_caller]
    pub fn detach(&self) -> Result<Tensor> {
        self.leaf_of(false, Location::caller())
    }
    /// The computed value as a new leaf that gradients can be taken for.
    #[track_caller]
    pub fn watch(&self) -> Result<Tensor> {
        self.leaf_of(true, Location::caller())
    }
    fn leaf_of(&self, watched: bool, origin: Origin) -> Result<Tensor> {
        evaluate(std::slice::from_ref(self)).map_err(|e| e.at(origin))?;
        let value = self.value().cloned().ok_or_else(no_value)?;
        Ok(Tensor::leaf(value, self.meta()?.clone(), watched, origin))
    }
}

fn no_value() -> Error {
    Error::device("a computed tensor has no value")
}

/// Copies a value to the host.
pub(crate) fn read(value: &Value, meta: &Meta) -> Result<Array> {
    match value {
        Value::Host(array) => Ok(array.as_ref().clone()),
        Value::Device(storage) => {
            let executor = storage.device().executor();
            let bytes = platform::block_on(executor.read(&storage.bound().buffer, 0..meta.bytes()))?;
            Array::from_bytes(meta.dtype, &meta.shape, bytes)
        }
    }
}

/// Computes tensors that have no value yet.
fn evaluate(tensors: &[Tensor]) -> Result<()> {
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
    let (values, _) = once(&device, traced, &feeds, &mut [])?;
    for (tensor, value) in missing.iter().zip(values) {
        tensor.node().set_value(tensor.output_index(), Value::Device(value));
    }
    Ok(())
}

/// Computes new values and makes them the variables', all or none. The recorded graph is let go before it runs, so that storage
/// which only it held is updated in place.
pub(crate) fn commit(updates: Vec<(Variable, Tensor)>) -> Result<()> {
    step(&[], updates).map(drop)
}

/// One step: computes `outputs` and commits `updates`. Returns the outputs as new leaves.
///
/// On failure every variable is as it was. Variables are assigned together, after everything is computed.
pub fn step(outputs: &[Tensor], updates: Vec<(Variable, Tensor)>) -> Result<Vec<Tensor>> {
    step_and_rung(outputs, updates).map(|(values, _)| values)
}

/// [`step`], and how far down the memory ladder it went.
pub fn step_and_rung(outputs: &[Tensor], updates: Vec<(Variable, Tensor)>) -> Result<(Vec<Tensor>, Rung)> {
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
    let mut held: Vec<Held> = states.iter().map(Variable::hold).collect();
    let (values, rung) = once(&device, traced, &feeds, &mut held)?;
    drop(held);
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
fn once(device: &Device, traced: Traced, feeds: &Feeds, states: &mut [Held]) -> Result<(Vec<Storage>, Rung)> {
    let inputs = feeds.inputs.iter().map(|t| on_device(device, t)).collect::<Result<Vec<_>>>().map_err(|error| {
        let base = device.staying() + absent(device, &feeds.inputs) + replacements(device, states);
        cache::refusal(device, &traced, &feeds.labels, true, error, base)
    })?;
    let room = device.room().saturating_sub(replacements(device, states));
    let mut prepared = PlanCache::prepare(device, traced, feeds.labels.clone(), room)?;
    descend(device, &mut prepared, 0, states, |prepared, states| {
        let mut outputs = Vec::new();
        for buffer in &prepared.plan.buffers {
            if let Source::Output(_) = buffer.source {
                outputs.push(device.alloc(buffer.bytes)?);
            }
        }
        execute(device, prepared, &inputs, &outputs, states, &feeds.scalars)?;
        Ok((outputs, prepared.plan.rung))
    })
}

/// Tries a step, and when memory is refused, again on a lower rung of the ladder, as long as there is one. A refusal comes before
/// anything ran, so nothing is undone. `prepared` is left at the rung that worked; `leased` bytes of what it needs are held already.
pub(crate) fn descend<T>(
    device: &Device,
    prepared: &mut Arc<Prepared>,
    leased: u64,
    states: &mut [Held],
    mut attempt: impl FnMut(&Prepared, &mut [Held]) -> Result<T>,
) -> Result<T> {
    let mut hopeful = true;
    loop {
        let error = match patiently(device, || attempt(prepared, states)) {
            Err(error) if error.is_out_of_memory() => error,
            other => return other,
        };
        let room = (device.room() + leased).saturating_sub(replacements(device, states));
        match PlanCache::smaller(device, prepared, room)? {
            Some(smaller) => *prepared = smaller,
            // The last try is at what the user allows.
            None if !hopeful || !device.forget_refusals() => {
                let base = device.staying().saturating_sub(leased) + replacements(device, states);
                return Err(PlanCache::refused(device, prepared, error, base));
            }
            None => hopeful = false,
        }
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
pub(crate) fn on_device(device: &Device, leaf: &Tensor) -> Result<Storage> {
    match leaf.value() {
        Some(Value::Device(storage)) if storage.device() == device => Ok(storage.clone()),
        Some(value) => {
            let array = read(value, leaf.meta()?)?;
            upload(device, &array)
        }
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
    inputs: &[Storage],
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
        Source::Input(n) => inputs.get(n).map(Storage::bound),
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

/// Storage that a state may be updated in, and whether it is new: nobody else may hold it.
fn own_storage(device: &Device, current: &Tensor) -> Result<(Storage, bool)> {
    match current.value() {
        Some(Value::Device(storage)) if storage.device() == device => {
            if current.only_handle() && storage.is_unique() {
                return Ok((storage.clone(), false));
            }
            device.count_replaced();
            Ok((copy(device, storage, current.meta()?)?, true))
        }
        Some(value) => Ok((upload(device, &read(value, current.meta()?)?)?, true)),
        None => Err(no_value()),
    }
}

/// A copy on the device.
fn copy(device: &Device, storage: &Storage, meta: &Meta) -> Result<Storage> {
    let placeholder = Tensor::placeholder(0, meta.dtype, &meta.shape);
    let (traced, feeds) = trace(std::slice::from_ref(&placeholder), std::slice::from_ref(&placeholder), &[])?;
    let prepared = PlanCache::prepare(device, traced, feeds.labels, u64::MAX)?;
    let to = alloc_or_trim(device, storage.bytes())?;
    execute(device, &prepared, std::slice::from_ref(storage), std::slice::from_ref(&to), &mut [], &[])?;
    Ok(to)
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
