//! Compute pipelines, one per shader text while somebody uses it.

use super::{adapter::Gpu, code::Pass};
#[cfg(not(target_arch = "wasm32"))]
use crate::platform;
use crate::{
    error::{Error, Result},
    graph::lock,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
};

/// Most threads that build pipelines side by side.
#[cfg(not(target_arch = "wasm32"))]
const MAX_THREADS: usize = 8;

/// A shader ready to run.
pub struct Pipeline {
    pub raw: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// Pipelines by their text.
#[derive(Default)]
pub struct Pipelines(Mutex<HashMap<String, Weak<Pipeline>>>);

impl Gpu {
    /// The pipelines of these passes: those in use already, and new ones, built side by side as drivers take long.
    pub async fn pipelines(&self, passes: &[Pass]) -> Result<Vec<Arc<Pipeline>>> {
        let mut ready: HashMap<&str, Arc<Pipeline>> = HashMap::new();
        let mut missing: HashMap<&str, &Pass> = HashMap::new();
        {
            let known = lock(&self.pipelines.0);
            for pass in passes {
                match known.get(&pass.text).and_then(Weak::upgrade) {
                    Some(found) => drop(ready.insert(&pass.text, found)),
                    None => drop(missing.insert(&pass.text, pass)),
                }
            }
        }
        let missing: Vec<&Pass> = missing.into_values().collect();
        for (pass, built) in missing.iter().zip(self.build_all(&missing).await?) {
            ready.insert(&pass.text, Arc::new(built));
        }
        let mut known = lock(&self.pipelines.0);
        known.retain(|_, pipeline| pipeline.strong_count() > 0);
        let lost = || Error::device("a pipeline was not built");
        passes
            .iter()
            .map(|pass| {
                let pipeline = ready.get(pass.text.as_str()).ok_or_else(lost)?;
                known.entry(pass.text.clone()).or_insert_with(|| Arc::downgrade(pipeline));
                Ok(pipeline.clone())
            })
            .collect()
    }

    #[cfg(not(target_arch = "wasm32"))]
    async fn build_all(&self, passes: &[&Pass]) -> Result<Vec<Pipeline>> {
        // Natively nothing is awaited here: the driver builds on the thread that asks.
        let build = |part: &[&Pass]| platform::block_on(self.build_one_by_one(part));
        let parts = platform::side_by_side(passes, platform::cores().min(MAX_THREADS), build);
        let parts = parts.ok_or_else(|| Error::device("building a pipeline panicked"))?;
        Ok(parts.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    #[cfg(target_arch = "wasm32")]
    async fn build_all(&self, passes: &[&Pass]) -> Result<Vec<Pipeline>> {
        self.build_one_by_one(passes).await
    }

    async fn build_one_by_one(&self, passes: &[&Pass]) -> Result<Vec<Pipeline>> {
        let mut all = Vec::new();
        for pass in passes {
            all.push(self.build(pass).await?);
        }
        Ok(all)
    }

    async fn build(&self, pass: &Pass) -> Result<Pipeline> {
        tracing::debug!("new pipeline {}:\n{}", pass.name, pass.text);
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let entry = |n: usize, ty: wgpu::BufferBindingType, moving: bool| wgpu::BindGroupLayoutEntry {
            binding: n as u32,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: moving, min_binding_size: None },
            count: None,
        };
        let mut entries: Vec<wgpu::BindGroupLayoutEntry> = Vec::new();
        for binding in &pass.bindings {
            let ty = wgpu::BufferBindingType::Storage { read_only: !binding.written };
            entries.push(entry(entries.len(), ty, false));
        }
        if pass.scalars {
            entries.push(entry(entries.len(), wgpu::BufferBindingType::Uniform, false));
        }
        if !pass.moving.is_empty() {
            entries.push(entry(entries.len(), wgpu::BufferBindingType::Uniform, true));
        }
        let label = Some(pass.name);
        let layout =
            self.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
        let outline = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let module = self.module(pass);
        let raw = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&outline),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: cfg!(debug_assertions),
                ..Default::default()
            },
            cache: None,
        });
        match scope.pop().await {
            Some(error) => {
                Err(Error::device(format!("{}: shader {} was refused", self.name, pass.name)).caused_by(error))
            }
            None => Ok(Pipeline { raw, layout }),
        }
    }

    fn module(&self, pass: &Pass) -> wgpu::ShaderModule {
        let source = wgpu::ShaderSource::Wgsl(pass.text.as_str().into());
        let descriptor = wgpu::ShaderModuleDescriptor { label: Some(pass.name), source };
        if cfg!(debug_assertions) {
            return self.device.create_shader_module(descriptor);
        }
        // SAFETY: the text comes from our own generator and the shaders it fills, never from outside. Its loops are bounded
        // by extents in the text, it divides by nothing that may be 0, and its indices stay inside buffers that the planner
        // sized from the same extents; loads from data-dependent places compare them with the extent first. Tests run the
        // same generator with all checks on.
        #[allow(unsafe_code)]
        unsafe {
            self.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
        }
    }
}
