//! Awaiting instead of waiting: the same numbers, futures that are pending while a device works, nothing locked meanwhile, and
//! nothing left behind by futures that are dropped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{
    Array, DType, Device, Recording, Result, Tensor, Variable,
    cpu::CpuExecutor,
    executor::{Bound, BoxFuture, Buffer, Caps, Compiled, Executor},
    plan::{Kernel, Plan, split::Rung},
    run,
};
use std::{
    future::{Future, poll_fn},
    ops::Range,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

/// Longest time that a future may sleep.
const PATIENCE: Duration = Duration::from_secs(60);

/// Wakes the thread of [`drive`].
struct Bell {
    thread: Thread,
    rung: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// Another executor of futures than the crate's own: polls when woken. What came, and how often it was pending.
fn drive<T>(future: impl Future<Output = T>) -> (T, usize) {
    let mut future = pin!(future);
    let bell = Arc::new(Bell { thread: thread::current(), rung: AtomicBool::new(false) });
    let waker = Waker::from(bell.clone());
    let mut pending = 0;
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return (value, pending);
        }
        pending += 1;
        let began = Instant::now();
        while !bell.rung.swap(false, Ordering::SeqCst) {
            assert!(began.elapsed() < PATIENCE, "nobody woke the future");
            thread::park_timeout(PATIENCE);
        }
    }
}

/// Polls once.
fn once<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A CPU whose every answer takes a while, as a browser's do.
struct Slow(CpuExecutor);

fn slow() -> Device {
    Device::from_executor(Box::new(Slow(CpuExecutor::with_threads(1).unwrap())))
}

/// Pending once.
async fn a_while() {
    let mut later = false;
    poll_fn(|context| match std::mem::replace(&mut later, true) {
        true => Poll::Ready(()),
        false => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

impl Executor for Slow {
    fn name(&self) -> String {
        "slow".into()
    }
    fn caps(&self) -> Caps {
        self.0.caps()
    }
    fn scratch(&self, kernel: &Kernel) -> u64 {
        self.0.scratch(kernel)
    }
    fn alloc(&self, bytes: u64) -> Result<Buffer> {
        self.0.alloc(bytes)
    }
    fn compile<'a>(&'a self, plan: &'a Plan) -> BoxFuture<'a, Result<Compiled>> {
        Box::pin(async move {
            a_while().await;
            self.0.compile(plan).await
        })
    }
    fn run(&self, code: &Compiled, buffers: &[Bound], scalars: &[u32]) -> Result<()> {
        self.0.run(code, buffers, scalars)
    }
    fn write(&self, to: &Buffer, at: u64, bytes: &[u8]) -> Result<()> {
        self.0.write(to, at, bytes)
    }
    fn copy(&self, from: &Buffer, to: &Buffer, bytes: u64) -> Result<()> {
        self.0.copy(from, to, bytes)
    }
    fn read<'a>(&'a self, from: &'a Buffer, range: Range<u64>) -> BoxFuture<'a, Result<Vec<u8>>> {
        Box::pin(async move {
            a_while().await;
            self.0.read(from, range).await
        })
    }
}

fn ramp(n: usize) -> Array {
    let values: Vec<f32> = (0..n).map(|i| (i % 97) as f32 * 0.25 - 3.0).collect();
    Array::new([n], &values).unwrap()
}

/// A variable whose value lies on this device.
fn on(device: &Device, n: usize) -> Variable {
    let x = Tensor::placeholder(0, DType::F32, [n]);
    let step = Recording { placeholders: vec![x.clone()], outputs: vec![x * 1.0], ..Recording::default() };
    let out = step.capture(device).unwrap().run(&[&ramp(n)]).unwrap();
    Variable::new(out[0].clone())
}

#[test]
fn on_a_cpu_nothing_is_pending() {
    let device = Device::cpu().unwrap();
    let w = on(&device, 50);
    let y = (w.value() * 2.0).exp();
    let (got, pending) = drive(y.to_array_async());
    let again = (w.value() * 2.0).exp();
    assert_eq!((got.unwrap(), pending), (again.to_array().unwrap(), 0));
    assert_eq!(drive(y.sum_all().item_async::<f32>()).0.unwrap(), y.sum_all().item::<f32>().unwrap());
    assert_eq!(drive(w.assign_async(&y)).1, 0);
    assert_eq!(w.value().to_array().unwrap(), y.to_array().unwrap());
}

#[test]
fn compiling_and_reading_are_awaited() {
    let device = slow();
    let w = on(&device, 9);
    let y = (w.value() + 1.0) * w.value();
    let (done, pending) = drive(Tensor::eval_async(std::slice::from_ref(&y)));
    assert_eq!((done.unwrap(), pending), ((), 1));
    let (array, pending) = drive(y.to_array_async());
    let want: Vec<f32> = ramp(9).to_vec::<f32>().unwrap().iter().map(|x| (x + 1.0) * x).collect();
    assert_eq!((array.unwrap().to_vec::<f32>().unwrap(), pending), (want, 1));
    // A mistake has the line of the call, not of the await.
    let line = line!() + 1;
    let wrong = y.item_async::<f32>();
    let error = drive(wrong).0.unwrap_err().to_string();
    assert!(error.contains(&format!("awaiting.rs:{line}")), "{error}");
}

/// A step whose state lies on another device waits for reading it there. Meanwhile the variable and the program are anyone's.
#[test]
fn nothing_is_locked_while_a_step_is_awaited() {
    let (far, device) = (slow(), Device::cpu().unwrap());
    let w = on(&far, 4);
    let x = Tensor::placeholder(0, DType::F32, [4]);
    let sum = w.value() + &x;
    let step = Recording {
        placeholders: vec![x],
        outputs: vec![sum.sum_all()],
        updates: vec![(w.clone(), sum)],
        reads: vec![],
    };
    let program = step.capture(&device).unwrap();
    drop(step);
    let ones = Array::new([4], &[1.0f32; 4]).unwrap();
    let inputs = [&ones];
    let mut first = pin!(program.run_async(&inputs));
    assert!(once(first.as_mut()).is_pending());
    // Would wait forever if either were locked.
    w.assign(&Tensor::full(DType::F32, [4], 10.0)).unwrap();
    assert_eq!(program.run(&inputs).unwrap()[0].item::<f32>().unwrap(), 44.0);
    // The pending step counts from what the variable is by then.
    let (out, _) = drive(first);
    assert_eq!(out.unwrap()[0].item::<f32>().unwrap(), 48.0);
    assert_eq!(w.value().to_vec::<f32>().unwrap(), [12.0; 4]);
    assert_eq!(drive(program.run_async(&inputs)).1, 0, "in steady state nothing is awaited");
}

#[test]
fn a_future_that_is_dropped_changes_nothing() {
    let device = slow();
    let w = on(&device, 1000);
    device.trim();
    let before = device.memory().live;
    for polls in 0..3 {
        let y = (w.value() + polls as f32).exp();
        let updates = vec![(w.clone(), y.clone())];
        {
            let mut step = pin!(run::step_async(&[], updates));
            let mut read = pin!(y.to_array_async());
            for _ in 0..polls.min(1) {
                assert!(once(step.as_mut()).is_pending());
            }
            for _ in 0..polls {
                assert!(once(read.as_mut()).is_pending());
            }
        }
        drop(y);
        device.trim();
        assert_eq!(device.memory().live, before);
        assert_eq!(w.value().to_array().unwrap(), ramp(1000));
    }
}

#[test]
fn the_ladder_is_awaited() {
    let device = slow();
    let x = Tensor::placeholder(0, DType::F32, [512, 64]).of_samples();
    let w = on(&device, 64 * 64);
    let kernel = w.value().reshape([64, 64]);
    let y = x.matmul(&kernel).tanh().matmul(&kernel).tanh().sum_all();
    let step =
        Recording { placeholders: vec![x], outputs: vec![y], updates: vec![], reads: vec![(w.clone(), w.value())] };
    let data = ramp(512 * 64).reshape([512, 64]).unwrap();
    let survey = step.survey(&device).unwrap();
    let (program, pending) = drive(step.capture_async(&device));
    let program = program.unwrap();
    assert_eq!(pending, 1);
    let whole = program.run(&[&data]).unwrap()[0].item::<f32>().unwrap();
    device.trim();
    device.set_memory_limit(Some(survey.floor + (survey.peak - survey.floor) / 3));
    let (out, pending) = drive(program.run_async(&[&data]));
    assert!(pending > 0, "a lower rung has a plan of its own");
    assert_ne!(program.rung(), Rung::WHOLE);
    let split = out.unwrap()[0].item::<f32>().unwrap();
    assert!((split - whole).abs() <= 1e-4 * whole.abs().max(1.0), "{split} {whole}");
}

#[cfg(feature = "gpu")]
mod gpu {
    use super::*;
    use addax_tensor::testing;

    fn device() -> Option<Device> {
        testing::gpu().expect("ADDAX_TEST_DEVICES names gpu")
    }

    #[test]
    fn a_read_is_pending_and_brings_the_same_bytes() {
        let Some(device) = device() else { return };
        for n in [1, 3, 257, 100_000] {
            let w = on(&device, n);
            let y = w.value().cast(DType::U8) + 1;
            Tensor::eval(std::slice::from_ref(&y)).unwrap();
            let (array, pending) = drive(y.to_array_async());
            assert!(pending > 0, "{n} elements were there at once");
            assert_eq!(array.unwrap(), y.to_array().unwrap());
        }
    }

    #[test]
    fn reads_side_by_side_all_come() {
        let Some(device) = device() else { return };
        let w = on(&device, 5000);
        let all: Vec<Tensor> = (0..6).map(|n| w.value() * n as f32).collect();
        Tensor::eval(&all).unwrap();
        let mut reads: Vec<_> = all.iter().map(|t| Box::pin(t.to_array_async())).collect();
        let mut got: Vec<Option<Array>> = vec![None; reads.len()];
        let join = poll_fn(|context| {
            for (read, got) in reads.iter_mut().zip(&mut got).filter(|(_, got)| got.is_none()) {
                if let Poll::Ready(array) = read.as_mut().poll(context) {
                    *got = Some(array.unwrap());
                }
            }
            if got.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
        });
        assert!(drive(join).1 > 0);
        for (tensor, got) in all.iter().zip(got) {
            assert_eq!(got.unwrap(), tensor.to_array().unwrap());
        }
    }

    #[test]
    fn a_step_is_submitted_without_awaiting() {
        let Some(device) = device() else { return };
        let w = on(&device, 64);
        let x = Tensor::placeholder(0, DType::F32, [64]);
        let sum = w.value() + &x;
        let updates = vec![(w.clone(), sum.clone())];
        let step = Recording { placeholders: vec![x], outputs: vec![sum.sum_all()], updates, reads: vec![] };
        let program = drive(step.capture_async(&device)).0.unwrap();
        drop((step, sum));
        let ones = Array::new([64], &[1.0f32; 64]).unwrap();
        program.run(&[&ones]).unwrap();
        let readbacks = device.gpu_stats().unwrap().readbacks;
        for _ in 0..3 {
            assert_eq!(drive(program.run_async(&[&ones])).1, 0);
        }
        assert_eq!(device.gpu_stats().unwrap().readbacks, readbacks);
        let want: Vec<f32> = ramp(64).to_vec::<f32>().unwrap().iter().map(|x| x + 4.0).collect();
        let (got, pending) = drive(async { w.value().to_vec_async::<f32>().await });
        assert_eq!((got.unwrap(), pending > 0), (want, true));
    }

    /// Staging memory counts while it is there, and goes with the future.
    #[test]
    fn a_read_that_is_dropped_leaves_nothing_behind() {
        let Some(device) = device() else { return };
        let w = on(&device, 30_000);
        let y = w.value();
        let want = y.to_array().unwrap();
        assert!(device.memory().live > 0);
        device.trim();
        let before = device.memory().live;
        for _ in 0..3 {
            let mut read = pin!(y.to_array_async());
            assert!(once(read.as_mut()).is_pending());
            assert!(device.memory().live >= before + 120_000, "staging memory is not counted");
        }
        // The last of them is dropped with the loop's body, too.
        assert_eq!(device.memory().live, before);
        assert_eq!(drive(y.to_array_async()).0.unwrap(), want);
        // What was read is kept for the next read, until it is asked for.
        assert!(device.memory().live > before);
        device.trim();
        assert_eq!(device.memory().live, before);
        // Another device goes while its thread may still poll for a read that nobody awaits.
        let gone = testing::gpu().unwrap().unwrap();
        let v = on(&gone, 1000);
        let z = v.value();
        assert!(once(pin!(z.to_array_async())).is_pending());
        drop((v, z, gone));
    }
}
