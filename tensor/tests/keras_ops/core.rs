use super::fixture::Cases;
use addax_tensor::{DType, Tensor, ops::Combine};

#[test]
fn core() {
    let mut cases = Cases::of("core");
    cases.hold("scatter 3 2", |x| x[1].scatter(&x[0], [3, 2]));
    cases.hold("scatter 3 2 2", |x| x[1].scatter(&x[0], [3, 2, 2]));
    let ways = [
        ("None", Combine::Replace),
        ("add", Combine::Add),
        ("max", Combine::Max),
        ("min", Combine::Min),
        ("mul", Combine::Mul),
    ];
    for (name, combine) in ways {
        cases.hold(&format!("scatter_update {name}"), |x| x[0].scatter_update(&x[1], &x[2], combine));
    }
    cases.hold("slice_update", |x| x[0].slice_update([1, 1], &x[1]));
    cases.all_hold("map", 2e-6, |x| Tensor::map(x, &[], |p| Ok(vec![p[0].cumsum(0) * 2.0])));
    cases.all_hold("fori_loop", 2e-6, |x| {
        Tensor::fori_loop(2, 6, x, &[], |p| Ok(vec![&p[1] * 0.5 + p[0].cast(DType::F32)]))
    });
    for (name, reverse) in [("associative_scan", false), ("associative_scan reverse", true)] {
        cases.all_hold(name, 2e-6, |x| {
            Tensor::associative_scan(x, 1, reverse, |a, b| Ok(vec![&a[0] * &b[0], &b[0] * &a[1] + &b[1]]))
        });
    }
    cases.hold("switch", |x| x[0].switch(&[x[1].clone(), &x[1] * 2.0, -&x[1]]));
    cases.hold("rearrange", |x| x[0].rearrange("b (h k) c -> k b (c h)", &[("k", 2)]));
    cases.hold("rearrange joined", |x| x[0].rearrange("a b c -> (c a b)", &[]));
    cases.end();
}

#[test]
fn ctc() {
    let mut cases = Cases::of("ctc");
    for blank in [0, 2] {
        // Keras' impossible things cost 1e5, so that some losses are that large.
        cases.all_hold(&format!("ctc_loss {blank}"), 4e-6, |x| Ok(vec![x[0].ctc_loss(&x[1], &x[2], &x[3], blank)]));
        for merge in [true, false] {
            cases.all_hold(&format!("ctc_decode {blank} {merge}"), 2e-6, |x| {
                x[0].ctc_decode(&x[1], merge, blank).map(|(labels, score)| vec![labels, score])
            });
        }
    }
    cases.end();
}

#[test]
fn what_is_out_of_range_is_left_out() {
    let at = Tensor::from_vec([5, -4, 1], [3, 1]);
    let x = Tensor::from_vec([1, 2, 3], [3]);
    assert_eq!(x.scatter(&at, [3]).to_vec::<i32>().unwrap(), [0, 3, 0]);
    assert_eq!(x.scatter_update(&at, &x, Combine::Replace).to_vec::<i32>().unwrap(), [1, 3, 3]);
    assert_eq!(x.scatter_update(&at, &x, Combine::Mul).to_vec::<i32>().unwrap(), [1, 6, 3]);
}

#[test]
fn mistakes_say_what_they_are() {
    let x = Tensor::zeros([2, 6]);
    let says = |t: Tensor, part: &str| {
        let error = t.check().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    says(x.rearrange("a b", &[]), "two sides");
    says(x.rearrange("a (b -> a b", &[]), "no list of names");
    says(x.rearrange("a b -> a c", &[]), "the same names");
    says(x.rearrange("a b c -> c b a", &[]), "names 3 axes, the tensor has shape [2, 6]");
    says(x.rearrange("a (b c) -> a b c", &[("b", 4)]), "`(b c)` does not fit an axis of 6; 4 is known");
    says(x.slice_update([1, 5], &Tensor::zeros([1, 2])), "a box of [1, 2] at [1, 5] does not fit shape [2, 6]");
    says(x.scatter(&Tensor::arange(2), [4]), "do not fit a result of [4]");
    says(Tensor::scalar(1i64).switch(&[]), "needs a branch");
    says(x.switch(std::slice::from_ref(&x)), "integers");
    says(x.ctc_loss(&x, &x, &x, 0), "expected 3 axes");
    says(x.lstsq(&Tensor::zeros([3]), None), "right sides [3] do not fit");
    let error = Tensor::fori_loop(0, 2, std::slice::from_ref(&x), &[], |_| Ok(vec![])).unwrap_err().to_string();
    assert!(error.contains("1 values became 0"), "{error}");
    let error = Tensor::map(&[], &[], |p| Ok(p.to_vec())).unwrap_err().to_string();
    assert!(error.contains("equally many rows"), "{error}");
    let error = x.fft(&Tensor::zeros([2, 5])).unwrap_err().to_string();
    assert!(error.contains("two parts of one shape"), "{error}");
}
