//! Lost devices: what training keeps on the host, and how it goes on after a loss.
//!
//! A *restore point* is a copy of all state on the host: weights, moving statistics, the optimizer's slots and counters, the
//! random key, the sums of loss and metrics. After a loss the device is opened again, the state goes back to the last point, and
//! the batches since then are computed again. The order of rows and all random numbers are functions of counters, so the same
//! batches give the same weights, to the bit on the same hardware. Callbacks hear nothing of it: what they changed (weights,
//! learning rate) is changed again at its place, and no hook is called twice.
//!
//! Only devices that say that they can be lost have points ([`Device::can_be_lost`](addax_tensor::Device::can_be_lost)).

use crate::{
    fit::{Run, batch_weights},
    passes::Mark,
    steps::Feed,
};
use addax_callbacks::{CallbackList, Logs, Snapshot, Trainer};
use addax_tensor::{Array, Error, Result, Variable};

/// How often in a row a device may be lost before training gives up: without getting any further in between.
const MOST_LOSSES: usize = 3;

/// All state at one moment, and where the data stood.
pub(crate) struct RestorePoint {
    state: Vec<(Variable, Array)>,
    mark: Mark,
    /// Losses in a row, and how many steps after the point training had got before them.
    losses: usize,
    furthest: usize,
}

/// Something that a callback did to the state.
#[derive(Clone)]
pub(crate) enum Change {
    Weights(Vec<(String, Array)>),
    Restored(Snapshot),
    Rate(f64),
}

/// What happened since a restore point.
#[derive(Clone, Default)]
pub(crate) struct Changes {
    /// Steps that were computed.
    pub steps: usize,
    /// Each with the number of steps before it.
    list: Vec<(usize, Change)>,
}

impl Changes {
    pub fn note(&mut self, change: Change) {
        self.list.push((self.steps, change));
    }
}

impl Run<'_, '_> {
    /// Does something to the state, then copies all of it to the host, where the device can be lost.
    pub(crate) fn keep(&mut self, mut after: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        if !self.session.model.device()?.can_be_lost() {
            return after(self);
        }
        // Both again if the device is lost: the state goes back to what it was before.
        let state = self.surviving(|run| after(run).and_then(|()| run.read_state()))?;
        self.point = Some(RestorePoint { state, mark: self.passes.mark(), losses: 0, furthest: 0 });
        self.session.changes = Some(Changes::default());
        Ok(())
    }

    fn read_state(&self) -> Result<Vec<(Variable, Array)>> {
        let model = &self.session.model;
        let mut all: Vec<Variable> = model.variables()?.into_iter().map(|(_, variable)| variable).collect();
        all.extend(model.compiled()?.optimizer().variables());
        all.push(model.key().clone());
        all.extend(self.steps.state());
        all.into_iter().map(|variable| Ok((variable.clone(), variable.value().to_array()?))).collect()
    }

    /// Counts a step that was computed; after many of them it is time for the next point.
    pub(crate) fn stepped(&mut self) -> bool {
        let (Some(point), Some(changes)) = (&mut self.point, &mut self.session.changes) else { return false };
        changes.steps += 1;
        if changes.steps > point.furthest {
            (point.furthest, point.losses) = (changes.steps, 0);
        }
        changes.steps >= self.restore_every
    }

    /// Does something with the device; if that is lost meanwhile, again, from where training stood.
    pub(crate) fn surviving<T>(&mut self, mut work: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        loop {
            match work(self) {
                Err(error) if error.is_device_lost() => drop(self.recover(error)?),
                done => return done,
            }
        }
    }

    /// Calls a hook of all callbacks. If one of them finds the device lost, it is called again with the values of the step that was
    /// computed again; those before it are not.
    pub(crate) fn hook(
        &mut self,
        callbacks: &mut CallbackList<'_>,
        logs: &mut Logs,
        call: impl Fn(&mut CallbackList<'_>, &mut Logs, &mut dyn Trainer) -> Result<()>,
    ) -> Result<()> {
        loop {
            match call(callbacks, logs, &mut self.session) {
                Err(error) if error.is_device_lost() => {
                    let fresh = self.recover(error)?;
                    if !logs.is_empty() {
                        logs.extend(fresh);
                    }
                    callbacks.retry();
                }
                done => return done,
            }
        }
    }

    /// Opens the device again and brings the state to where it was. Gives the values of the last step.
    ///
    /// Fails if there is no point to go back to, or after several losses in a row; then the weights are those of the last point.
    fn recover(&mut self, mut error: Error) -> Result<Logs> {
        loop {
            let Some(point) = &mut self.point else { return Err(error) };
            point.losses += 1;
            if point.losses > MOST_LOSSES {
                point.state.iter().try_for_each(|(variable, array)| variable.place(array))?;
                let steps = self.session.changes.as_ref().map_or(0, |changes| changes.steps);
                return Err(Error::device_lost(format!(
                    "the device was lost {} times in a row, and training came no further than {steps} steps after its last \
                     restore point, whose weights the model now has; train on another device (`set_device`), or look for what \
                     resets this one",
                    point.losses
                ))
                .caused_by(error));
            }
            match self.go_back() {
                Err(again) if again.is_device_lost() => error = again,
                Err(other) => return Err(other),
                Ok(logs) => {
                    self.tell(&error);
                    return Ok(logs);
                }
            }
        }
    }

    fn tell(&mut self, error: &Error) {
        let steps = self.session.changes.as_ref().map_or(0, |changes| changes.steps);
        let news = format!(
            "the device was lost ({error}); it was opened again and {steps} steps since the last restore point were computed \
             again; results stay the same"
        );
        tracing::warn!("{news}");
        self.session.voice.console.line(&news);
        self.session.history.note(news);
    }

    /// The state of the point on a device that was opened anew, and the steps since then.
    fn go_back(&mut self) -> Result<Logs> {
        let (Some(point), Some(changes)) = (&self.point, self.session.changes.take()) else { return Ok(Logs::new()) };
        let (mark, here) = (point.mark, self.passes.mark());
        let replayed = (|| {
            let lost = self.session.model.device()?;
            let device = lost.reopen().map_err(|e| Error::device_lost(format!("{}: {e}", lost.name())).caused_by(e))?;
            for (variable, array) in self.point.iter().flat_map(|point| &point.state) {
                variable.place(array)?;
            }
            self.session.model.set_device(&device);
            self.steps.move_to(&device);
            self.replay(mark, &changes)
        })();
        // They are the same, whether this worked or has to be tried again.
        self.session.changes = Some(changes);
        let logs = replayed?;
        self.passes.seek(here)?;
        Ok(logs)
    }

    fn replay(&mut self, mark: Mark, changes: &Changes) -> Result<Logs> {
        let mut logs = Logs::new();
        self.passes.seek(mark)?;
        for step in 0..=changes.steps {
            for (_, change) in changes.list.iter().filter(|(at, _)| *at == step) {
                match change.clone() {
                    Change::Weights(weights) => self.session.model.set_weights(&weights)?,
                    Change::Restored(snapshot) => self.session.restore(&snapshot)?,
                    Change::Rate(rate) => self.session.model.set_learning_rate(rate)?,
                }
            }
            if step < changes.steps {
                let Some((_, batch)) = self.passes.next()? else {
                    return Err(Error::data("the data ended before the steps that were to be computed again"));
                };
                let weights = batch_weights(&batch, self.weigh.as_ref())?;
                let weight = weights.as_ref().or(batch.weight.as_ref());
                drop(std::mem::take(&mut logs));
                logs = self.steps.run(self.session.model, Feed { x: &batch.x, y: batch.y.as_ref(), weight })?;
                self.passes.give_back(batch);
            }
        }
        // Numbers, so that the device has done all this.
        read(&logs)
    }

    /// The values of an epoch as numbers, where the device could be lost before anybody reads them.
    pub(crate) fn settled(&mut self, logs: Logs) -> Result<Logs> {
        if self.point.is_none() {
            return Ok(logs);
        }
        match read(&logs) {
            Err(error) if error.is_device_lost() => self.recover(error),
            done => done,
        }
    }
}

/// The same values, read.
pub(crate) fn read(logs: &Logs) -> Result<Logs> {
    let mut numbers = Logs::new();
    for (name, value) in logs.numbers()? {
        numbers.insert(name, value);
    }
    Ok(numbers)
}
