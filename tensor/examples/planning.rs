//! How long planning takes as graphs grow: it should be near-linear in the number of nodes.
//!
//! `cargo run --release -p addax-tensor --example planning`

use addax_tensor::{DType, Device, Program, Result, Tensor, graph::graph_len};
use std::time::Instant;

fn main() -> Result<()> {
    println!("{:<12} {:>9} {:>11} {:>14}", "graph", "nodes", "planning", "per 1000 nodes");
    for nodes in [1_000, 10_000, 100_000] {
        measure("layers", nodes, layers)?;
        measure("chain", nodes, chain)?;
        measure("branches", nodes, branches)?;
    }
    Ok(())
}

fn measure(name: &str, nodes: usize, build: fn(&Tensor, usize) -> Tensor) -> Result<()> {
    let device = Device::cpu()?;
    device.set_memory_limit(None);
    let x = Tensor::placeholder(0, DType::F32, [8, 16]);
    let y = build(&x, nodes);
    let nodes = graph_len(&y);
    let began = Instant::now();
    let program = Program::capture(&device, &[x], &[y], &[], &[])?;
    let seconds = began.elapsed().as_secs_f64();
    let per = seconds * 1e6 / nodes as f64;
    println!(
        "{name:<12} {nodes:>9} {:>8.1} ms {per:>11.2} ms  ({} kernels)",
        seconds * 1e3,
        program.plan().dispatches()
    );
    Ok(())
}

/// Dense layers, one after the other: product, bias, activation, and a normalization that reduces.
fn layers(x: &Tensor, nodes: usize) -> Tensor {
    let w = Tensor::from_vec(vec![0.01f32; 256], [16, 16]);
    let mut y = x.clone();
    while graph_len(&y) < nodes.min(2_000) {
        y = layer(&y, &w);
    }
    // Counting a long graph at each step would be quadratic: the length of one layer is known by now.
    let per_layer = graph_len(&layer(&y, &w)) - graph_len(&y);
    for _ in 0..nodes.saturating_sub(graph_len(&y)) / per_layer {
        y = layer(&y, &w);
    }
    y
}

fn layer(y: &Tensor, w: &Tensor) -> Tensor {
    let z = (y.matmul(w) + 0.5).relu();
    &z - z.mean_keepdims(-1)
}

/// One element-by-element operation after the other.
fn chain(x: &Tensor, nodes: usize) -> Tensor {
    (0..nodes / 2).fold(x.clone(), |y, _| y + 1.0)
}

/// Many values that are all summed in the end.
fn branches(x: &Tensor, nodes: usize) -> Tensor {
    let parts: Vec<Tensor> = (0..nodes / 5).map(|i| (x * i as f64).tanh()).collect();
    parts.into_iter().reduce(|a, b| a + b).unwrap_or_else(|| x.clone())
}
