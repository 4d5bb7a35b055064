//! A step that is traced once and replayed: for steps whose structure cannot change.

#[cfg(not(target_arch = "wasm32"))]
use crate::platform;
use crate::{
    array::Array,
    device::Device,
    error::{Error, Result},
    executor::Bound,
    graph::{Meta, Origin, Tensor, Value, lock},
    idle::{self, Buffers, InUse},
    memory::Storage,
    plan::{
        Plan, Source,
        cache::{PlanCache, Prepared},
        split::Rung,
    },
    recording::Recording,
    run::{absent, alloc_or_trim, descend, execute, hold, no_value, replacements, resident, room, upload},
    variable::{Held, Variable},
};
use std::{
    panic::Location,
    sync::{Arc, Mutex},
};

/// A captured step: inputs go in, state moves on, outputs come out. Replaying records and plans nothing, and in steady state
/// allocates nothing on the device.
///
/// ```
/// use addax_tensor::{Array, DType, Device, Program, Tensor, Variable};
/// let total = Variable::state(Tensor::zeros([2]));
/// let x = Tensor::placeholder(0, DType::F32, [2]);
/// let sum = total.value() + &x;
/// let program = Program::capture(&Device::default(), &[x], &[sum.sum_all()], &[(total.clone(), sum)], &[])?;
/// program.run(&[&Array::new([2], &[1.0f32, 2.0])?])?;
/// let out = program.run(&[&Array::new([2], &[1.0f32, 2.0])?])?;
/// assert_eq!(out[0].item::<f32>()?, 6.0);
/// assert_eq!(total.value().to_vec::<f32>()?, vec![2.0, 4.0]);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
pub struct Program {
    device: Device,
    prepared: Mutex<Arc<Prepared>>,
    placeholders: Vec<Meta>,
    /// Variables that are read at every run, then data that was captured.
    reads: Vec<Variable>,
    constants: Vec<Storage>,
    states: Vec<Variable>,
    outputs: Vec<Meta>,
    scalars: Vec<u32>,
    /// Memory that stays with the program between runs, unless memory gets short.
    memory: Arc<Mutex<Buffers>>,
}

impl Program {
    /// Captures a step. `placeholders` are filled at each run; `outputs` are returned; `updates` are committed; `reads` are
    /// variables whose value at the time of each run counts (any other tensor with a value counts as it is now).
    #[cfg(not(target_arch = "wasm32"))]
    #[track_caller]
    pub fn capture(
        device: &Device,
        placeholders: &[Tensor],
        outputs: &[Tensor],
        updates: &[(Variable, Tensor)],
        reads: &[Variable],
    ) -> Result<Program> {
        platform::block_on(Program::capture_async(device, placeholders, outputs, updates, reads))
    }
    /// [`capture`](Program::capture), awaited: compiling may take long.
    #[track_caller]
    pub fn capture_async(
        device: &Device,
        placeholders: &[Tensor],
        outputs: &[Tensor],
        updates: &[(Variable, Tensor)],
        reads: &[Variable],
    ) -> impl Future<Output = Result<Program>> {
        let reads = reads.iter().map(|variable| (variable.clone(), variable.value())).collect();
        let (placeholders, outputs, updates) = (placeholders.to_vec(), outputs.to_vec(), updates.to_vec());
        Program::of(device, Recording { placeholders, outputs, updates, reads }, Location::caller())
    }
    pub(crate) async fn of(device: &Device, mut step: Recording, origin: Origin) -> Result<Program> {
        // Whoever holds several variables does so in this order.
        step.updates.sort_by_key(|(variable, _)| variable.id());
        step.reads.sort_by_key(|(variable, _)| variable.id());
        for (variable, value) in &step.updates {
            value.check()?;
            variable.check_fits(value).map_err(|e| e.at(origin))?;
        }
        let states: Vec<Variable> = step.updates.iter().map(|(variable, _)| variable.clone()).collect();
        let reads: Vec<Variable> = step.read_only().map(|(variable, _)| variable.clone()).collect();
        let meta_of = |t: &Tensor| t.meta().cloned();
        let metas = step.placeholders.iter().map(meta_of).collect::<Result<Vec<_>>>()?;
        let (traced, feeds) = step.trace()?;
        let constants = resident(device, &traced, &feeds, metas.len() + reads.len(), &states).await?;
        let own: u64 = metas.iter().map(Meta::bytes).sum();
        let prepared = PlanCache::prepare(device, traced, feeds.labels, device.room().saturating_sub(own)).await?;
        let memory = Arc::default();
        device.watch(&memory);
        Ok(Program {
            device: device.clone(),
            prepared: Mutex::new(prepared),
            placeholders: metas,
            reads,
            constants,
            states,
            outputs: step.outputs.iter().map(meta_of).collect::<Result<Vec<_>>>()?,
            scalars: feeds.scalars,
            memory,
        })
    }

    /// Replays the step on this data. On failure every variable is as it was. Only submits: reading the outputs waits.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run(&self, inputs: &[&Array]) -> Result<Vec<Tensor>> {
        platform::block_on(self.run_async(inputs))
    }
    /// [`run`](Program::run), awaited. In steady state nothing has to be, so the future is done at once.
    pub async fn run_async(&self, inputs: &[&Array]) -> Result<Vec<Tensor>> {
        self.check_inputs(inputs)?;
        let _in_use = InUse::begin(&self.memory);
        let mut prepared = lock(&self.prepared).clone();
        let leased = self.leased().map_err(|e| self.refused(&prepared, e))?;
        let rest = self.resident().await.map_err(|e| self.refused(&prepared, e))?;
        if prepared.plan.rung != Rung::WHOLE {
            let room = room(&self.device, leased, &hold(&self.device, &self.states).await?);
            prepared = PlanCache::larger(&self.device, &prepared, room).await?;
        }
        let outputs = descend(&self.device, &mut prepared, leased, &self.states, |prepared, held| {
            // Whoever runs the program meanwhile has its own data: inputs are written and read under one lock.
            let mut memory = lock(&self.memory);
            self.lease(&mut memory)?;
            let mut bound = Vec::with_capacity(memory.inputs.len() + rest.len());
            for (array, storage) in inputs.iter().zip(&memory.inputs) {
                bound.push(self.bind(array, storage)?);
            }
            bound.extend(rest.iter().map(Storage::bound));
            execute(&self.device, prepared, &bound, &memory.outputs, held, &self.scalars)?;
            let origin = Location::caller();
            let leaf = |(storage, meta): (&Storage, &Meta)| {
                Tensor::leaf(Value::Device(storage.clone()), meta.clone(), false, origin)
            };
            Ok(memory.outputs.iter().zip(&self.outputs).map(leaf).collect())
        });
        let outputs = outputs.await;
        *lock(&self.prepared) = prepared;
        outputs
    }

    /// An input where the host has it, if the device can read it there; else a copy in this storage.
    fn bind(&self, array: &Array, storage: &Storage) -> Result<Bound> {
        let executor = self.device.executor();
        if let Some(buffer) = executor.lend(array) {
            return Ok(Bound { buffer, offset: 0 });
        }
        let bound = storage.bound();
        executor.write(&bound.buffer, 0, array.bytes())?;
        Ok(bound)
    }

    fn check_inputs(&self, inputs: &[&Array]) -> Result<()> {
        if inputs.len() != self.placeholders.len() {
            return Err(Error::argument(format!(
                "the program takes {} inputs, got {}",
                self.placeholders.len(),
                inputs.len()
            )));
        }
        for (n, (array, meta)) in inputs.iter().zip(&self.placeholders).enumerate() {
            if array.dtype() != meta.dtype || *array.shape() != meta.shape {
                return Err(Error::shape(format!(
                    "input {n} of the program is {} {}, got {} {}",
                    meta.dtype,
                    meta.shape,
                    array.dtype(),
                    array.shape()
                )));
            }
        }
        Ok(())
    }

    /// Takes its memory; bytes of the outputs.
    fn leased(&self) -> Result<u64> {
        let mut memory = lock(&self.memory);
        self.lease(&mut memory)?;
        Ok(memory.outputs.iter().map(Storage::bytes).sum())
    }

    /// The error of memory that was refused before the plan could be tried.
    fn refused(&self, prepared: &Prepared, error: Error) -> Error {
        let own: u64 = self.placeholders.iter().map(Meta::bytes).sum();
        let here = |buffers: &[Storage]| buffers.iter().map(Storage::bytes).sum::<u64>();
        let (inputs, outputs) = {
            let memory = lock(&self.memory);
            (here(&memory.inputs), here(&memory.outputs))
        };
        let reads: Vec<Tensor> = self.reads.iter().map(Variable::value).collect();
        let held: Vec<Held> = self.states.iter().map(Variable::hold).collect();
        let missing = own.saturating_sub(inputs) + absent(&self.device, &reads);
        let base = self.device.staying().saturating_sub(outputs) + missing + replacements(&self.device, &held);
        PlanCache::refused(&self.device, prepared, error, base)
    }

    /// Takes memory for inputs once, and for outputs that somebody kept.
    fn lease(&self, memory: &mut Buffers) -> Result<()> {
        while memory.inputs.len() < self.placeholders.len() {
            let bytes = self.placeholders[memory.inputs.len()].bytes();
            memory.inputs.push(alloc_or_trim(&self.device, bytes)?);
        }
        for (n, meta) in self.outputs.iter().enumerate() {
            match memory.outputs.get_mut(n) {
                Some(storage) if storage.is_unique() => {}
                Some(storage) => *storage = alloc_or_trim(&self.device, meta.bytes())?,
                None => memory.outputs.push(alloc_or_trim(&self.device, meta.bytes())?),
            }
        }
        Ok(())
    }

    /// What is read and what was captured, on the program's device; host data moves there once.
    async fn resident(&self) -> Result<Vec<Storage>> {
        let mut storages = Vec::with_capacity(self.reads.len() + self.constants.len());
        // All are held before the first is read, so that what is read is of one moment: no step of another thread lies between.
        for mut held in hold(&self.device, &self.reads).await? {
            storages.push(match held.current().value() {
                Some(Value::Device(storage)) => storage.clone(),
                Some(Value::Host(array)) => {
                    let storage = upload(&self.device, array)?;
                    held.moved(Value::Device(storage.clone()));
                    storage
                }
                None => return Err(no_value()),
            });
        }
        storages.extend(self.constants.iter().cloned());
        Ok(storages)
    }

    /// The plan, for people and tests: the one of the last run, or of the next.
    pub fn plan(&self) -> Plan {
        lock(&self.prepared).plan.clone()
    }
    /// How far down the memory ladder it stands.
    pub fn rung(&self) -> Rung {
        lock(&self.prepared).plan.rung
    }
    /// Planned peak in bytes: inputs, state and captured data, outputs, temporaries and scratch.
    pub fn planned_peak(&self) -> u64 {
        let plan = &lock(&self.prepared).plan;
        plan.fixed_bytes() + plan.transient_bytes()
    }
    /// Bytes of the state that it moves.
    pub fn state_bytes(&self) -> u64 {
        let state = |s: &Source| matches!(s, Source::State(_));
        lock(&self.prepared).plan.buffers.iter().filter(|b| state(&b.source)).map(|b| b.bytes).sum()
    }
    /// Bytes of inputs and outputs that it keeps between runs and nobody else holds; 0 while it runs.
    pub fn kept_bytes(&self) -> u64 {
        self.memory.try_lock().map_or(0, |memory| memory.bytes())
    }
    /// Lets go of the inputs and outputs that it keeps between runs, unless it is running. The next run takes them again.
    pub fn let_go(&self) {
        idle::let_go(&self.memory);
    }
    /// The device it runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }
}
