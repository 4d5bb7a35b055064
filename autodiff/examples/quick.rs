use addax_autodiff::grad;
use addax_tensor::{graph::*, *};
use std::time::Instant;
fn var(shape: &[usize], s: u32) -> Variable {
    let n: usize = shape.iter().product();
    let v: Vec<f32> = (0..n as u32)
        .map(|i| (((i ^ s).wrapping_mul(2654435761)) >> 8) as f32 / 16777216.0 - 0.5)
        .map(|x| x * 0.1)
        .collect();
    Variable::new(Tensor::from_vec(v, shape))
}
fn adam(loss: &Tensor, vars: &[Variable]) -> Vec<(Variable, Tensor)> {
    let g = grad(loss, vars).unwrap();
    let it = Variable::state(Tensor::from_vec([0i32], []));
    let lr = Variable::state(Tensor::from_vec([1e-3f32], []));
    let t = it.value().cast(DType::F32) + 1.0;
    let alpha = lr.value() * (1.0 - (t.clone() * 0.999f64.ln()).exp()).sqrt() / (1.0 - (t * 0.9f64.ln()).exp());
    let mut u = vec![(it.clone(), it.value() + 1)];
    for (w, g) in vars.iter().zip(g) {
        let m = Variable::state(w.value().zeros_like());
        let v = Variable::state(w.value().zeros_like());
        let m2 = m.value() + (&g - m.value()) * 0.1;
        let v2 = v.value() + (g.square() - v.value()) * 0.001;
        u.push((w.clone(), w.value() - &m2 * &alpha / (v2.sqrt() + 1e-7)));
        u.push((m, m2));
        u.push((v, v2));
    }
    u
}
fn main() {
    let d = Device::default();
    println!("{}", d.name());
    let which = std::env::args().nth(1).unwrap_or_default();
    for work in ["mlp_small", "mlp", "convnet", "lstm"] {
        if !which.is_empty() && which != work {
            continue;
        }
        let (bs, shape): (usize, Vec<usize>) = match work {
            "mlp_small" => (32, vec![784]),
            "mlp" => (128, vec![784]),
            "convnet" => (128, vec![28, 28, 1]),
            _ => (64, vec![28, 28]),
        };
        let xs: Vec<usize> = std::iter::once(bs).chain(shape).collect();
        let x = Tensor::placeholder(0, DType::F32, &xs);
        let y = Tensor::placeholder(1, DType::I32, [bs]);
        let key = Variable::state(Tensor::from_vec([1u32, 2, 0], [3]));
        let drop = |x: Tensor, s: u32, r: f64| {
            let sh = x.shape().unwrap().clone();
            random::uniform(&key.value(), s, sh).greater_equal(r).select(x * (1.0 / (1.0 - r)), 0.0)
        };
        let mut vars = vec![];
        let mut dense = |x: Tensor, o: usize| {
            let [_, i] = x.dims().unwrap();
            let (w, b) = (var(&[i, o], 7), var(&[o], 9));
            vars.push(w.clone());
            vars.push(b.clone());
            x.matmul(&w.value()) + b.value()
        };
        let mut extra = vec![];
        let logits = match work {
            "mlp_small" => {
                let h = dense(x.clone(), 128).relu();
                dense(h, 10)
            }
            "mlp" => {
                let h = drop(dense(x.clone(), 512).relu(), 1, 0.2);
                let h = drop(dense(h, 512).relu(), 2, 0.2);
                dense(h, 10)
            }
            "convnet" => {
                let c = Conv2d { strides: [1, 1], pads: [(0, 0); 2], dilation: [1, 1], groups: 1 };
                let p = Pool2d { window: [2, 2], strides: [2, 2], pads: [(0, 0); 2] };
                let (w1, b1, w2, b2) = (var(&[3, 3, 1, 32], 1), var(&[32], 2), var(&[3, 3, 32, 64], 3), var(&[64], 4));
                let h = (x.conv2d(&w1.value(), c) + b1.value()).relu().max_pool2d(p);
                let h = (h.conv2d(&w2.value(), c) + b2.value()).relu().max_pool2d(p);
                extra.extend([w1, b1, w2, b2]);
                dense(drop(h.reshape([bs, 1600]), 3, 0.5), 10)
            }
            _ => {
                let (units, steps) = (128, 28);
                let (w, u, b) = (var(&[28, 512], 1), var(&[128, 512], 2), var(&[512], 3));
                let zx = (x.permute([1, 0, 2]).reshape([steps * bs, 28]).matmul(&w.value()) + b.value())
                    .reshape([steps, bs, 512]);
                let f = |s: &[usize]| Meta::new(DType::F32, s);
                let st = f(&[bs, units]);
                let body = Body::new("lstm", &[st.clone(), st, f(&[bs, 512]), f(&[128, 512])], |p| {
                    let z = &p[2] + p[0].matmul(&p[3]);
                    let g = |i: usize| z.slice(1, i * units..(i + 1) * units);
                    let c = g(1).sigmoid() * &p[1] + g(0).sigmoid() * g(2).tanh();
                    let h = g(3).sigmoid() * c.tanh();
                    Ok(vec![h, c])
                })
                .unwrap();
                let o = Tensor::scan(
                    &body,
                    ScanSpec { steps, carries: 2, inputs: 1, reverse: false },
                    &[Tensor::zeros([bs, units]), Tensor::zeros([bs, units]), zx, u.value()],
                )
                .unwrap();
                extra.extend([w, u, b]);
                dense(o[0].clone(), 10)
            }
        };
        vars.extend(extra);
        let hot = y.one_hot(10, DType::F32);
        let loss = -(logits.log_softmax(-1) * hot).sum(-1).mean_all();
        let mut ups = adam(&loss, &vars);
        let total = Variable::state(Tensor::from_vec([0f32], []));
        let hits = Variable::state(Tensor::from_vec([0f32], []));
        ups.push((total.clone(), total.value() + &loss));
        ups.push((hits.clone(), hits.value() + logits.argmax(-1).equal(&y).cast(DType::F32).sum_all()));
        ups.push((key.clone(), key.value() + Tensor::from_vec([0u32, 0, 1], [3])));
        let pr = Program::capture(&d, &[x, y], &[], &ups, &[]).unwrap();
        std::mem::drop(ups);
        println!("{work}: {} dispatches peak {}", pr.plan().dispatches(), error::bytes_for_people(pr.planned_peak()));
        if std::env::var("SHOW").is_ok() {
            println!("{}", pr.plan());
        }
        let n: usize = xs.iter().product();
        let xa = Array::new(xs.clone(), &(0..n).map(|i| (i * 7919 % 255) as f32 / 255.0).collect::<Vec<_>>()).unwrap();
        let ya = Array::new([bs], &(0..bs).map(|i| (i % 10) as i32).collect::<Vec<_>>()).unwrap();
        let mut best = f64::MAX;
        for _ in 0..8 {
            let t = Instant::now();
            let reps = if work == "mlp_small" { 200 } else { 30 };
            for _ in 0..reps {
                pr.run(&[&xa, &ya]).unwrap();
            }
            best = best.min(t.elapsed().as_secs_f64() / reps as f64 * 1e3);
        }
        println!("   {best:.3} ms/step; loss sum {}", total.value().item::<f32>().unwrap());
    }
}
