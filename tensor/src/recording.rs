//! A step before it is planned: what goes in, what comes out, what moves. It can be captured to run, or surveyed for what it needs.

#[cfg(not(target_arch = "wasm32"))]
use crate::platform;
use crate::{
    device::Device,
    error::Result,
    graph::{Meta, Tensor},
    plan::{
        plan, smallest,
        trace::{Feeds, Traced, trace},
    },
    program::Program,
    run,
    variable::{Held, Variable},
};
use std::{collections::HashSet, panic::Location};

/// A recorded step.
///
/// ```
/// use addax_tensor::{DType, Device, Recording, Tensor, Variable};
/// let w = Variable::new(Tensor::ones([64, 64]));
/// let x = Tensor::placeholder(0, DType::F32, [256, 64]).of_samples();
/// let weights = w.value();
/// let y = x.matmul(&weights).tanh().matmul(&weights).tanh();
/// let reads = vec![(w, weights)];
/// let step = Recording { placeholders: vec![x], outputs: vec![y.sum_all()], updates: vec![], reads };
/// let survey = step.survey(&Device::default())?;
/// assert_eq!(survey.data, 256 * 64 * 4);
/// assert!(survey.floor < survey.peak);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// Filled at each run.
    pub placeholders: Vec<Tensor>,
    /// Returned by each run.
    pub outputs: Vec<Tensor>,
    /// Committed by each run.
    pub updates: Vec<(Variable, Tensor)>,
    /// Variables whose value at the time of each run counts, each with the value that the step was recorded from: others may assign
    /// to it before the step is captured.
    pub reads: Vec<(Variable, Tensor)>,
}

/// What a step needs, by planning alone. All counts are bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Of its placeholders.
    pub data: u64,
    /// Of variables and captured data.
    pub state: u64,
    /// Of all there is when the whole batch is computed at once: data, state, results and temporaries.
    pub peak: u64,
    /// The least that it can be done with: the lowest rung of the memory ladder.
    pub floor: u64,
    /// Why the batch cannot be computed in slices, if it cannot.
    pub obstacle: Option<String>,
    /// The largest results and temporaries of the whole batch: layer and primitive, bytes.
    pub largest: Vec<(String, u64)>,
}

impl Recording {
    /// Plans it for a device; it can be replayed. See [`Program::capture`].
    #[cfg(not(target_arch = "wasm32"))]
    #[track_caller]
    pub fn capture(&self, device: &Device) -> Result<Program> {
        platform::block_on(self.capture_async(device))
    }

    /// [`capture`](Recording::capture), awaited.
    #[track_caller]
    pub fn capture_async(&self, device: &Device) -> impl Future<Output = Result<Program>> {
        Program::of(device, self.clone(), Location::caller())
    }

    /// What it would need on a device. Nothing is allocated, nothing runs.
    pub fn survey(&self, device: &Device) -> Result<Survey> {
        let (traced, feeds) = self.trace()?;
        let whole = plan(&traced, &feeds.labels, device.executor(), true)?;
        let least = smallest(&traced, &feeds.labels, device.executor(), true)?;
        let data = self.data_bytes();
        let fixed = whole.fixed_bytes();
        Ok(Survey {
            data,
            state: fixed.saturating_sub(data),
            peak: fixed + whole.transient_bytes(),
            floor: fixed + least.plan.transient_bytes(),
            obstacle: least.obstacle,
            largest: whole.largest(10),
        })
    }

    /// Whether it would run on a device now, on the lowest rung of the memory ladder if it must, when its variables need so many
    /// bytes more ([`bytes_to_bind`](Recording::bytes_to_bind)). Nothing is allocated, nothing runs.
    pub fn fits(&self, device: &Device, to_bind: u64) -> Result<bool> {
        let (traced, feeds) = self.trace()?;
        let least = smallest(&traced, &feeds.labels, device.executor(), true)?.plan;
        Ok(self.data_bytes() + to_bind + least.transient_bytes() <= device.room())
    }
    /// Bytes that a run takes for variables: of those that do not lie on the device, and copies of those that it changes while
    /// somebody holds their value. The recording is let go, because it is one that does.
    pub fn bytes_to_bind(self, device: &Device) -> u64 {
        let mut moved: Vec<Variable> = self.updates.iter().map(|(variable, _)| variable.clone()).collect();
        // Whoever holds several does so in this order.
        moved.sort_by_key(Variable::id);
        let read: Vec<Variable> = self.read_only().map(|(variable, _)| variable.clone()).collect();
        drop(self);
        let values: Vec<Tensor> = read.iter().map(Variable::value).collect();
        let held: Vec<Held> = moved.iter().map(Variable::hold).collect();
        run::absent(device, &values) + run::replacements(device, &held)
    }

    /// What it reads and does not change, a variable once.
    pub(crate) fn read_only(&self) -> impl Iterator<Item = &(Variable, Tensor)> {
        let mut met: HashSet<u64> = self.updates.iter().map(|(variable, _)| variable.id()).collect();
        self.reads.iter().filter(move |(variable, _)| met.insert(variable.id()))
    }
    /// With placeholders first, then what is [only read](Recording::read_only), as its first inputs.
    pub(crate) fn trace(&self) -> Result<(Traced, Feeds)> {
        let values = self.read_only().map(|(_, value)| value.clone());
        let leaves: Vec<Tensor> = self.placeholders.iter().cloned().chain(values).collect();
        trace(&leaves, &self.outputs, &self.updates)
    }
    fn data_bytes(&self) -> u64 {
        self.placeholders.iter().filter_map(|p| p.meta().ok()).map(Meta::bytes).sum()
    }
}
