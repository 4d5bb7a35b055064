//! The memory ladder under shrinking budgets: training goes on, stays within the budget, and learns the same.
//! A test binary of its own, because it counts every byte that the process takes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax::{
    layers::*,
    prelude::*,
    tensor::{error::bytes_for_people, plan::split::Rung},
};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

struct Counting;

static LIVE: AtomicU64 = AtomicU64::new(0);
static PEAK: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is passed on to the system's allocator; only sizes are counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn count(bytes: usize) {
    let live = LIVE.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// A training to be repeated under budgets.
struct Case {
    name: &'static str,
    train: fn(&Device, usize) -> addax::Result<Vec<f64>>,
}

/// What one run did.
struct Run {
    losses: Vec<f64>,
    /// Device bytes at the highest moment.
    peak: u64,
    /// Bytes that the process took beyond what it had before, at the highest moment.
    taken: u64,
    seconds: f64,
}

const STEPS: usize = 20;

fn pixel(i: usize) -> f32 {
    ((i * 7919 + i / 197 * 31) % 255) as f32 / 255.0
}

fn pictures(rows: usize, shape: &[usize]) -> (Array, Array) {
    let each: usize = shape.iter().product();
    let all: Vec<usize> = std::iter::once(rows).chain(shape.iter().copied()).collect();
    let x = Array::new(all, &(0..rows * each).map(pixel).collect::<Vec<_>>()).unwrap();
    (x, Array::new([rows], &(0..rows).map(|i| (i * 3 % 10) as i32).collect::<Vec<_>>()).unwrap())
}

fn steps(
    mut model: Sequential,
    device: &Device,
    (x, y): (Array, Array),
    weight: Option<&[f32]>,
    n: usize,
) -> addax::Result<Vec<f64>> {
    let loss = SparseCategoricalCrossentropy::from_logits();
    model.compile(Compile::new(Adam::new(1e-3)).loss(loss).metric("accuracy"))?;
    model.set_device(device);
    let mut step = || {
        model.reset_metrics()?;
        model.train_on_batch(&x, &y, weight)?.get("loss")
    };
    (0..n).map(|_| step()).collect()
}

fn mlp(device: &Device, n: usize) -> addax::Result<Vec<f64>> {
    let model = Sequential::new()
        .input([784])
        .seed(1)
        .add(Dense::new(256).activation("relu"))
        .add(Dropout::new(0.2))
        .add(Dense::new(256).activation("relu").kernel_regularizer(L2(1e-4)))
        .add(Dropout::new(0.2))
        .add(Dense::new(10));
    steps(model, device, pictures(512, &[784]), None, n)
}

fn convnet(device: &Device, n: usize) -> addax::Result<Vec<f64>> {
    let model = Sequential::new()
        .input([14, 14, 1])
        .seed(2)
        .add(Conv2D::new(16, 3).activation("relu"))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(32, 3).activation("relu"))
        .add(MaxPooling2D::new(2))
        .add(Flatten::new())
        .add(Dropout::new(0.5))
        .add(Dense::new(10));
    steps(model, device, pictures(64, &[14, 14, 1]), None, n)
}

/// Batch statistics are sums over the whole batch in the middle of the step: phases.
fn normalized(device: &Device, n: usize) -> addax::Result<Vec<f64>> {
    let model = Sequential::new()
        .input([10, 10, 3])
        .seed(3)
        .add(Conv2D::new(8, 3).padding("same"))
        .add(BatchNormalization::new())
        .add(Activation::new("relu"))
        .add(Conv2D::new(16, 3).strides(2))
        .add(BatchNormalization::new())
        .add(Activation::new("relu"))
        .add(GlobalAveragePooling2D::new())
        .add(Dense::new(10));
    steps(model, device, pictures(32, &[10, 10, 3]), None, n)
}

fn lstm(device: &Device, n: usize) -> addax::Result<Vec<f64>> {
    let model = Sequential::new()
        .input([12, 20])
        .seed(4)
        .add(LSTM::new(24).return_sequences(true))
        .add(LSTM::new(16))
        .add(Dense::new(10));
    steps(model, device, pictures(32, &[12, 20]), None, n)
}

fn weighted(device: &Device, n: usize) -> addax::Result<Vec<f64>> {
    let model = Sequential::new().input([64]).seed(5).add(Dense::new(128).activation("tanh")).add(Dense::new(10));
    let weight: Vec<f32> = (0..256).map(|i| (i % 7) as f32 / 3.0).collect();
    steps(model, device, pictures(256, &[64]), Some(&weight), n)
}

/// Attention within each sample, with a way around it, and a normalization within each position.
#[derive(Fields)]
#[fields(package = "ladder")]
struct Encoder {
    attention: MultiHeadAttention,
    norm: LayerNormalization,
    wide: Dense,
    narrow: Dense,
}

impl Layer for Encoder {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, cx: &mut Cx) -> addax::Result<Tensor> {
        let a = cx.call(&self.attention, [&x, &x])?;
        let x = cx.call(&self.norm, x + a)?;
        let wide = cx.call(&self.wide, &x)?;
        Ok(cx.call(&self.narrow, wide)? + x)
    }
}

fn transformer(device: &Device, n: usize) -> addax::Result<Vec<f64>> {
    let encoder = || Encoder {
        attention: MultiHeadAttention::new(2, 8),
        norm: LayerNormalization::new(),
        wide: Dense::new(32).activation("gelu"),
        narrow: Dense::new(16),
    };
    let model = Sequential::new()
        .input([9, 12])
        .seed(10)
        .add(Dense::new(16))
        .add(encoder())
        .add(encoder())
        .add(GlobalAveragePooling1D::new())
        .add(Dense::new(10));
    steps(model, device, pictures(24, &[9, 12]), None, n)
}

/// Two convolutions with batch statistics, and a convolution of one pixel around them.
#[derive(Fields)]
#[fields(package = "ladder")]
struct Residual {
    a: Conv2D,
    norm_a: BatchNormalization,
    b: Conv2D,
    norm_b: BatchNormalization,
    around: Conv2D,
}

impl Layer for Residual {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, cx: &mut Cx) -> addax::Result<Tensor> {
        let h = cx.call(&self.a, &x)?;
        let h = cx.call(&self.norm_a, h)?.relu();
        let h = cx.call(&self.b, h)?;
        Ok((cx.call(&self.norm_b, h)? + cx.call(&self.around, x)?).relu())
    }
}

fn resnet(device: &Device, n: usize) -> addax::Result<Vec<f64>> {
    let residual = |filters: usize, strides: usize| Residual {
        a: Conv2D::new(filters, 3).strides(strides).padding("same").use_bias(false),
        norm_a: BatchNormalization::new(),
        b: Conv2D::new(filters, 3).padding("same").use_bias(false),
        norm_b: BatchNormalization::new(),
        around: Conv2D::new(filters, 1).strides(strides).use_bias(false),
    };
    let model = Sequential::new()
        .input([8, 8, 1])
        .seed(11)
        .add(Conv2D::new(6, 3).padding("same").use_bias(false))
        .add(residual(6, 1))
        .add(residual(12, 2))
        .add(GlobalAveragePooling2D::new())
        .add(Dense::new(10));
    steps(model, device, pictures(16, &[8, 8, 1]), None, n)
}

/// A callback holds the best weights, so that each improvement makes the next step copy them.
fn held(device: &Device, n: usize) -> addax::Result<Vec<f64>> {
    let mut model = Sequential::new().input([48]).seed(8).add(Dense::new(96).activation("relu")).add(Dense::new(10));
    let loss = SparseCategoricalCrossentropy::from_logits();
    model.compile(Compile::new(Adam::new(1e-3)).loss(loss))?;
    model.set_device(device);
    let (x, y) = pictures(192, &[48]);
    let mut early = EarlyStopping::new("loss").patience(n).restore_best_weights(true);
    let fit = Fit::epochs(n).batch_size(96).shuffle(false).seed(1).verbose(0).callback(&mut early);
    let history = model.fit(&Dataset::new(x, y)?, fit)?;
    assert!(device.memory().replaced > n as u64 / 2, "no snapshot was held");
    Ok(history.get("loss")?.to_vec())
}

/// Two nets, two optimizers, random numbers: a train step of one's own.
struct Gan {
    generator: Sequential,
    discriminator: Sequential,
    d_opt: Adam,
    g_opt: Adam,
}

impl TrainStep for Gan {
    fn train_step(&mut self, real: Tensor, s: &mut Step) -> addax::Result<Logs> {
        let rows = real.dims::<2>()?[0];
        let fake = s.call(&self.generator, s.normal([rows, 8]))?;
        let real_score = s.call(&self.discriminator, &real)?;
        let fake_score = s.call(&self.discriminator, fake.stop_gradient())?;
        let d_loss = (-real_score).softplus().mean_all() + fake_score.softplus().mean_all();
        s.minimize(&d_loss, &self.discriminator, &mut self.d_opt)?;
        let g_loss = (-s.call(&self.discriminator, &fake)?).softplus().mean_all();
        s.minimize(&g_loss, &self.generator, &mut self.g_opt)?;
        Ok(logs! { "d_loss" => d_loss, "g_loss" => g_loss })
    }
}

fn gan(device: &Device, n: usize) -> addax::Result<Vec<f64>> {
    Device::set_default(device);
    let net = |out: usize, input: usize, seed: u64| {
        Sequential::new().input([input]).seed(seed).add(Dense::new(96).activation("tanh")).add(Dense::new(out))
    };
    let (generator, discriminator) = (net(32, 8, 6), net(1, 32, 7));
    let mut gan = Gan { generator, discriminator, d_opt: Adam::new(1e-3), g_opt: Adam::new(1e-3) };
    let (x, y) = pictures(128, &[32]);
    let data = Dataset::new(x, y).unwrap();
    let fit = Fit::epochs(n).batch_size(128).shuffle(false).seed(1).verbose(0);
    let history = gan.fit(&data, fit)?;
    Ok(history.get("d_loss")?.iter().chain(history.get("g_loss")?).copied().collect())
}

fn run(case: &Case, device: &Device) -> addax::Result<Run> {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let start = Instant::now();
    let losses = (case.train)(device, STEPS)?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(Run { losses, peak: device.memory().peak, taken: PEAK.load(Ordering::Relaxed) - before, seconds })
}

fn table(case: &Case, new_device: &dyn Fn() -> Device, percents: &[u64], counted: bool) {
    let whole = run(case, &new_device()).unwrap();
    let lowest = new_device();
    lowest.set_rung(Some(Rung { slices: usize::MAX, recompute: true }));
    let least = run(case, &lowest).unwrap();
    let (peak, floor) = (whole.peak, least.peak);
    println!("{}: peak {}, floor {}", case.name, bytes_for_people(peak), bytes_for_people(floor));
    assert!(floor < peak);
    // What the process takes beside the device's bytes: recorded graphs, plans, data on the host.
    let beside = whole.taken.saturating_sub(whole.peak);
    for &percent in percents {
        let budget = floor + (peak - floor) * percent / 100;
        let device = new_device();
        device.set_memory_limit(Some(budget));
        let got = run(case, &device).unwrap();
        println!(
            "  {percent:>3} %: budget {}, peak {}, process {}, {:.2} times as long",
            bytes_for_people(budget),
            bytes_for_people(got.peak),
            bytes_for_people(got.taken),
            got.seconds / whole.seconds
        );
        assert!(got.peak <= budget);
        if counted {
            let allowed = budget + beside + (4 << 20);
            assert!(got.taken <= allowed, "the process took {} of {allowed} bytes", got.taken);
        }
        assert_eq!(got.losses.len(), whole.losses.len());
        for (step, (a, b)) in got.losses.iter().zip(&whole.losses).enumerate() {
            assert!(
                (a - b).abs() <= 1e-4 * b.abs().max(1.0),
                "{} at {percent} %, step {step}: {a}, whole {b}",
                case.name
            );
        }
    }
    let device = new_device();
    device.set_memory_limit(Some(floor / 2));
    let refused = run(case, &device).err().expect("half the floor must be refused");
    assert!(refused.is_out_of_memory(), "{refused}");
    println!("  below: {refused}");
}

#[test]
fn training_goes_on_under_every_budget() {
    let cases = [
        Case { name: "mlp", train: mlp },
        Case { name: "convnet", train: convnet },
        Case { name: "normalized", train: normalized },
        Case { name: "lstm", train: lstm },
        Case { name: "weighted", train: weighted },
        Case { name: "transformer", train: transformer },
        Case { name: "resnet", train: resnet },
        Case { name: "gan", train: gan },
        Case { name: "held snapshot", train: held },
    ];
    for case in &cases {
        table(case, &|| Device::cpu().unwrap(), &[100, 75, 50, 25, 10, 5], true);
    }
    // Building pipelines takes a software adapter long: fewer cases, fewer budgets.
    if std::env::var("ADDAX_TEST_DEVICES").is_ok_and(|devices| devices.split(',').any(|d| d.trim() == "gpu")) {
        let gpu = || Device::by_name("gpu").expect("ADDAX_TEST_DEVICES names gpu, but there is no adapter");
        for case in cases.iter().filter(|case| ["normalized", "weighted", "lstm"].contains(&case.name)) {
            table(case, &gpu, &[50, 5], false);
        }
    } else {
        println!("gpu tests skipped: ADDAX_TEST_DEVICES does not name gpu");
    }
}
