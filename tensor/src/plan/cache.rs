//! Plans that were made before, found by the graph's structure. Bounded.

use super::{Plan, plan, trace::Traced};
use crate::{device::Device, error::Result, executor::Compiled, graph::lock, platform};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

/// A plan and its executable form.
pub(crate) struct Prepared {
    pub(crate) plan: Plan,
    pub(crate) code: Compiled,
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
}

/// Most plans kept.
const MAX_PLANS: usize = 256;
/// Most nodes in all keys together (some 200 bytes each).
const MAX_NODES: usize = 400_000;

pub(crate) struct PlanCache {
    plans: HashMap<(Arc<Traced>, bool), (Arc<Prepared>, u64)>,
    clock: u64,
    info: CacheInfo,
    enabled: bool,
    fusion: bool,
}

impl Default for PlanCache {
    fn default() -> Self {
        PlanCache { plans: HashMap::new(), clock: 0, info: CacheInfo::default(), enabled: true, fusion: true }
    }
}

impl PlanCache {
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
        self.fusion = on;
    }

    /// The prepared plan of a graph on a device: found, or made.
    pub(crate) fn prepare(device: &Device, traced: Traced, labels: &[String]) -> Result<Arc<Prepared>> {
        let cache: &Mutex<PlanCache> = device.plans();
        let (key, enabled) = {
            let mut cache = lock(cache);
            let key = (Arc::new(traced), cache.fusion);
            cache.clock += 1;
            let now = cache.clock;
            if let Some((prepared, used)) = cache.plans.get_mut(&key) {
                *used = now;
                let prepared = prepared.clone();
                cache.info.hits += 1;
                return Ok(prepared);
            }
            cache.info.misses += 1;
            (key, cache.enabled)
        };
        let plan = plan(&key.0, labels, device.executor(), key.1)?;
        if platform::log_plans() {
            eprint!("{plan}");
        }
        let code = platform::block_on(device.executor().compile(&plan))?;
        let prepared = Arc::new(Prepared { plan, code });
        if enabled {
            lock(cache).insert(key, prepared.clone());
        }
        Ok(prepared)
    }

    fn insert(&mut self, key: (Arc<Traced>, bool), prepared: Arc<Prepared>) {
        let nodes = key.0.nodes.len();
        while !self.plans.is_empty() && (self.plans.len() >= MAX_PLANS || self.info.nodes + nodes > MAX_NODES) {
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
