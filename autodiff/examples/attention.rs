//! A training step of attention, with all scores at once and block by block: time, planned peak, largest value.
//!
//! `cargo run --release -p addax-autodiff --example attention [LENGTH[xBATCH]].. [block=QUERIES].. [rounds=N]`

use addax_autodiff::grad;
use addax_tensor::{Array, DType, Device, Recording, Result, Tensor, ops::Attention};
use std::time::{Duration, Instant};

const HEADS: usize = 4;
const WIDTH: usize = 32;

/// A step on a device: attention of four heads of width 32 and its gradient in queries, keys and values.
fn step(batch: usize, length: usize, block: Option<usize>) -> Result<Recording> {
    let shape = [batch, length, HEADS, WIDTH];
    let placeholders = [0, 1, 2].map(|i| Tensor::placeholder(i, DType::F32, shape).of_samples());
    let [q, k, v] = placeholders.clone();
    let y = q.dot_product_attention(&k, &v, &Attention { block, ..Attention::default() });
    let outputs = grad(&y.square().mean_all(), &[q, k, v])?;
    Ok(Recording { placeholders: placeholders.to_vec(), outputs: outputs.to_vec(), ..Recording::default() })
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let named = |name: &str| -> Vec<usize> {
        arguments.iter().filter_map(|a| a.strip_prefix(name)?.strip_prefix('=')?.parse().ok()).collect()
    };
    let blocks = named("block");
    let rounds = named("rounds").first().copied().unwrap_or(5);
    let mut sizes: Vec<(usize, usize)> = Vec::new();
    for size in arguments.iter().filter(|a| !a.contains('=')) {
        let (length, batch) = size.split_once('x').unwrap_or((size, "1"));
        sizes.extend(length.parse().ok().zip(batch.parse().ok()));
    }
    if sizes.is_empty() {
        sizes = [256, 512, 1024, 2048, 4096].map(|length| (length, 1)).to_vec();
    }
    for (length, batch) in sizes {
        let ways: Vec<Option<usize>> = match blocks.as_slice() {
            [] => vec![Some(length), None],
            some => std::iter::once(length).chain(some.iter().copied()).map(Some).collect(),
        };
        let numbers: Vec<f32> = (0..batch * length * HEADS * WIDTH).map(|i| (i as f32 * 0.37).sin()).collect();
        let data = Array::new([batch, length, HEADS, WIDTH], &numbers)?;
        let mut programs = Vec::new();
        for way in ways {
            // A device each, so that each has a peak of its own.
            programs.push((way, step(batch, length, way)?.capture(&Device::cpu()?)?, Duration::MAX));
        }
        for _ in 0..rounds {
            for (_, program, best) in &mut programs {
                let start = Instant::now();
                let results = program.run(&[&data, &data, &data])?;
                for result in &results {
                    result.to_array()?;
                }
                *best = (*best).min(start.elapsed());
            }
        }
        for (way, program, best) in &programs {
            let way = match way {
                Some(block) if *block == length => "at once".to_string(),
                Some(block) => format!("blocks of {block}"),
                None => "as chosen".to_string(),
            };
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            let largest = program.plan().largest(1).first().map_or(0, |(_, bytes)| *bytes);
            println!(
                "length {length:>5}, batch {batch:>3}, {way:>13}: {:>9.2} ms, peak {:>7.1} MiB, largest value {:>6.1} MiB",
                best.as_secs_f64() * 1e3,
                mib(program.device().memory().peak),
                mib(largest),
            );
        }
    }
    Ok(())
}
