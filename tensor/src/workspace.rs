//! The memory that all programs of a device share: temporaries and scratch of whatever runs now.

use crate::{
    device::Device,
    error::Result,
    executor::Bound,
    graph::lock,
    memory::Storage,
    plan::{Plan, Source},
};

/// Leased memory for one run.
#[derive(Default)]
pub(crate) struct Workspace {
    arena: Option<Storage>,
    slots: Vec<Storage>,
    scratch: Option<Storage>,
}

impl Workspace {
    /// Takes the device's workspace, grown to what the plan needs. Another run that holds it meanwhile gets its own.
    pub(crate) fn lease(device: &Device, plan: &Plan) -> Result<Workspace> {
        let mut workspace = lock(device.workspace()).take().unwrap_or_default();
        if device.is_over_budget() {
            workspace = Workspace::default();
        }
        workspace.fit(device, plan)?;
        Ok(workspace)
    }

    /// Puts it back for the next run; of two, the larger stays.
    pub(crate) fn give_back(self, device: &Device) {
        let mut kept = lock(device.workspace());
        let larger = match &*kept {
            Some(other) => self.bytes() > other.bytes(),
            None => true,
        };
        if larger {
            *kept = Some(self);
        }
    }

    fn fit(&mut self, device: &Device, plan: &Plan) -> Result<()> {
        if device.caps().arena {
            grow(&mut self.arena, device, plan.workspace)?;
        } else {
            for (n, &bytes) in plan.slots.iter().enumerate() {
                let mut slot = (n < self.slots.len()).then(|| self.slots.swap_remove(n));
                grow(&mut slot, device, bytes)?;
                if let Some(slot) = slot {
                    self.slots.push(slot);
                    let last = self.slots.len() - 1;
                    self.slots.swap(n, last);
                }
            }
        }
        grow(&mut self.scratch, device, plan.scratch)
    }

    /// Bytes it holds.
    pub(crate) fn bytes(&self) -> u64 {
        self.arena.iter().chain(&self.slots).chain(&self.scratch).map(Storage::bytes).sum()
    }

    /// Where a buffer of the plan lies in this workspace.
    pub(crate) fn bound(&self, source: Source) -> Option<Bound> {
        match source {
            Source::Workspace(offset) => self.arena.as_ref().map(|arena| Bound { offset, ..arena.bound() }),
            Source::Slot(n) => self.slots.get(n).map(Storage::bound),
            Source::Scratch => self.scratch.as_ref().map(Storage::bound),
            Source::Input(_) | Source::State(_) | Source::Output(_) => None,
        }
    }
}

fn grow(storage: &mut Option<Storage>, device: &Device, bytes: u64) -> Result<()> {
    if bytes > 0 && storage.as_ref().is_none_or(|s| s.bytes() < bytes) {
        // The smaller one goes first, so that both never count at once.
        *storage = None;
        *storage = Some(device.alloc(bytes)?);
    }
    Ok(())
}
