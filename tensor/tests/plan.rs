use addax_tensor::{
    graph::{Body, Meta, ScanSpec},
    plan::trace::trace,
    *,
};
#[test]
fn show() {
    let exec = addax_tensor::cpu::CpuExecutor::new().unwrap();
    let x = Tensor::placeholder(0, DType::F32, [32, 784]);
    let w = Variable::new(Tensor::from_array(Array::zeros(DType::F32, [784, 128])));
    let b = Variable::new(Tensor::from_array(Array::zeros(DType::F32, [128])));
    let m = Variable::state(Tensor::from_array(Array::zeros(DType::F32, [784, 128])));
    let v = Variable::state(Tensor::from_array(Array::zeros(DType::F32, [784, 128])));
    let key = Tensor::from_vec([1u32, 2, 3], [3]);
    let h = (x.matmul(&w.value()) + b.value()).relu();
    let keep = random::uniform(&key, 7, [32, 128]).greater_equal(0.2);
    let d = keep.select(&h * 1.25, 0.0);
    let dz = h.greater(0.0).select(&d * 2.0, 0.0);
    let dw = x.t().matmul(&dz);
    let db = dz.sum(0);
    let m2 = m.value() + (&dw - m.value()) * 0.1;
    let v2 = v.value() + (dw.square() - v.value()) * 0.001;
    let w2 = w.value() - &m2 * 0.01 / (v2.sqrt() + 1e-7);
    let b2 = b.value() - &db * 0.01;
    let ups = vec![(w, w2), (b, b2), (m, m2), (v, v2)];
    let (t, f) = trace(&[x], &[d.softmax(-1), d.mean_all()], &ups).unwrap();
    for fuse in [true, false] {
        println!("{}", plan::plan(&t, &f.labels, &exec, fuse).unwrap());
    }
    // lstm
    let (bs, u, steps) = (64, 128, 28);
    let f32m = |s: &[usize]| Meta::new(DType::F32, s);
    let body = Body::new("lstm", &[f32m(&[bs, u]), f32m(&[bs, u]), f32m(&[bs, 4 * u]), f32m(&[u, 4 * u])], |p| {
        let [h, c, zx, uu] = p else { unreachable!() };
        let z = zx + h.matmul(uu);
        let g = |i: usize| z.slice(1, i * u..(i + 1) * u);
        let (i, f, gg, o) = (g(0).sigmoid(), g(1).sigmoid(), g(2).tanh(), g(3).sigmoid());
        let c2 = &f * c + &i * &gg;
        let h2 = &o * c2.tanh();
        let dz = Tensor::concat(&[i.clone(), f.clone(), gg.clone(), o.clone()], 1);
        Ok(vec![h2.clone(), c2, h2, dz])
    })
    .unwrap();
    let xs = Tensor::placeholder(0, DType::F32, [steps, bs, 4 * u]);
    let uu = Tensor::placeholder(1, DType::F32, [u, 4 * u]);
    let out = Tensor::scan(
        &body,
        ScanSpec { steps, carries: 2, inputs: 1, reverse: false },
        &[Tensor::zeros([bs, u]), Tensor::zeros([bs, u]), xs.clone(), uu.clone()],
    )
    .unwrap();
    let (t, f) = trace(&[xs, uu], &[out[0].clone() * 2.0, out[2].clone(), out[3].sum_all()], &[]).unwrap();
    println!("{}", plan::plan(&t, &f.labels, &exec, true).unwrap());
}
