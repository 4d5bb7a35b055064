// Elementary functions with stated errors; src/math.rs has the same formulas, their errors and their tests.
// WGSL's own may be off by hundreds of ulp, each device in its own way.

const LOG2_E: f32 = 1.44269504;
// ln 2 in two parts: the first has nine bits, so that its product with an exponent is exact.
const LN2_HI: f32 = 0.693359375;
const LN2_LO: f32 = -2.1219444e-4;
const SQRT_HALF_BITS: u32 = 0x3f3504f3u;
const INFINITY_BITS: u32 = 0x7f800000u;
const NAN_BITS: u32 = 0x7fc00000u;
const MAGNITUDE: u32 = 0x7fffffffu;
const SIGN: u32 = 0x80000000u;
const MIN_NORMAL: f32 = 1.17549435e-38;

// A function, because a constant expression must not be infinite or NaN.
fn from_bits(bits: u32) -> f32 {
    return bitcast<f32>(bits);
}

fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & MAGNITUDE) > INFINITY_BITS;
}

fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & MAGNITUDE) < INFINITY_BITS;
}

// 2^n for -126 <= n <= 127; 0 and infinity for the numbers next to these.
fn exp2_int(n: i32) -> f32 {
    return bitcast<f32>(bitcast<u32>(n + 127) << 23u);
}

// The sign of one number for another that is not negative. The usual merge, (a & MAGNITUDE) | (b & SIGN), is not the same to
// every compiler: Mesa's for CPUs takes b for |b| where it knows the lowest bits of b to be zero, as those of a bfloat16 are.
fn copy_sign(magnitude: f32, signed: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(magnitude) ^ (bitcast<u32>(signed) & SIGN));
}

// An exponential 2^k (1 + p).
struct Power {
    p: f32,
    k: i32,
}

// y = n ln 2 + r with |r| <= ln 2 / 2.
fn halvings(y: f32) -> Power {
    let n = round(y * LOG2_E);
    return Power((y - n * LN2_HI) - n * LN2_LO, i32(n));
}

fn exp_parts(y: f32) -> Power {
    let part = halvings(y);
    let r = part.p;
    var q = 1.381446607e-3;
    q = q * r + 8.368780836e-3;
    q = q * r + 4.166839272e-2;
    q = q * r + 1.666651964e-1;
    q = q * r + 4.999999404e-1;
    return Power(q * (r * r) + r, part.k);
}

// As exp_parts, with a p that is exact in relative terms around zero.
fn expm1_parts(y: f32) -> Power {
    let part = halvings(y);
    let r = part.p;
    var q = 1.388250384e-3;
    q = q * r + 8.366581053e-3;
    q = q * r + 4.166720062e-2;
    q = q * r + 1.666654348e-1;
    q = q * r + 4.999999702e-1;
    return Power(q * (r * r) + r, part.k);
}

fn math_exp(x: f32) -> f32 {
    // Past these the result is infinite or zero anyway; NaN passes both comparisons.
    let low = select(x, -104.0, x < -104.0);
    let y = select(low, 88.8, low > 88.8);
    let e = exp_parts(y);
    // 2^k in two factors, since k goes from -150 to 128.
    let half = e.k >> 1u;
    return (1.0 + e.p) * exp2_int(half) * exp2_int(e.k - half);
}

fn math_expm1(x: f32) -> f32 {
    let low = select(x, -25.0, x < -25.0);
    let y = select(low, 88.8, low > 88.8);
    let e = expm1_parts(y);
    // 2^k (1 + p) - 1 = 2 (2^(k-1) p + (2^(k-1) - 1/2)): halved, so that k = 128 stays in range.
    let t = exp2_int(e.k - 1);
    return 2.0 * (e.p * t + (t - 0.5));
}

// log(1 + f) + c + e ln 2 for f in [sqrt(1/2) - 1, sqrt(2) - 1].
fn log_reduced(f: f32, c: f32, e: f32) -> f32 {
    let z = f * f;
    var p = -7.634387165e-2;
    p = p * f + 1.276542693e-1;
    p = p * f - 1.316200346e-1;
    p = p * f + 1.420136839e-1;
    p = p * f - 1.662314385e-1;
    p = p * f + 2.000123560e-1;
    p = p * f - 2.500082552e-1;
    p = p * f + 3.333333135e-1;
    var y = p * (f * z) + (e * LN2_LO + c);
    y = y - 0.5 * z;
    return (f + y) + e * LN2_HI;
}

// Puts right what the reduction of log(x) makes of 0, negative numbers, infinity and NaN.
fn log_edges(reduced: f32, x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    var y = select(reduced, from_bits(INFINITY_BITS), bits == INFINITY_BITS);
    y = select(y, from_bits(NAN_BITS), bits > INFINITY_BITS);
    return select(y, from_bits(INFINITY_BITS | SIGN), (bits & MAGNITUDE) == 0u);
}

fn math_log(x: f32) -> f32 {
    let tiny = x < MIN_NORMAL;
    let y = select(x, x * 8388608.0, tiny);
    // y = 2^e (1 + f)
    let i = bitcast<u32>(y) - SQRT_HALF_BITS;
    let e = f32(bitcast<i32>(i) >> 23u) - select(0.0, 23.0, tiny);
    let f = bitcast<f32>((i & 0x007fffffu) + SQRT_HALF_BITS) - 1.0;
    return log_edges(log_reduced(f, 0.0, e), x);
}

fn math_log1p(x: f32) -> f32 {
    let u = 1.0 + x;
    let i = bitcast<u32>(u) - SQRT_HALF_BITS;
    let k = bitcast<i32>(i) >> 23u;
    let e = f32(k);
    let f = bitcast<f32>((i & 0x007fffffu) + SQRT_HALF_BITS) - 1.0;
    // Near zero x is itself the reduced argument; elsewhere c gives back what rounding 1 + x lost.
    let lost = select(x - (u - 1.0), 1.0 - (u - x), k > 0);
    let c = select(lost / u, 0.0, k == 0);
    return log_edges(log_reduced(select(f, x, k == 0), c, e), u);
}

// log(1 + x) for x in [0, 1], where it needs no division.
fn log1p_of_unit(x: f32) -> f32 {
    // 1 + x = 2 (1 + f) above sqrt(2).
    let large = x > 0.41421356;
    return log_reduced(select(x, 0.5 * x - 0.5, large), 0.0, select(0.0, 1.0, large));
}

fn math_tanh(x: f32) -> f32 {
    let a = abs(x);
    let b = select(a, 10.0, a > 10.0);
    let part = expm1_parts(b + b);
    let t = exp2_int(part.k);
    let e = part.p * t + (t - 1.0);
    return copy_sign(e / (e + 2.0), x);
}

fn math_sigmoid(x: f32) -> f32 {
    // Past these the result is 1 or 0 anyway.
    let low = select(-x, -86.0, -x < -86.0);
    let y = select(low, 89.5, low > 89.5);
    let e = exp_parts(y);
    // 1 / (1 + e^y) with both halved, so that one power of two does: at the upper end it is infinite.
    return 0.5 / ((1.0 + e.p) * exp2_int(e.k - 1) + 0.5);
}

fn math_softplus(x: f32) -> f32 {
    return select(0.0, x, x > 0.0) + log1p_of_unit(math_exp(-abs(x)));
}

fn math_erf(x: f32) -> f32 {
    let z = x * x;
    var p = -5.988750490e-4;
    p = p * z + 4.992773291e-3;
    p = p * z - 2.676634304e-2;
    p = p * z + 1.128180847e-1;
    p = p * z - 3.761249185e-1;
    p = p * z + 1.283791512e-1;
    let near = p * x + x;
    let a = abs(x);
    let t = select(a, 3.95, a > 3.95);
    var q = 1.130362762e-5;
    q = q * t - 3.235274344e-4;
    q = q * t + 3.645399818e-3;
    q = q * t - 2.376827970e-2;
    q = q * t + 1.062440947e-1;
    q = q * t + 6.351469755e-1;
    q = q * t + 1.128649592;
    // The exponent is between -17 and 0, so that one power of two does.
    let e = exp_parts(-(q * t));
    let power = exp2_int(e.k);
    let far = copy_sign(1.0 - (e.p * power + power), x);
    return select(far, near, a < 0.921875);
}

fn math_erfinv(x: f32) -> f32 {
    let w = -math_log((1.0 - x) * (1.0 + x));
    // erfinv(x) / x is smooth in w up to w = 5, and in sqrt(w) from there on.
    let a = w - 2.5;
    var p = -8.791015915e-9;
    p = p * a + 2.323262294e-8;
    p = p * a + 4.661700927e-7;
    p = p * a - 3.462704399e-6;
    p = p * a - 4.963345418e-6;
    p = p * a + 2.183444449e-4;
    p = p * a - 1.252741902e-3;
    p = p * a - 4.177386872e-3;
    p = p * a + 2.466402799e-1;
    p = p * a + 1.501409411;
    let b = sqrt(select(w, 5.0, w < 5.0)) - 3.0;
    var q = 1.027822364e-4;
    q = q * b - 2.963515872e-4;
    q = q * b - 3.857912088e-5;
    q = q * b + 1.468485920e-3;
    q = q * b - 3.606771352e-3;
    q = q * b + 5.693391897e-3;
    q = q * b - 7.635287475e-3;
    q = q * b + 9.444526397e-3;
    q = q * b + 1.001674891;
    q = q * b + 2.832976818;
    let y = x * select(q, p, w < 5.0);
    return select(y, copy_sign(from_bits(INFINITY_BITS), x), abs(x) == 1.0);
}

// The upper twelve bits of x, so that a product of two such parts is exact.
fn upper(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) & 0xfffff000u);
}

// x without its last bit, by which compilers that think (a + b) - a is b cannot see what it was.
fn sealed(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) & 0xfffffffeu);
}

// What rounding lost in product = a b.
fn product_rest(a: f32, b: f32, product: f32) -> f32 {
    let ah = upper(a);
    let bh = upper(b);
    let al = a - ah;
    let bl = b - bh;
    return ((ah * bh - product) + (ah * bl + al * bh)) + al * bl;
}

fn math_pow(x: f32, y: f32) -> f32 {
    let a = abs(x);
    let tiny = a < MIN_NORMAL;
    let scaled = select(a, a * 8388608.0, tiny);
    let i = bitcast<u32>(scaled) - SQRT_HALF_BITS;
    let e = f32(bitcast<i32>(i) >> 23u) - select(0.0, 23.0, tiny);
    let f = bitcast<f32>((i & 0x007fffffu) + SQRT_HALF_BITS) - 1.0;
    // log a = hi + lo: f - f^2/2 with the square split into its rounded value and the rest, the cubic part on top.
    let z = f * f;
    let rest = product_rest(f, f, z);
    var p = 6.746599078e-2;
    p = p * f - 1.167965382e-1;
    p = p * f + 1.189032346e-1;
    p = p * f - 1.240513548e-1;
    p = p * f + 1.421922445e-1;
    p = p * f - 1.666800678e-1;
    p = p * f + 2.000213414e-1;
    p = p * f - 2.500000894e-1;
    p = p * f + 3.333331347e-1;
    let third = p * (f * z);
    let half = 0.5 * z;
    let s = sealed(f - half);
    let s_rest = (f - s) - half;
    let big = e * LN2_HI;
    let h = sealed(big + s);
    let h_rest = (big - h) + s;
    let low = ((third + e * LN2_LO) + (s_rest - 0.5 * rest)) + h_rest;
    let hi = sealed(h + low);
    let lo = low - (hi - h);
    // y log a = u + v, then e^u (1 + v); past +-200 the result is 0 or infinity and the rest may be NaN.
    let u = y * hi;
    let v = select(0.0, product_rest(y, hi, u) + y * lo, abs(u) < 200.0);
    let w = math_exp(u);
    var r = select(w + w * v, w, !is_finite(w));
    // The limits of the logarithm: a = 0 or infinity, or y infinite.
    let grows = (a > 1.0) == (y > 0.0);
    let limit = select(0.0, from_bits(INFINITY_BITS), grows);
    r = select(r, limit, a == 0.0 || !is_finite(a) || !is_finite(y));
    // An odd integer keeps its last bit; floats past 2^24 are all even.
    let whole = floor(y) == y;
    let halved = y * 0.5;
    let odd = whole && floor(halved) != halved;
    r = select(r, copy_sign(r, x), odd);
    r = select(r, from_bits(NAN_BITS), x < 0.0 && !whole && is_finite(x));
    r = select(r, from_bits(NAN_BITS), is_nan(x) || is_nan(y));
    let one = y == 0.0 || x == 1.0 || (x == -1.0 && !is_finite(y) && !is_nan(y));
    return select(r, 1.0, one);
}

struct QuarterTurn {
    sine: f32,
    cosine: f32,
    quarter: i32,
}

// Sine and cosine of the reduced argument, and the quarter turn it was in.
fn quarter_turn(x: f32) -> QuarterTurn {
    let n = round(x * 0.636619772);
    // pi/2 in three parts; the products with n are exact while |x| <= 8192.
    var r = ((x - n * 1.5703125) - n * 4.837512969970703e-4) - n * 7.54978995489188e-8;
    // Far outside the stated range r is meaningless, but the result should stay within +-1.
    r = select(r, 0.8, r > 0.8);
    r = select(r, -0.8, r < -0.8);
    let z = r * r;
    var s = -1.951463055e-4;
    s = s * z + 8.332155645e-3;
    s = s * z - 1.666665524e-1;
    var c = 2.443241283e-5;
    c = c * z - 1.388730947e-3;
    c = c * z + 4.166664556e-2;
    return QuarterTurn(s * (z * r) + r, c * (z * z) + (1.0 - 0.5 * z), i32(n));
}

fn math_sin(x: f32) -> f32 {
    let turn = quarter_turn(x);
    let y = select(turn.sine, turn.cosine, (turn.quarter & 1) == 1);
    return select(y, -y, (turn.quarter & 2) == 2);
}

fn math_cos(x: f32) -> f32 {
    let turn = quarter_turn(x);
    let y = select(turn.cosine, turn.sine, (turn.quarter & 1) == 1);
    return select(y, -y, ((turn.quarter + 1) & 2) == 2);
}
