//! Computing values again instead of keeping them: the same numbers, bit for bit, in less memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{Array, DType, Device, Program, Tensor, Variable, graph::MatMul, plan::split::Rung, random};

const WHOLE_AGAIN: Rung = Rung { slices: 1, recompute: true, lean: false };

/// A deep net of square layers, `tanh` each, with a loss over the whole batch that mixes its samples; its gradient by hand, in the
/// order that a gradient has. Samples are counted if `samples`, though the loss lets no one split them.
struct Deep {
    x: Tensor,
    weights: Vec<Variable>,
    loss: Tensor,
    updates: Vec<(Variable, Tensor)>,
}

fn deep(layers: usize, rows: usize, units: usize, samples: bool) -> Deep {
    let x = Tensor::placeholder(0, DType::F32, [rows, units]);
    let x = if samples { x.of_samples() } else { x };
    let start = |layer: usize| {
        let scale = 1.5 / (units as f32).sqrt();
        let at = |i: usize| (((i * 7919 + layer * 104_729) % 2003) as f32 / 1001.5 - 1.0) * scale;
        Array::new([units, units], &(0..units * units).map(at).collect::<Vec<_>>()).unwrap()
    };
    let weights: Vec<Variable> = (0..layers).map(|l| Variable::new(Tensor::from(start(l)))).collect();
    let mut outputs = vec![x.clone()];
    for (layer, weight) in weights.iter().enumerate() {
        let h = outputs.last().unwrap();
        // Masks are drawn again, too.
        let mask = random::uniform(&random::key(5, 1), layer as u32, [rows, units]).greater_equal(0.1);
        outputs.push(mask.select(h.matmul(&weight.value()).tanh(), 0.0));
    }
    let last = outputs.last().unwrap();
    // Every sample against every other.
    let gram = last.matmul(&last.t());
    let loss = gram.square().mean_all();
    let mut dy = gram.matmul(last) * (4.0 / (rows * rows) as f64);
    let mut updates = Vec::new();
    for layer in (0..layers).rev() {
        let h = &outputs[layer + 1];
        let mask = random::uniform(&random::key(5, 1), layer as u32, [rows, units]).greater_equal(0.1);
        let dz = mask.select(&dy, 0.0) * (1.0 - h.square());
        let dw = outputs[layer].matmul_with(&dz, MatMul { transpose_a: true, transpose_b: false });
        dy = dz.matmul(&weights[layer].value().t());
        updates.push((weights[layer].clone(), weights[layer].value() - &dw * 0.05));
    }
    Deep { x, weights, loss, updates }
}

impl Deep {
    fn capture(&self, device: &Device) -> addax_tensor::Result<Program> {
        Program::capture(device, std::slice::from_ref(&self.x), std::slice::from_ref(&self.loss), &self.updates, &[])
    }
    /// A few steps on this device: the losses and the last weights, as bits.
    fn train(&self, program: &Program) -> addax_tensor::Result<Vec<u32>> {
        let [rows, units] = [0, 1].map(|axis| self.x.shape().unwrap()[axis]);
        let data: Vec<f32> = (0..rows * units).map(|i| ((i * 29) % 17) as f32 / 8.0 - 1.0).collect();
        let data = Array::new([rows, units], &data)?;
        let mut bits = Vec::new();
        for _ in 0..3 {
            bits.push(program.run(&[&data])?[0].item::<f32>()?.to_bits());
        }
        for weight in &self.weights {
            bits.extend(weight.value().to_vec::<f32>()?.into_iter().map(f32::to_bits));
        }
        Ok(bits)
    }
}

/// Runs on this device, and its planned peak.
fn on(device: &Device, build: &dyn Fn() -> Deep) -> addax_tensor::Result<(Vec<u32>, Program)> {
    let deep = build();
    let program = deep.capture(device)?;
    let bits = deep.train(&program)?;
    Ok((bits, program))
}

#[test]
fn a_deep_net_whose_batch_cannot_be_split_trains_in_a_fraction_of_its_peak() {
    for samples in [false, true] {
        let build = || deep(64, 256, 16, samples);
        let (whole, program) = on(&Device::cpu().unwrap(), &build).unwrap();
        let (peak, fixed) = (program.planned_peak(), program.plan().fixed_bytes());
        let layer = 256 * 16 * 4;
        assert!(peak > fixed + 64 * layer, "{peak}");
        let mut kernels = Vec::new();
        for layers in [48, 32, 24, 16, 12] {
            let device = Device::cpu().unwrap();
            let budget = fixed + (layers + 32) * layer;
            device.set_memory_limit(Some(budget));
            let (bits, program) = on(&device, &build).unwrap_or_else(|e| panic!("{layers} layers: {e}"));
            assert_eq!(bits, whole, "{layers} layers");
            assert_eq!(program.rung(), WHOLE_AGAIN);
            assert!(program.planned_peak() <= budget);
            assert!(device.memory().peak <= budget, "{} of {budget}", device.memory().peak);
            kernels.push(program.plan().dispatches());
        }
        println!("whole: {} bytes, {} kernels; then {kernels:?}", peak, program.plan().dispatches());
        // The less memory, the more is computed again.
        assert!(kernels.is_sorted() && kernels[0] > program.plan().dispatches());
        assert!(kernels[0] < kernels[4]);
    }
}

/// Below what computing again can do, a step is refused before anything runs, and the error says what is the least.
#[test]
fn below_the_least_a_step_is_refused() {
    let device = Device::cpu().unwrap();
    device.set_memory_limit(Some(400_000));
    let net = deep(64, 256, 16, true);
    let program = net.capture(&device).unwrap();
    let error = net.train(&program).unwrap_err();
    let text = error.to_string();
    assert!(error.is_out_of_memory(), "{text}");
    assert!(text.contains("At its smallest it would still need"), "{text}");
    assert!(text.contains("mixes its samples") && !text.contains("A smaller batch would not help"), "{text}");
}

/// A gradient in the data of layers that share their weights, so that a batch may be cut.
fn input_gradient(device: &Device, layers: usize, rows: usize, units: usize) -> Program {
    let x = Tensor::placeholder(0, DType::F32, [rows, units]).of_samples();
    let w = Tensor::placeholder(1, DType::F32, [units, units]);
    let mut outputs = vec![x.clone()];
    for _ in 0..layers {
        let next = outputs[outputs.len() - 1].matmul(&w).tanh();
        outputs.push(next);
    }
    let mut dy = outputs[layers].clone();
    for y in outputs[1..].iter().rev() {
        dy = (dy * (1.0 - y.square())).matmul(&w.t());
    }
    Program::capture(device, &[x, w], &[dy], &[], &[]).unwrap()
}

/// Of what fits, the plan that is predicted to be fastest: slices where there are many samples; computing again where weights are
/// large and samples few, since each slice would read the weights anew.
#[test]
fn the_faster_of_what_fits_is_taken() {
    for (rows, units, sliced) in [(4096, 64, true), (8, 1024, false)] {
        let forced = |rung: Rung| {
            let device = Device::cpu().unwrap();
            device.set_rung(Some(rung));
            input_gradient(&device, 24, rows, units)
        };
        let whole = forced(Rung::WHOLE);
        let transient = whole.plan().transient_bytes();
        let device = Device::cpu().unwrap();
        device.set_memory_limit(Some(whole.plan().fixed_bytes() + transient * 6 / 10));
        let chosen = input_gradient(&device, 24, rows, units);
        let seconds = |program: &Program| program.plan().predicted_seconds(&device.caps());
        println!("{rows} rows of {units}: {}", chosen.rung());
        assert_eq!(chosen.rung().slices > 1, sliced, "{}", chosen.rung());
        assert!(chosen.plan().transient_bytes() <= transient * 6 / 10);
        assert!(seconds(&chosen) >= seconds(&whole));
        for other in [2, 4, 8].map(|slices| forced(Rung { slices, recompute: false, lean: false })) {
            if other.plan().transient_bytes() <= transient * 6 / 10 {
                assert!(seconds(&chosen) <= seconds(&other), "{} and {}", chosen.rung(), other.rung());
            }
        }
    }
}
