//! Plans that were made before, found by the graph's structure. Bounded.

use super::{Plan, plan, plan_on, plan_within, smallest, split::Rung, trace::Traced};
use crate::{
    device::Device,
    error::{Error, ErrorKind, OutOfMemory, Result},
    executor::Compiled,
    graph::lock,
    platform,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

/// How to plan, whatever the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Options {
    /// Whether to fuse.
    pub(crate) fusion: bool,
    /// A rung to take whether or not it is needed, where the batch can be split.
    pub(crate) rung: Option<Rung>,
}

impl Default for Options {
    fn default() -> Self {
        Options { fusion: true, rung: None }
    }
}

type Key = (Arc<Traced>, Options);

/// A plan and its executable form, with what is needed to plan again on a lower rung.
pub(crate) struct Prepared {
    pub(crate) plan: Plan,
    pub(crate) code: Compiled,
    traced: Arc<Traced>,
    labels: Arc<[String]>,
    options: Options,
    /// Bytes that it was allowed to take beside inputs and state.
    room: u64,
    /// Why it could not be made smaller.
    obstacle: Option<String>,
}

impl Prepared {
    /// Whether a plan for this room could be another one.
    fn suits(&self, room: u64) -> bool {
        let fits = self.plan.transient_bytes() <= room;
        let higher = self.plan.rung != Rung::WHOLE && room / 2 >= self.room;
        fits && !higher
    }
}

/// What the plan cache did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheInfo {
    /// Plans kept now.
    pub plans: usize,
    /// Graph nodes that the kept plans' keys hold, which bounds their bytes.
    pub nodes: usize,
    /// How often a plan was found.
    pub hits: u64,
    /// How often one had to be made.
    pub misses: u64,
    /// How many of those stand on a lower rung than the whole batch at once.
    pub split: u64,
    /// The lowest rung of the memory ladder that one was made for.
    pub lowest: Rung,
}

/// Most plans kept.
const MAX_PLANS: usize = 256;
/// Most nodes in all keys together (some 200 bytes each). A graph of more nodes is planned each time it comes.
const MAX_NODES: usize = 400_000;

pub(crate) struct PlanCache {
    max_nodes: usize,
    plans: HashMap<Key, (Arc<Prepared>, u64)>,
    clock: u64,
    info: CacheInfo,
    enabled: bool,
    options: Options,
}

impl Default for PlanCache {
    fn default() -> Self {
        PlanCache {
            max_nodes: MAX_NODES,
            plans: HashMap::new(),
            clock: 0,
            info: CacheInfo::default(),
            enabled: true,
            options: Options::default(),
        }
    }
}

impl PlanCache {
    /// An empty one with the same settings.
    pub(crate) fn like(&self) -> PlanCache {
        PlanCache { enabled: self.enabled, options: self.options, ..PlanCache::default() }
    }
    pub(crate) fn info(&self) -> CacheInfo {
        CacheInfo { plans: self.plans.len(), ..self.info }
    }
    pub(crate) fn set_enabled(&mut self, on: bool) {
        self.enabled = on;
        if !on {
            self.plans.clear();
            self.info.nodes = 0;
        }
    }
    pub(crate) fn set_fusion(&mut self, on: bool) {
        self.options.fusion = on;
    }
    pub(crate) fn set_rung(&mut self, rung: Option<Rung>) {
        self.options.rung = rung;
    }

    /// The prepared plan of a graph on a device, for this many bytes beside inputs and state: found, or made.
    /// If nothing fits into so few bytes, the smallest plan there is; binding it is refused.
    pub(crate) async fn prepare(
        device: &Device,
        traced: Traced,
        labels: Vec<String>,
        room: u64,
    ) -> Result<Arc<Prepared>> {
        let cache: &Mutex<PlanCache> = device.plans();
        let key = {
            let mut cache = lock(cache);
            let key = (Arc::new(traced), cache.options);
            cache.clock += 1;
            let now = cache.clock;
            if let Some((prepared, used)) = cache.plans.get_mut(&key) {
                *used = now;
                if prepared.suits(room) {
                    let prepared = prepared.clone();
                    cache.info.hits += 1;
                    return Ok(prepared);
                }
            }
            key
        };
        Self::make(device, key, labels.into(), room).await
    }

    /// The same graph, for this many bytes. `None` if there is no smaller plan.
    pub(crate) async fn smaller(device: &Device, than: &Prepared, room: u64) -> Result<Option<Arc<Prepared>>> {
        let bytes = than.plan.transient_bytes();
        if than.obstacle.is_some() || bytes == 0 {
            return Ok(None);
        }
        let key = (than.traced.clone(), than.options);
        let made = Self::make(device, key, than.labels.clone(), room.min(bytes - 1)).await?;
        Ok((made.plan.transient_bytes() < bytes).then_some(made))
    }

    /// A plan for more room than this one was made for, if there is so much more that it is worth a try.
    pub(crate) async fn larger(device: &Device, than: &Arc<Prepared>, room: u64) -> Result<Arc<Prepared>> {
        match than.suits(room) || than.plan.rung == Rung::WHOLE {
            true => Ok(than.clone()),
            false => Self::make(device, (than.traced.clone(), than.options), than.labels.clone(), room).await,
        }
    }

    async fn make(device: &Device, key: Key, labels: Arc<[String]>, room: u64) -> Result<Arc<Prepared>> {
        let found = match key.1.rung {
            Some(rung) => plan_on(&key.0, &labels, device.executor(), key.1.fusion, rung)?,
            None => plan_within(&key.0, &labels, device.executor(), key.1.fusion, room)?,
        };
        let (plan, obstacle) = (found.plan, found.obstacle);
        if platform::env_lists("ADDAX_LOG", "plan") {
            eprint!("{plan}");
        }
        let code = device.executor().compile(&plan).await?;
        let (traced, options) = key.clone();
        let prepared = Arc::new(Prepared { plan, code, traced, labels, options, room, obstacle });
        let mut cache = lock(device.plans());
        cache.info.misses += 1;
        cache.info.split += u64::from(prepared.plan.rung != Rung::WHOLE);
        if prepared.plan.rung.is_below(cache.info.lowest) {
            cache.info.lowest = prepared.plan.rung;
        }
        if cache.enabled {
            cache.insert(key, prepared.clone());
        }
        Ok(prepared)
    }

    /// The error of a plan that is refused: its whole need, its largest values, and why there is no smaller one. `base` is what is
    /// needed beside the plan's results and temporaries: its inputs and state, and what others hold.
    pub(crate) fn refused(device: &Device, prepared: &Prepared, error: Error, base: u64) -> Error {
        refusal(device, &prepared.traced, &prepared.labels, prepared.options.fusion, error, base)
    }
    /// [`refused`](PlanCache::refused) before there is a plan.
    pub(crate) fn refused_graph(device: &Device, traced: &Traced, labels: &[String], error: Error, base: u64) -> Error {
        let fuse = lock(device.plans()).options.fusion;
        refusal(device, traced, labels, fuse, error, base)
    }

    fn insert(&mut self, key: Key, prepared: Arc<Prepared>) {
        let nodes = key.0.nodes.len();
        if nodes > self.max_nodes {
            return;
        }
        while !self.plans.is_empty() && (self.plans.len() >= MAX_PLANS || self.info.nodes + nodes > self.max_nodes) {
            let Some(oldest) = self.plans.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone()) else {
                break;
            };
            self.plans.remove(&oldest);
            self.info.nodes -= oldest.0.nodes.len();
        }
        self.info.nodes += nodes;
        if let Some(_same) = self.plans.insert(key, (prepared, self.clock)) {
            self.info.nodes -= nodes;
        }
    }
}

/// The error of a graph that does not fit: see [`PlanCache::refused`]. By planning alone.
fn refusal(device: &Device, traced: &Traced, labels: &[String], fuse: bool, error: Error, base: u64) -> Error {
    let ErrorKind::OutOfMemory(report) = error.kind() else { return error };
    let planned = plan(traced, labels, device.executor(), fuse)
        .and_then(|whole| Ok((whole, smallest(traced, labels, device.executor(), fuse)?)));
    let Ok((whole, least)) = planned else { return error };
    device.out_of_memory(OutOfMemory {
        needed: report.needed.max(base + whole.transient_bytes()),
        largest: least.plan.largest(3),
        floor: (least.plan.rung != Rung::WHOLE).then_some(base + least.plan.transient_bytes()),
        obstacle: least.obstacle,
        ..OutOfMemory::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tensor;

    /// A sum over so many additions, each of another number so that none is merged with another.
    fn chain(length: usize) -> Tensor {
        (0..length).fold(Tensor::ones([length + 1]), |x, n| (x + n as f64).sin())
    }

    #[test]
    fn nodes_of_all_plans_together_are_bounded() {
        let device = Device::cpu().unwrap();
        lock(device.plans()).max_nodes = 400;
        let mut most = 0;
        for length in 1..60 {
            run_on(&device, &chain(length));
            let info = device.plan_cache();
            let counted: usize = lock(device.plans()).plans.keys().map(|(traced, _)| traced.nodes.len()).sum();
            assert_eq!(info.nodes, counted);
            assert!(info.nodes <= 400, "{info:?}");
            most = most.max(info.nodes);
        }
        // The bound was reached, and the newest are those that stayed.
        assert!(most > 200, "{most}");
        let before = device.plan_cache();
        run_on(&device, &chain(59));
        assert_eq!(device.plan_cache().hits, before.hits + 1);
        run_on(&device, &chain(5));
        assert_eq!(device.plan_cache().misses, before.misses + 1);
    }

    #[test]
    fn a_graph_above_the_bound_is_not_kept_and_drives_nothing_out() {
        let device = Device::cpu().unwrap();
        lock(device.plans()).max_nodes = 400;
        run_on(&device, &chain(3));
        let kept = device.plan_cache();
        run_on(&device, &chain(300));
        let after = device.plan_cache();
        assert_eq!((after.plans, after.nodes, after.misses), (kept.plans, kept.nodes, kept.misses + 1));
        run_on(&device, &chain(3));
        assert_eq!(device.plan_cache().hits, kept.hits + 1);
    }

    fn run_on(device: &Device, x: &Tensor) {
        let (traced, feeds) = crate::plan::trace::trace(&[], std::slice::from_ref(x), &[]).unwrap();
        platform::block_on(PlanCache::prepare(device, traced, feeds.labels, u64::MAX)).unwrap();
    }
}
