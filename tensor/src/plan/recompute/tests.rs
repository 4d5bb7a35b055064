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

/// Whatever the graph: letting go as much as can be changes no bit. `ADDAX_TEST_SEED` asks for other graphs, `ADDAX_TEST_GRAPHS` for
/// more.
#[test]
fn computing_again_changes_no_bit() {
    let (seed, count) = (testing::seed(11), testing::wanted(600));
    let device = Device::cpu().unwrap();
    let (mut changed, mut copies) = (0, 0);
    for (i, graph) in graphs(seed, count, &Options::all()).enumerate() {
        let (traced, feeds) = trace(&[], &graph.outputs, &[]).unwrap();
        for fuse in [true, false] {
            let limits = Limits::of(&device.caps(), fuse);
            let plain = plan(&traced, &feeds.labels, device.executor(), fuse).unwrap();
            let Some((again, labels)) = whole(&traced, &feeds.labels, limits, 0.0) else { continue };
            changed += 1;
            copies += again.nodes.iter().filter(|node| node.prim == Prim::After).count();
            let small = plan(&again, &labels, device.executor(), fuse).unwrap();
            let (want, got) =
                (run(&device, &traced, &feeds, &plain).unwrap(), run(&device, &again, &feeds, &small).unwrap());
            assert!(want == got, "graph {i} of seed {seed}: {}", testing::to_rust(&graph.outputs));
        }
    }
    println!("{changed} of {} plans were changed, {copies} values are delayed", 2 * count);
    assert!(count < 600 || changed > 100 && copies > 100, "{changed}, {copies}");
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
