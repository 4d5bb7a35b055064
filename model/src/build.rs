//! Building: weights are made, and output shapes are found by recording the model with two batch sizes.

use crate::{
    chain::{Input, Link, with_path},
    model::Model,
};
use addax_layers::Cx;
use addax_tensor::{DType, Error, Result, Shape, Tensor};

/// What is known of a model once its input is.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    /// What each layer gives, in order.
    pub outputs: Vec<Output>,
}

/// Shape and type of an output; `None` stands for the batch, or what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    pub shape: Vec<Option<usize>>,
    pub dtype: DType,
}

impl Output {
    /// Length of the last axis, if it is fixed.
    pub fn last(&self) -> Option<usize> {
        self.shape.last().copied().flatten()
    }
}

/// Recorded for the first time with this batch: errors show it, so it looks like one.
const BATCH: usize = 32;
const OTHER_BATCH: usize = 33;

impl Model {
    /// What building found; builds at the first call.
    pub(crate) fn build(&self) -> Result<&Built> {
        let input = self.input()?;
        if let Some(empty) = input.shape.iter().position(|&d| d == 0) {
            return Err(Error::shape(format!("the input shape {} has length 0 along axis {empty}", input.shape)));
        }
        self.built.get_or_init(|| self.build_for(input)).as_ref().map_err(Clone::clone)
    }
    /// Builds, with this sample shape if none was given.
    pub(crate) fn build_with(&self, sample: Shape) -> Result<&Built> {
        self.chain.input.get_or_init(|| Input::new(sample));
        self.build()
    }
    /// What the whole model gives.
    pub(crate) fn output(&self) -> Result<&Output> {
        self.build()?.outputs.last().ok_or_else(no_layers)
    }
    fn build_for(&self, input: &Input) -> Result<Built> {
        if self.chain.layers.is_empty() {
            return Err(no_layers());
        }
        let policy = self.policy()?;
        let record = |rows: usize| {
            let x = Tensor::placeholder(0, input.dtype, input.batch(rows));
            let cx = Cx::building(self.seed().value).with_policy(policy);
            self.chain.record(x, &cx)
        };
        let first = record(BATCH)?;
        let second = record(OTHER_BATCH).map_err(|error| {
            // A device that refuses or is gone says nothing about the number of samples.
            if error.is_out_of_memory() || error.is_device_lost() {
                return error;
            }
            let what = Error::new(error.kind().clone());
            let told = Error::shape(format!(
                "works for {BATCH} samples but not for {OTHER_BATCH}, so the number of samples is written into it: {what}"
            ));
            let told = error.origin().map_or(told.clone(), |line| told.at(line));
            with_path(told, &error).caused_by(error)
        })?;
        let outputs = first.iter().zip(&second).map(|(a, b)| described(a, b)).collect::<Result<_>>()?;
        Ok(Built { outputs })
    }
}

fn no_layers() -> Error {
    Error::argument("the model has no layers; add some with `.add(..)`")
}

/// The output of a layer from two recordings.
fn described(a: &Link, b: &Link) -> Result<Output> {
    let (one, two) = (a.output.shape()?, b.output.shape()?);
    let fixed = |why: String| {
        let error = Error::shape(why).inside(a.name.clone());
        Err(a.added.map_or(error.clone(), |line| error.at(line)))
    };
    if one.rank() != two.rank() {
        return fixed(format!(
            "its output has {} axes for {BATCH} samples and {} for {OTHER_BATCH}",
            one.rank(),
            two.rank()
        ));
    }
    if one.first() == two.first() {
        return fixed(format!(
            "its output has shape {one} for {BATCH} samples and {two} for {OTHER_BATCH}: axis 0 must follow the number of \
             samples. Take it from the input's shape instead of writing it down"
        ));
    }
    let shape = one.iter().zip(two.iter()).map(|(a, b)| (a == b).then_some(*a)).collect();
    Ok(Output { shape, dtype: a.output.dtype()? })
}
