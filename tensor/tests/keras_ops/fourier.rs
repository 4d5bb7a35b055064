use super::fixture::Cases;
use addax_tensor::{Result, Tensor};
use proptest::prelude::*;

type Pair = (Tensor, Tensor);
type Transform<'a> = &'a dyn Fn(&[Tensor]) -> Result<Pair>;

fn both((re, im): Pair) -> Vec<Tensor> {
    vec![re, im]
}

/// As SciPy has it: as if one value longer.
fn hann(n: usize) -> Tensor {
    Tensor::hanning(n + 1).slice(0, ..n)
}

#[test]
fn fourier() {
    let mut cases = Cases::of("fourier");
    let mut pairs = |name: &str, f: Transform<'_>| {
        cases.all_hold(name, 1e-5, |x| f(x).map(both));
    };
    pairs("fft", &|x| x[0].fft(&x[1]));
    pairs("ifft", &|x| x[0].ifft(&x[1]));
    pairs("fft2", &|x| x[0].fft2(&x[1]));
    pairs("ifft2", &|x| x[0].ifft2(&x[1]));
    pairs("rfft", &|x| x[0].rfft(None));
    pairs("rfft 4", &|x| x[0].rfft(Some(4)));
    pairs("rfft 9", &|x| x[0].rfft(Some(9)));
    pairs("stft", &|x| x[0].stft(3, 8, &hann(6), true));
    pairs("stft plain", &|x| x[0].stft(2, 5, &Tensor::ones([5]), false));
    cases.hold("irfft", |x| x[0].irfft(&x[1], None));
    cases.hold("irfft 4", |x| x[0].irfft(&x[1], Some(4)));
    cases.hold("irfft 9", |x| x[0].irfft(&x[1], Some(9)));
    cases.hold("istft", |x| x[0].istft(&x[1], 3, 8, None, &hann(6), true));
    let hamming = Tensor::hamming(7).slice(0, ..6);
    cases.hold("istft cut", |x| x[0].istft(&x[1], 2, 6, Some(9), &hamming, false));
    cases.end();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// There and back, whatever the factors of the length.
    #[test]
    fn inverses_are_inverses(n in 1usize..200, salt in 0usize..99) {
        let data = |salt: usize| {
            let at = |i: usize| ((i as f32 + 1.0) * 0.618_034 + salt as f32 * 0.37).fract() * 2.0 - 1.13;
            Tensor::from_vec((0..n).map(at).collect::<Vec<_>>(), [n])
        };
        let (re, im) = (data(salt), data(salt + 1));
        let (a, b) = re.fft(&im).unwrap();
        let (a, b) = a.ifft(&b).unwrap();
        let half = re.rfft(None).unwrap();
        let c = half.0.irfft(&half.1, Some(n));
        for (x, y) in [(&a, &re), (&b, &im), (&c, &re)] {
            prop_assert!((x - y).abs().max(..).item::<f32>().unwrap() < 1e-5);
        }
    }
}
