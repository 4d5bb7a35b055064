//! A step that is traced once and replayed: for steps whose structure cannot change.

use crate::{
    array::Array,
    device::Device,
    error::{Error, Result},
    graph::{Meta, Tensor, Value, lock},
    idle::{self, Buffers},
    memory::Storage,
    plan::{
        Plan, Source,
        cache::{PlanCache, Prepared},
        split::Rung,
        trace::trace,
    },
    run::{absent, alloc_or_trim, descend, execute, on_device, replacements},
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
    #[track_caller]
    pub fn capture(
        device: &Device,
        placeholders: &[Tensor],
        outputs: &[Tensor],
        updates: &[(Variable, Tensor)],
        reads: &[Variable],
    ) -> Result<Program> {
        let origin = Location::caller();
        let mut updates = updates.to_vec();
        updates.sort_by_key(|(variable, _)| variable.id());
        for (variable, value) in &updates {
            value.check()?;
            variable.check_fits(value).map_err(|e| e.at(origin))?;
        }
        let states: Vec<Variable> = updates.iter().map(|(variable, _)| variable.clone()).collect();
        let mut read_only: Vec<Variable> = reads.iter().filter(|v| !states.contains(v)).cloned().collect();
        read_only.sort_by_key(Variable::id);
        read_only.dedup();
        let meta_of = |t: &Tensor| t.meta().cloned();
        let metas = placeholders.iter().map(meta_of).collect::<Result<Vec<_>>>()?;
        let leaves: Vec<Tensor> = placeholders.iter().cloned().chain(read_only.iter().map(Variable::value)).collect();
        let (traced, feeds) = trace(&leaves, outputs, &updates)?;
        let constants =
            feeds.inputs[leaves.len()..].iter().map(|leaf| on_device(device, leaf)).collect::<Result<Vec<_>>>()?;
        let own: u64 = placeholders.iter().filter_map(|p| p.meta().ok()).map(Meta::bytes).sum();
        let prepared = PlanCache::prepare(device, traced, feeds.labels, device.room().saturating_sub(own))?;
        let memory = Arc::default();
        device.watch(&memory);
        Ok(Program {
            device: device.clone(),
            prepared: Mutex::new(prepared),
            placeholders: metas,
            reads: read_only,
            constants,
            states,
            outputs: outputs.iter().map(meta_of).collect::<Result<Vec<_>>>()?,
            scalars: feeds.scalars,
            memory,
        })
    }

    /// Replays the step on this data. On failure every variable is as it was.
    pub fn run(&self, inputs: &[&Array]) -> Result<Vec<Tensor>> {
        self.check_inputs(inputs)?;
        let mut memory = lock(&self.memory);
        let mut prepared = lock(&self.prepared);
        let bound = self.bind(&mut memory, inputs).map_err(|e| self.refused(&memory, &prepared, e))?;
        let mut held: Vec<Held> = self.states.iter().map(Variable::hold).collect();
        let leased: u64 = memory.outputs.iter().map(Storage::bytes).sum();
        if prepared.plan.rung != Rung::WHOLE {
            let room = (self.device.room() + leased).saturating_sub(replacements(&self.device, &held));
            *prepared = PlanCache::larger(&self.device, &prepared, room)?;
        }
        descend(&self.device, &mut prepared, leased, &mut held, |prepared, held| {
            execute(&self.device, prepared, &bound, &memory.outputs, held, &self.scalars)
        })?;
        drop(held);
        let origin = Location::caller();
        let leaf = |(storage, meta): (&Storage, &Meta)| {
            Tensor::leaf(Value::Device(storage.clone()), meta.clone(), false, origin)
        };
        Ok(memory.outputs.iter().zip(&self.outputs).map(leaf).collect())
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

    /// Inputs, written; what is read; what was captured.
    fn bind(&self, memory: &mut Buffers, inputs: &[&Array]) -> Result<Vec<Storage>> {
        self.lease(memory)?;
        for (array, storage) in inputs.iter().zip(&memory.inputs) {
            self.device.executor().write(&storage.bound().buffer, 0, array.bytes())?;
        }
        let mut bound = memory.inputs.clone();
        // All are held before the first is read, so that what is read is of one moment: no step of another thread lies between.
        let mut held: Vec<Held> = self.reads.iter().map(Variable::hold).collect();
        for variable in &mut held {
            bound.push(self.resident(variable)?);
        }
        bound.extend(self.constants.iter().cloned());
        Ok(bound)
    }

    /// The error of memory that was refused before the plan could be tried.
    fn refused(&self, memory: &Buffers, prepared: &Prepared, error: Error) -> Error {
        let own: u64 = self.placeholders.iter().map(Meta::bytes).sum();
        let here = |buffers: &[Storage]| buffers.iter().map(Storage::bytes).sum::<u64>();
        let reads: Vec<Tensor> = self.reads.iter().map(Variable::value).collect();
        let held: Vec<Held> = self.states.iter().map(Variable::hold).collect();
        let missing = own.saturating_sub(here(&memory.inputs)) + absent(&self.device, &reads);
        let base = self.device.staying().saturating_sub(here(&memory.outputs));
        let base = base + missing + replacements(&self.device, &held);
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

    /// The variable's storage on the program's device; host data moves there once.
    fn resident(&self, held: &mut Held<'_>) -> Result<Storage> {
        if let Some(Value::Device(storage)) = held.current().value()
            && storage.device() == &self.device
        {
            return Ok(storage.clone());
        }
        let storage = on_device(&self.device, held.current())?;
        held.replace(Value::Device(storage.clone()));
        Ok(storage)
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
