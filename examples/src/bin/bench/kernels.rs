//! Single kernels on any device: `bench --kernels`. Products, the convolutions of ResNet-50, rows, attention.

use addax::{
    Array, DType, Device, Error, Tensor,
    tensor::{Program, cpu::CpuExecutor, graph::Conv2d},
};
use std::time::Instant;

type Run = dyn Fn(&[Tensor]) -> Tensor;

/// What is measured: a function of some operands.
struct Case {
    name: String,
    /// Shapes of the operands.
    operands: Vec<Vec<usize>>,
    flops: f64,
    run: Box<Run>,
}

impl Case {
    fn new(name: String, operands: Vec<Vec<usize>>, flops: f64, run: impl Fn(&[Tensor]) -> Tensor + 'static) -> Case {
        Case { name, operands, flops, run: Box::new(run) }
    }
}

/// Kernels of a ResNet-50: size of the picture, channels in and out, window, stride, batch.
const CONVOLUTIONS: [(usize, usize, usize, usize, usize); 8] = [
    (224, 3, 64, 7, 2),
    (56, 64, 64, 1, 1),
    (56, 64, 64, 3, 1),
    (56, 64, 256, 1, 1),
    (28, 128, 128, 3, 1),
    (14, 256, 256, 3, 1),
    (14, 1024, 256, 1, 1),
    (7, 512, 512, 3, 1),
];

/// Measures every case on the default device; `small` shrinks them, for adapters that are software. `sheet` is what the card's
/// maker says it can do.
pub fn measure(filter: &str, small: bool, sheet: Option<Peak>) -> addax::Result<()> {
    let device = Device::default();
    println!("{}", device.name());
    let peak = match sheet {
        Some(sheet) => sheet,
        None => Peak::measure(&device, small)?,
    };
    println!("at most {:.3} TFLOP/s, {:.1} GB/s\n", peak.flops / 1e12, peak.bytes / 1e9);
    println!(
        "{:<44} {:>8} {:>10} {:>10} {:>8} {:>6} {:>10}",
        "kernel", "type", "µs", "TFLOP/s", "GB/s", "peak", "dispatches"
    );
    for case in cases(small).into_iter().filter(|case| case.name.contains(filter)) {
        for dtype in [DType::F32, DType::F16] {
            let taken = time(&device, &case, dtype)?;
            let (flops, bytes) = (case.flops / taken.seconds, taken.bytes / taken.seconds);
            println!(
                "{:<44} {:>8} {:>10.1} {:>10.3} {:>8.1} {:>5.0}% {:>10}",
                case.name,
                dtype.name(),
                taken.seconds * 1e6,
                flops / 1e12,
                bytes / 1e9,
                (flops / peak.flops).max(bytes / peak.bytes) * 100.0,
                taken.dispatches,
            );
        }
    }
    Ok(())
}

fn cases(small: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for n in if small { vec![128, 256] } else { vec![1024, 4096] } {
        let name = format!("matmul {n}x{n}x{n}");
        cases.push(Case::new(name, vec![vec![n, n]; 2], 2.0 * (n as f64).powi(3), |x| x[0].matmul(&x[1])));
    }
    let batch = if small { 1 } else { 32 };
    for (size, from, to, window, stride) in CONVOLUTIONS {
        let size = if small { size.div_ceil(4) } else { size };
        let pad = (window / 2, window / 2);
        let conv = Conv2d { strides: [stride; 2], pads: [pad; 2], dilation: [1; 2], groups: 1 };
        let out = conv.output_len(0, size, window);
        let flops = 2.0 * (batch * out * out * to * window * window * from) as f64;
        let (x, kernel, y) = (vec![batch, size, size, from], vec![window, window, from, to], vec![batch, out, out, to]);
        let name = |kind: &str| format!("conv2d{kind} {size}x{size}x{from} to {to}, {window}x{window} by {stride}");
        cases.push(Case::new(name(""), vec![x.clone(), kernel.clone()], flops, move |t| t[0].conv2d(&t[1], conv)));
        let shape = x.clone();
        cases.push(Case::new(name("_input_grad"), vec![y.clone(), kernel.clone()], flops, move |t| {
            t[0].conv2d_input_grad(&t[1], shape.clone(), conv)
        }));
        cases.push(Case::new(name("_filter_grad"), vec![x, y], flops, move |t| {
            t[0].conv2d_filter_grad(&t[1], kernel.clone(), conv)
        }));
    }
    let rows = if small { [256, 256] } else { [8192, 1024] };
    let numel = (rows[0] * rows[1]) as f64;
    cases.push(Case::new(format!("softmax {rows:?}"), vec![rows.to_vec()], 5.0 * numel, |x| x[0].softmax(-1)));
    cases.push(Case::new(format!("layer_normalization {rows:?}"), vec![rows.to_vec()], 8.0 * numel, |x| {
        let mean = x[0].mean_keepdims(-1);
        let apart = &x[0] - &mean;
        &apart * (apart.square().mean_keepdims(-1) + 1e-3).rsqrt()
    }));
    for length in if small { vec![128] } else { vec![1024, 4096] } {
        let shape = vec![1, length, 16, 64];
        let flops = 4.0 * (16 * 64) as f64 * (length as f64).powi(2);
        cases.push(Case::new(format!("attention of {length}, 16 heads of 64"), vec![shape; 3], flops, |x| {
            x[0].dot_product_attention(&x[1], &x[2], &Default::default())
        }));
    }
    cases
}

struct Taken {
    seconds: f64,
    /// Bytes of operands and result.
    bytes: f64,
    /// Kernels of a run, a loop's counted each time.
    dispatches: usize,
}

fn operand(shape: &[usize], dtype: DType) -> addax::Result<Tensor> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| (i * 7919 % 1000) as f32 * 1e-3 - 0.5).collect();
    let operand = Tensor::from_array(Array::new(shape, &values)?).cast(dtype);
    Tensor::eval(std::slice::from_ref(&operand))?;
    Ok(operand)
}

/// The best of a few groups of runs; each group is waited for once.
fn time(device: &Device, case: &Case, dtype: DType) -> addax::Result<Taken> {
    let operands = case.operands.iter().map(|shape| operand(shape, dtype)).collect::<addax::Result<Vec<_>>>()?;
    let result = (case.run)(&operands);
    let bytes: usize = operands
        .iter()
        .chain([&result])
        .map(|t| Ok(t.shape()?.numel() * t.dtype()?.size()))
        .sum::<addax::Result<usize>>()?;
    let program = Program::capture(device, &[], &[result], &[], &[])?;
    let group = |runs: usize| -> addax::Result<f64> {
        let began = Instant::now();
        for _ in 0..runs {
            program.run(&[])?;
        }
        wait(device)?;
        Ok(began.elapsed().as_secs_f64() / runs as f64)
    };
    group(1)?;
    let runs = ((0.05 / group(1)?) as usize).clamp(1, 200);
    let mut seconds = f64::MAX;
    for _ in 0..5 {
        seconds = seconds.min(group(runs)?);
    }
    Ok(Taken { seconds, bytes: bytes as f64, dispatches: program.plan().dispatches() })
}

/// Work is done in order: what is read now waits for everything before.
fn wait(device: &Device) -> addax::Result<()> {
    let x = Tensor::placeholder(0, DType::F32, [1]);
    let program = Program::capture(device, std::slice::from_ref(&x), &[&x + 1.0], &[], &[])?;
    let out = program.run(&[&Array::new([1], &[1.0_f32])?])?;
    let value: f32 = out.first().ok_or_else(|| Error::device("a run without a result"))?.item()?;
    if value == 2.0 { Ok(()) } else { Err(Error::device("1 + 1 is not 2 on this device")) }
}

/// What the device does at most.
pub struct Peak {
    /// Floating-point operations per second.
    pub flops: f64,
    /// Bytes per second.
    pub bytes: f64,
}

impl Peak {
    /// A CPU's product in its first cache and its copy; elsewhere a chain of arithmetic in one kernel, and a copy, which say less
    /// than a card's data sheet does.
    fn measure(device: &Device, small: bool) -> addax::Result<Peak> {
        const CHAIN: usize = 48;
        if let Some(cpu) = device.executor_as::<CpuExecutor>() {
            let peak = cpu.measure_peak()?;
            return Ok(Peak { flops: peak.flops, bytes: peak.bytes });
        }
        let n = if small { 1 << 16 } else { 1 << 24 };
        let chain = Case::new("chain".into(), vec![vec![n]], (2 * CHAIN * n) as f64, |x| {
            (0..CHAIN).fold(x[0].clone(), |y, _| &y * &x[0] + 0.5)
        });
        let copy = Case::new("copy".into(), vec![vec![4 * n]], 0.0, |x| &x[0] * 1.5);
        let (chain_taken, copy_taken) = (time(device, &chain, DType::F32)?, time(device, &copy, DType::F32)?);
        Ok(Peak { flops: chain.flops / chain_taken.seconds, bytes: copy_taken.bytes / copy_taken.seconds })
    }
}
