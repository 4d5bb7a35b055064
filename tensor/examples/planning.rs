//! How long planning takes as graphs grow: it should be near-linear in the number of nodes, with all the memory that a graph asks for
//! and with a part of it.
//!
//! `cargo run --release -p addax-tensor --example planning`

use addax_tensor::{DType, Device, Program, Result, Tensor, graph::graph_len};
use std::time::Instant;

/// A graph of about so many nodes, and what it reads.
type Build = fn(usize) -> Result<(Vec<Tensor>, Tensor)>;

fn main() -> Result<()> {
    println!("{:<24} {:>9} {:>13} {:>14}", "graph", "nodes", "planning", "per 1000 nodes");
    let forward: [(&str, Build); 3] = [("layers", layers), ("chain", chain), ("branches", branches)];
    let backward: [(&str, Build); 2] = [("gradient", gradient), ("gradient, not cut", uncut)];
    for nodes in [1_000, 10_000, 100_000] {
        for (name, build) in forward {
            let (inputs, y) = build(nodes)?;
            planned(name, None, &inputs, &y)?;
        }
        for (name, build) in backward {
            let (inputs, y) = build(nodes)?;
            let whole = planned(name, None, &inputs, &y)?;
            let (fixed, transient) = (whole.plan().fixed_bytes(), whole.plan().transient_bytes());
            for percent in [60, 25, 5, 0] {
                planned(name, Some((percent, fixed + transient * percent / 100)), &inputs, &y)?;
            }
        }
    }
    Ok(())
}

/// Plans a graph under this budget, a percentage of what it wants beside its inputs.
fn planned(name: &str, budget: Option<(u64, u64)>, inputs: &[Tensor], y: &Tensor) -> Result<Program> {
    let device = Device::cpu()?;
    device.set_memory_limit(budget.map(|(_, bytes)| bytes));
    let nodes = graph_len(y);
    let began = Instant::now();
    let program = Program::capture(&device, inputs, std::slice::from_ref(y), &[], &[])?;
    let seconds = began.elapsed().as_secs_f64();
    let name = match budget {
        Some((percent, _)) => format!("{name}, {percent} %"),
        None => name.to_string(),
    };
    println!(
        "{name:<24} {nodes:>9} {:>10.1} ms {:>11.2} ms  ({} kernels, {}, {} bytes)",
        seconds * 1e3,
        seconds * 1e6 / nodes as f64,
        program.plan().dispatches(),
        program.rung(),
        program.plan().transient_bytes(),
    );
    Ok(program)
}

fn data() -> Tensor {
    Tensor::placeholder(0, DType::F32, [8, 16])
}

/// Dense layers, one after the other: product, bias, activation, and a normalization that reduces.
fn layers(nodes: usize) -> Result<(Vec<Tensor>, Tensor)> {
    let (x, w) = (data(), Tensor::from_vec(vec![0.01f32; 256], [16, 16]));
    let mut y = x.clone();
    while graph_len(&y) < nodes.min(2_000) {
        y = layer(&y, &w);
    }
    // Counting a long graph at each step would be quadratic: the length of one layer is known by now.
    let per_layer = graph_len(&layer(&y, &w)) - graph_len(&y);
    for _ in 0..nodes.saturating_sub(graph_len(&y)) / per_layer {
        y = layer(&y, &w);
    }
    Ok((vec![x], y))
}

fn layer(y: &Tensor, w: &Tensor) -> Tensor {
    let z = (y.matmul(w) + 0.5).relu();
    &z - z.mean_keepdims(-1)
}

/// One element-by-element operation after the other.
fn chain(nodes: usize) -> Result<(Vec<Tensor>, Tensor)> {
    let x = data();
    let y = (0..nodes / 2).fold(x.clone(), |y, _| y + 1.0);
    Ok((vec![x], y))
}

/// Many values that are all summed in the end.
fn branches(nodes: usize) -> Result<(Vec<Tensor>, Tensor)> {
    let x = data();
    let parts = (0..nodes / 5).map(|i| (&x * i as f64).tanh());
    let y = parts.reduce(|a, b| a + b).unwrap_or_else(|| x.clone());
    Ok((vec![x], y))
}

/// Layers and their gradient in the data: every layer's output waits for the way back. The batch can be cut.
fn gradient(nodes: usize) -> Result<(Vec<Tensor>, Tensor)> {
    let x = Tensor::placeholder(0, DType::F32, [64, 16]).of_samples();
    Ok(back(x, nodes, |y| y.clone()))
}

/// The same, with a loss that holds every sample against every other, so that the batch cannot be cut.
fn uncut(nodes: usize) -> Result<(Vec<Tensor>, Tensor)> {
    let x = Tensor::placeholder(0, DType::F32, [64, 16]).of_samples();
    Ok(back(x, nodes, |y| y.matmul(&y.t()).matmul(y)))
}

fn back(x: Tensor, nodes: usize, slope: impl Fn(&Tensor) -> Tensor) -> (Vec<Tensor>, Tensor) {
    let w = Tensor::placeholder(1, DType::F32, [16, 16]);
    let layers = nodes / 8;
    let mut outputs = Vec::with_capacity(layers);
    let mut y = x.clone();
    for _ in 0..layers {
        y = y.matmul(&w).tanh();
        outputs.push(y.clone());
    }
    let mut dy = slope(&y);
    for y in outputs.iter().rev() {
        dy = (dy * (1.0 - y.square())).matmul(&w.t());
    }
    (vec![x, w], dy)
}
