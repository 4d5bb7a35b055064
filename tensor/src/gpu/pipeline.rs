//! Compute pipelines, one per shader text while somebody uses it.

use super::{adapter::Gpu, code::Pass};
use crate::{
    error::{Error, Result},
    graph::lock,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
};

/// A shader ready to run.
pub struct Pipeline {
    pub raw: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// Pipelines by their text.
#[derive(Default)]
pub struct Pipelines(Mutex<HashMap<String, Weak<Pipeline>>>);

impl Gpu {
    /// The pipeline of a pass: one that is in use already, or a new one.
    pub async fn pipeline(&self, pass: &Pass) -> Result<Arc<Pipeline>> {
        if let Some(found) = lock(&self.pipelines.0).get(&pass.text).and_then(Weak::upgrade) {
            return Ok(found);
        }
        let pipeline = Arc::new(self.build(pass).await?);
        let mut known = lock(&self.pipelines.0);
        known.retain(|_, pipeline| pipeline.strong_count() > 0);
        known.insert(pass.text.clone(), Arc::downgrade(&pipeline));
        Ok(pipeline)
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
