use super::*;
use crate::{
    Array, DType, Device, Result, Tensor,
    executor::Bound,
    memory::Storage,
    plan::{Plan, Source, plan, trace::Feeds, trace::trace},
    platform,
    run::on_device,
    testing::{self, Options, graphs},
    workspace::Workspace,
};

fn whole(traced: &Traced, labels: &[String], limits: Limits, share: f64) -> Option<(Traced, Vec<String>)> {
    Whole::new(traced, labels, limits).again(share)
}

/// Runs a plan without state; the bytes of its outputs.
fn run(device: &Device, traced: &Traced, feeds: &Feeds, plan: &Plan) -> Result<Vec<Vec<u8>>> {
    let inputs = feeds.inputs.iter().map(|t| platform::block_on(on_device(device, t))).collect::<Result<Vec<_>>>()?;
    let sizes: Vec<u64> = traced.outputs.iter().map(|&id| traced.nodes[id].meta.bytes()).collect();
    let outputs = sizes.iter().map(|&bytes| device.alloc(bytes)).collect::<Result<Vec<_>>>()?;
    let workspace = Workspace::lease(device, plan)?;
    let bind = |source: Source| match source {
        Source::Input(n) => inputs.get(n).map(Storage::bound),
        Source::Output(n) => outputs.get(n).map(Storage::bound),
        shared => workspace.bound(shared),
    };
    let bound: Vec<Bound> = plan.buffers.iter().filter_map(|buffer| bind(buffer.source)).collect();
    let code = platform::block_on(device.executor().compile(plan))?;
    device.executor().run(&code, &bound, &feeds.scalars)?;
    let read = |(storage, &bytes): (&Storage, &u64)| {
        platform::block_on(device.executor().read(&storage.bound().buffer, 0..bytes))
    };
    outputs.iter().zip(&sizes).map(read).collect()
}

/// Runs a graph as it is planned with as much computed again as can be; `None` if nothing can. How many values are delayed.
fn run_again(device: &Device, traced: &Traced, feeds: &Feeds, fuse: bool) -> Option<(Vec<Vec<u8>>, usize)> {
    let (again, labels) = whole(traced, &feeds.labels, Limits::of(&device.caps(), fuse), 0.0)?;
    let delayed = again.nodes.iter().filter(|node| node.prim == Prim::After).count();
    let small = plan(&again, &labels, device.executor(), fuse).unwrap();
    Some((run(device, &again, feeds, &small).unwrap(), delayed))
}

/// Whether a graph computes with half floats, which are rounded where they lie in memory and nowhere else.
fn has_half_floats(traced: &Traced) -> bool {
    traced.nodes.iter().any(|node| matches!(node.meta.dtype, DType::F16 | DType::BF16))
}

/// The same graph agrees with the reference where what can be is computed again.
fn agrees_again(device: &Device, outputs: &[Tensor], fuse: bool) -> std::result::Result<(), testing::Failure> {
    testing::check(outputs, |outputs| {
        let (traced, feeds) = trace(&[], outputs, &[])?;
        let bytes = match run_again(device, &traced, &feeds, fuse) {
            Some((bytes, _)) => bytes,
            None => run(device, &traced, &feeds, &plan(&traced, &feeds.labels, device.executor(), fuse)?)?,
        };
        let array = |(y, bytes): (&Tensor, Vec<u8>)| Array::from_bytes(y.dtype()?, y.shape()?, bytes);
        outputs.iter().zip(bytes).map(array).collect()
    })
}

/// Whatever the graph: letting go as much as can be changes no bit, but in half floats, which stay near enough. `ADDAX_TEST_SEED`
/// asks for other graphs, `ADDAX_TEST_GRAPHS` for more.
#[test]
fn computing_again_changes_no_bit() {
    let (seed, count) = (testing::seed(11), testing::wanted(600));
    let device = Device::cpu().unwrap();
    let (mut changed, mut copies, mut halves) = (0, 0, 0);
    for (i, graph) in graphs(seed, count, &Options::all()).enumerate() {
        let (traced, feeds) = trace(&[], &graph.outputs, &[]).unwrap();
        for fuse in [true, false] {
            let Some((got, delayed)) = run_again(&device, &traced, &feeds, fuse) else { continue };
            changed += 1;
            copies += delayed;
            let plain = plan(&traced, &feeds.labels, device.executor(), fuse).unwrap();
            let want = run(&device, &traced, &feeds, &plain).unwrap();
            if want != got && has_half_floats(&traced) {
                halves += 1;
                agrees_again(&device, &graph.outputs, fuse).unwrap_or_else(|e| panic!("graph {i} of seed {seed}: {e}"));
                continue;
            }
            assert!(want == got, "graph {i} of seed {seed}: {}", testing::to_rust(&graph.outputs));
        }
    }
    println!(
        "{changed} of {} plans were changed, {copies} values are delayed, {halves} round halves elsewhere",
        2 * count
    );
    assert!(count < 600 || changed > 100 && copies > 100, "{changed}, {copies}");
    assert!(halves * 100 <= changed, "{halves} of {changed}");
}

/// A half float that two kernels read lies in memory, rounded. Where each has a copy of its own, neither does: it stays in a register,
/// unrounded, which the reference's radius allows for.
#[test]
fn a_half_float_that_is_computed_again_need_not_be_rounded() {
    let device = Device::cpu().unwrap();
    let x = Tensor::from_array(Array::new([64], &(0..64).map(|i| i as f32 / 32.0 - 1.0).collect::<Vec<_>>()).unwrap());
    let z = x.cast(DType::F16).erf().sin();
    // Far apart, so that it waits between its readers.
    let line = |z: Tensor| z.cast(DType::F32).cumsum(0);
    let late = (0..6).fold(line(z.flip([0])), |y, _| line(y.sin()));
    let outputs = [late.clone(), line(z.cast(DType::F32) * late)];
    let (traced, feeds) = trace(&[], &outputs, &[]).unwrap();
    let (again, _) = run_again(&device, &traced, &feeds, true).unwrap();
    let plain = run(&device, &traced, &feeds, &plan(&traced, &feeds.labels, device.executor(), true).unwrap()).unwrap();
    assert!(again != plain, "the graph no longer shows what this test is about");
    agrees_again(&device, &outputs, true).unwrap();
}

fn products(traced: &Traced) -> usize {
    traced.nodes.iter().filter(|node| matches!(node.prim, Prim::MatMul(_))).count()
}

/// A chain of products and its gradient in the input. If `before`, the gradient reads what comes before the activation, too.
fn chain(links: usize, rows: usize, units: usize, before: bool) -> (Traced, Feeds) {
    let x = Tensor::placeholder(0, DType::F32, [rows, units]);
    let w = Tensor::placeholder(1, DType::F32, [units, units]);
    let mut y = x.clone();
    let mut outputs = Vec::new();
    for _ in 0..links {
        let z = y.matmul(&w);
        y = z.tanh();
        outputs.push((z, y.clone()));
    }
    let mut dy = y;
    for (z, y) in outputs.iter().rev() {
        let slope = 1.0 - y.square();
        dy = (dy * if before { slope * z.cos() } else { slope }).matmul(&w.t());
    }
    trace(&[x, w], &[dy], &[]).unwrap()
}

/// With n links, a few times √n of them lie in memory at once where each is computed twice; and fewer still where some are computed
/// more often.
#[test]
fn a_chain_takes_its_square_root() {
    let device = Device::cpu().unwrap();
    let limits = Limits::of(&device.caps(), true);
    let (links, rows, units) = (256, 64, 16);
    let value = (rows * units * 4) as u64;
    let (traced, feeds) = chain(links, rows, units, false);
    let planned = |traced: &Traced, labels: &[String]| plan(traced, labels, device.executor(), true).unwrap();
    let plain = planned(&traced, &feeds.labels).workspace;
    assert!(plain >= links as u64 * value);
    let mut least = plain;
    for share in SHARES {
        let (again, labels) = whole(&traced, &feeds.labels, limits, share).unwrap();
        let workspace = planned(&again, &labels).workspace;
        let times = (products(&again) - links) as f64 / links as f64;
        println!("{share}: {} of {} values, links computed {times:.2} times", workspace / value, plain / value);
        assert!(workspace < least, "{share}: {workspace}, {least}");
        assert!(workspace as f64 <= share * plain as f64 + 4.0 * value as f64, "{share}: {workspace} of {plain}");
        if share >= 0.2 {
            assert!(times <= 2.0, "{share}: {times}");
        }
        least = workspace;
    }
    assert!(least <= 3 * 16 * value);
}

/// The same graph, in which nothing is told to come after something else.
fn undelayed(traced: &Traced) -> Traced {
    let mut traced = traced.clone();
    let mut at: Vec<Id> = (0..traced.nodes.len()).collect();
    for id in 0..traced.nodes.len() {
        for input in &mut traced.nodes[id].inputs {
            *input = at[*input];
        }
        if traced.nodes[id].prim == Prim::After {
            at[id] = traced.nodes[id].inputs[0];
        }
    }
    traced.outputs.iter_mut().for_each(|id| *id = at[*id]);
    traced.updates.iter_mut().for_each(|(_, id)| *id = at[*id]);
    traced
}

/// What computing again saves, it saves by being late: without the delay a plan computes copies beside what they are copies of, and
/// keeps them.
#[test]
fn delays_lower_the_peak() {
    let device = Device::cpu().unwrap();
    let limits = Limits::of(&device.caps(), true);
    let planned = |traced: &Traced, labels: &[String]| plan(traced, labels, device.executor(), true).unwrap().workspace;
    let (traced, feeds) = chain(128, 64, 16, true);
    let (again, labels) = whole(&traced, &feeds.labels, limits, 0.1).unwrap();
    let (late, early) = (planned(&again, &labels), planned(&undelayed(&again), &labels));
    println!("{} bytes; computed again {late}, without delays {early}", planned(&traced, &feeds.labels));
    assert!(2 * late < early, "{late}, without delays {early}");
}

/// What costs little is let go before what costs much, unless that waits far longer.
#[test]
fn activations_are_let_go_before_products() {
    let device = Device::cpu().unwrap();
    let (traced, feeds) = chain(64, 64, 16, true);
    let (again, labels) = whole(&traced, &feeds.labels, Limits::of(&device.caps(), true), 0.7).unwrap();
    let planned = |traced: &Traced, labels: &[String]| plan(traced, labels, device.executor(), true).unwrap();
    let (plain, small) = (planned(&traced, &feeds.labels), planned(&again, &labels));
    let links_again = products(&again) - products(&traced);
    assert!(links_again <= 16, "{links_again} of 64 products");
    assert!(small.workspace as f64 <= 0.7 * plain.workspace as f64, "{} of {}", small.workspace, plain.workspace);
}

/// Nothing can be let go where nothing waits.
#[test]
fn what_waits_for_nothing_is_kept() {
    let x = Tensor::from(Array::new([2, 2], &[1.0f32, 2.0, 3.0, 4.0]).unwrap());
    let (traced, feeds) = trace(&[], &[x.matmul(&x).tanh().sum_all()], &[]).unwrap();
    let limits = Limits::of(&Device::cpu().unwrap().caps(), true);
    assert!(whole(&traced, &feeds.labels, limits, 0.0).is_none());
}
