//! The memory that all programs of a device share: temporaries and scratch of whatever runs now.

use crate::{
    device::Device,
    error::Result,
    executor::Bound,
    graph::lock,
    memory::Counted,
    plan::{Plan, Source},
    runs::Running,
};

/// Leased memory for one run.
#[derive(Default)]
pub(crate) struct Workspace {
    arena: Option<Counted>,
    slots: Vec<Counted>,
    scratch: Option<Counted>,
    /// While it is leased.
    running: Option<Running>,
}

impl Workspace {
    /// Takes the device's workspace, grown to what the plan needs. Another run that holds it meanwhile gets its own.
    pub(crate) fn lease(device: &Device, plan: &Plan) -> Result<Workspace> {
        if plan.workspace == 0 && plan.scratch == 0 && plan.slots.is_empty() {
            return Ok(Workspace::default());
        }
        let mut kept = lock(device.workspace()).take();
        if device.is_over_budget() {
            kept = None;
        }
        let grown = kept.is_some();
        let mut workspace = kept.unwrap_or_default();
        if let Err(error) = workspace.fit(device, plan) {
            if !grown || !error.is_out_of_memory() {
                return Err(error);
            }
            // Another plan left it with more of one kind than this plan needs.
            workspace = Workspace::default();
            workspace.fit(device, plan)?;
        }
        workspace.running = Some(Running::begin(device, workspace.bytes()));
        Ok(workspace)
    }

    /// Puts it back for the next run; of two, the larger stays.
    pub(crate) fn give_back(mut self, device: &Device) {
        // Ends when the workspace is back, so that who waited finds it.
        let running = self.running.take();
        let mut kept = lock(device.workspace());
        let larger = match &*kept {
            Some(other) => self.bytes() > other.bytes(),
            None => true,
        };
        match larger {
            true => *kept = Some(self),
            false => drop(self),
        }
        drop((kept, running));
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
        self.arena.iter().chain(&self.slots).chain(&self.scratch).map(Counted::bytes).sum()
    }

    /// Where a buffer of the plan lies in this workspace.
    pub(crate) fn bound(&self, source: Source) -> Option<Bound> {
        match source {
            Source::Workspace(offset) => self.arena.as_ref().map(|arena| arena.bound(offset)),
            Source::Slot(n) => self.slots.get(n).map(|slot| slot.bound(0)),
            Source::Scratch => self.scratch.as_ref().map(|scratch| scratch.bound(0)),
            Source::Input(_) | Source::State(_) | Source::Output(_) => None,
        }
    }
}

fn grow(memory: &mut Option<Counted>, device: &Device, bytes: u64) -> Result<()> {
    if bytes > 0 && memory.as_ref().is_none_or(|m| m.bytes() < bytes) {
        // The smaller one goes first, so that both never count at once.
        *memory = None;
        *memory = Some(device.lease(bytes)?);
    }
    Ok(())
}
