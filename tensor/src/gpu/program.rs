//! A compiled plan: pipelines, bind groups and the order of dispatches, with loops unrolled.

use super::{
    adapter::Gpu,
    buffer::{GpuBuffer, OwnBuffer},
    code::{Binding, Job, Moving, Pass, passes},
    pipeline::Pipeline,
};
use crate::{
    error::{Error, Result},
    graph::lock,
    plan::{Plan, Row, Source, Step},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, atomic::Ordering},
};

/// Dispatches that go to the device together.
const MAX_RECORDED: usize = 64;
/// Sets of buffers whose bind groups a pass keeps: two rows of a carry, two outputs in turn, and some more.
const MAX_BOUND: usize = 4;

/// A plan ready to run.
pub struct GpuProgram {
    passes: Vec<Ready>,
    calls: Vec<Call>,
    /// Kernels of the plan, loops unrolled, for which the device has no pass.
    left_out: u64,
    /// The scalars' memory and what was written there last. Held during a run: two runs must not mix.
    scalars: Mutex<Option<(OwnBuffer, Vec<u32>)>>,
    /// Offsets of all trips of all loops.
    trips: Option<OwnBuffer>,
}

/// A pass with its pipeline.
struct Ready {
    pipeline: Arc<Pipeline>,
    groups: [u32; 3],
    bindings: Vec<Binding>,
    scalars: bool,
    /// Bytes of its moving offsets.
    moving: u64,
    bound: Mutex<Vec<(Vec<u64>, wgpu::BindGroup)>>,
}

/// One dispatch.
struct Call {
    pass: usize,
    /// Where its moving offsets lie.
    trip: u32,
}

/// A step with its passes.
enum Node {
    Run(Vec<usize>),
    Loop(usize, Vec<Node>),
}

/// The offsets of every trip, in one buffer.
struct Trips {
    words: Vec<u32>,
    known: HashMap<Vec<u32>, u32>,
    /// Words from block to block.
    unit: usize,
}

impl Trips {
    fn at(&mut self, moving: &[Moving], trips: &[u64]) -> Result<u32> {
        let offset = |m: &Moving| m.offset + m.rows.iter().map(|row| row_offset(row, trips)).sum::<u64>();
        let mut block = Vec::new();
        for m in moving {
            block.push(
                u32::try_from(offset(m)).map_err(|_| Error::device("a row lies too far from its buffer's begin"))?,
            );
        }
        if let Some(&at) = self.known.get(&block) {
            return Ok(at);
        }
        let at = u32::try_from(self.words.len() * 4).map_err(|_| Error::device("a loop has too many trips"))?;
        self.words.extend(&block);
        self.words.resize(self.words.len().next_multiple_of(self.unit), 0);
        self.known.insert(block, at);
        Ok(at)
    }
}

/// First element of the row that a loop has come to.
fn row_offset(row: &Row, trips: &[u64]) -> u64 {
    let trip = trips.get(usize::from(row.depth)).copied().unwrap_or(0);
    let modulo = row.modulo.max(1);
    let start = row.start % modulo;
    let trip = trip % modulo;
    let at = if row.down { start + modulo - trip } else { start + trip };
    row.stride * (at % modulo)
}

impl GpuProgram {
    /// Translates a plan and builds its pipelines.
    pub async fn new(gpu: &Gpu, plan: &Plan) -> Result<GpuProgram> {
        let mut list = Vec::new();
        let tree = plan.compute.iter().chain(&plan.commit).map(|step| node(gpu, plan, step, &mut list));
        let tree = tree.collect::<Result<Vec<_>>>()?;
        // Blocks are as long as the longest that any pass binds, rounded up to where a block may begin.
        let longest = list.iter().map(|pass| pass.moving.len().next_multiple_of(4)).max().unwrap_or(4).max(4);
        let unit = longest.next_multiple_of(gpu.limits.min_uniform_buffer_offset_alignment as usize / 4);
        let mut trips = Trips { words: Vec::new(), known: HashMap::new(), unit };
        let mut calls = Vec::new();
        for step in &tree {
            unroll(step, &list, &mut Vec::new(), &mut trips, &mut calls)?;
        }
        let left_out = plan.dispatches().saturating_sub(tree.iter().map(computed).sum()) as u64;
        let pipelines = gpu.pipelines(&list).await?;
        let mut passes = Vec::new();
        for (pass, pipeline) in list.into_iter().zip(pipelines) {
            let moving = pass.moving.len().next_multiple_of(4) as u64 * 4;
            let Pass { groups, bindings, scalars, .. } = pass;
            passes.push(Ready { pipeline, groups, bindings, scalars, moving, bound: Mutex::default() });
        }
        let uniform = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let scalars = match passes.iter().any(|pass| pass.scalars) {
            true => Some((gpu.create_own(plan.scalars.len() as u64 * 4, uniform)?, Vec::new())),
            false => None,
        };
        let trips = match trips.words.is_empty() {
            true => None,
            false => {
                let buffer = gpu.create_own(trips.words.len() as u64 * 4, uniform)?;
                gpu.queue.write_buffer(&buffer.raw, 0, bytemuck::cast_slice(&trips.words));
                Some(buffer)
            }
        };
        Ok(GpuProgram { passes, calls, left_out, scalars: Mutex::new(scalars), trips })
    }

    /// Records and submits everything.
    pub fn run(&self, gpu: &Gpu, buffers: &[&GpuBuffer], words: &[u32]) -> Result<()> {
        let mut scalars = lock(&self.scalars);
        if let Some((buffer, last)) = &mut *scalars
            && last.as_slice() != words
        {
            // Earlier runs are submitted already, so they still see the old words.
            gpu.queue.write_buffer(&buffer.raw, 0, bytemuck::cast_slice(words));
            words.clone_into(last);
        }
        let uniform = scalars.as_ref().map(|(buffer, _)| &buffer.raw);
        let groups = self
            .passes
            .iter()
            .map(|pass| pass.bind(gpu, buffers, uniform, self.trips.as_ref().map(|trips| &trips.raw)))
            .collect::<Result<Vec<_>>>()?;
        for calls in self.calls.chunks(MAX_RECORDED) {
            let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            {
                let mut recorder = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                let mut current = None;
                for call in calls {
                    let (Some(pass), Some(group)) = (self.passes.get(call.pass), groups.get(call.pass)) else {
                        continue;
                    };
                    if current != Some(call.pass) {
                        recorder.set_pipeline(&pass.pipeline.raw);
                        current = Some(call.pass);
                    }
                    let offset = [call.trip];
                    recorder.set_bind_group(0, group, if pass.moving > 0 { &offset } else { &[] });
                    let [x, y, z] = pass.groups;
                    recorder.dispatch_workgroups(x, y, z);
                }
            }
            gpu.submit(encoder.finish())?;
        }
        gpu.counters.dispatches.fetch_add(self.calls.len() as u64, Ordering::Relaxed);
        gpu.counters.left_out.fetch_add(self.left_out, Ordering::Relaxed);
        drop(scalars);
        gpu.check()
    }
}

impl Ready {
    /// The bind group of these buffers, kept from the last time or new.
    fn bind(
        &self,
        gpu: &Gpu,
        buffers: &[&GpuBuffer],
        scalars: Option<&wgpu::Buffer>,
        trips: Option<&wgpu::Buffer>,
    ) -> Result<wgpu::BindGroup> {
        let unbound = || Error::device("a shader reads what the plan does not bind");
        let mine = self.bindings.iter().map(|b| buffers.get(b.buffer).copied().ok_or_else(unbound));
        let mine = mine.collect::<Result<Vec<_>>>()?;
        let key: Vec<u64> = mine.iter().map(|buffer| buffer.id).collect();
        let mut bound = lock(&self.bound);
        if let Some(at) = bound.iter().position(|(ids, _)| *ids == key) {
            let found = bound.remove(at);
            let group = found.1.clone();
            bound.push(found);
            return Ok(group);
        }
        let mut resources: Vec<wgpu::BindingResource> = mine.iter().map(|b| b.raw.as_entire_binding()).collect();
        if self.scalars {
            resources.push(scalars.ok_or_else(unbound)?.as_entire_binding());
        }
        if self.moving > 0 {
            resources.push(wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: trips.ok_or_else(unbound)?,
                offset: 0,
                size: std::num::NonZeroU64::new(self.moving),
            }));
        }
        let entries: Vec<wgpu::BindGroupEntry> = resources
            .into_iter()
            .enumerate()
            .map(|(n, resource)| wgpu::BindGroupEntry { binding: n as u32, resource })
            .collect();
        let group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &self.pipeline.layout,
            entries: &entries,
        });
        if bound.len() >= MAX_BOUND {
            bound.remove(0);
        }
        bound.push((key, group.clone()));
        Ok(group)
    }
}

fn node(gpu: &Gpu, plan: &Plan, step: &Step, list: &mut Vec<Pass>) -> Result<Node> {
    match step {
        Step::Run { kernel, args } => {
            let scratch = plan.buffers.iter().position(|b| b.source == Source::Scratch);
            let job = Job { kernel, args, buffers: &plan.buffers, scalars: plan.scalars.len(), scratch };
            let first = list.len();
            list.extend(passes(&job, &gpu.tuning)?);
            Ok(Node::Run((first..list.len()).collect()))
        }
        Step::Loop { trips, body } => {
            let body = body.iter().map(|step| node(gpu, plan, step, list)).collect::<Result<Vec<_>>>()?;
            Ok(Node::Loop(*trips, body))
        }
    }
}

/// Kernels, loops unrolled, that the device has a pass for.
fn computed(node: &Node) -> usize {
    match node {
        Node::Run(passes) => usize::from(!passes.is_empty()),
        Node::Loop(trips, body) => trips * body.iter().map(computed).sum::<usize>(),
    }
}

fn unroll(node: &Node, list: &[Pass], at: &mut Vec<u64>, trips: &mut Trips, calls: &mut Vec<Call>) -> Result<()> {
    match node {
        Node::Run(passes) => {
            for &pass in passes {
                let moving = list.get(pass).map(|p| p.moving.as_slice()).unwrap_or_default();
                let trip = if moving.is_empty() { 0 } else { trips.at(moving, at)? };
                calls.push(Call { pass, trip });
            }
        }
        Node::Loop(count, body) => {
            for trip in 0..*count {
                at.push(trip as u64);
                for step in body {
                    unroll(step, list, at, trips, calls)?;
                }
                at.pop();
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_round_in_both_directions() {
        let up = Row { depth: 1, stride: 10, start: 1, down: false, modulo: 2 };
        assert_eq!([0, 1, 2].map(|t| row_offset(&up, &[7, t])), [10, 0, 10]);
        let down = Row { depth: 0, stride: 3, start: 4, down: true, modulo: 5 };
        assert_eq!([0, 1, 4].map(|t| row_offset(&down, &[t])), [12, 9, 0]);
    }

    #[test]
    fn kernels_without_a_pass_are_counted() {
        let body = vec![Node::Run(vec![0, 1]), Node::Run(vec![])];
        assert_eq!([Node::Run(vec![]), Node::Run(vec![2]), Node::Loop(3, body)].map(|n| computed(&n)), [0, 1, 3]);
    }

    #[test]
    fn equal_offsets_share_a_block() {
        let mut trips = Trips { words: Vec::new(), known: HashMap::new(), unit: 64 };
        let row = Row { depth: 0, stride: 8, start: 0, down: false, modulo: 2 };
        let moving = [Moving { offset: 1, rows: vec![row] }];
        let at: Vec<u32> = (0..4).map(|t| trips.at(&moving, &[t]).unwrap()).collect();
        assert_eq!(at, [0, 256, 0, 256]);
        assert_eq!((trips.words[0], trips.words[64]), (1, 9));
    }
}
