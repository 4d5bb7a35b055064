// The bits of the nearest half, ties to even; too large numbers become infinite.
fn to_f16(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    let size = bits & 0x7fffffffu;
    var half = (size - 0x38000000u + 0xfffu + ((size >> 13u) & 1u)) >> 13u;
    // Below the smallest normal half, neighbours are as far apart as the floats next to 0.5.
    half = select(half, bitcast<u32>(bitcast<f32>(size) + 0.5) - 0x3f000000u, size < 0x38800000u);
    half = select(half, 0x7c00u, size >= 0x477ff000u);
    half = select(half, 0x7e00u, size > 0x7f800000u);
    return half | ((bits >> 16u) & 0x8000u);
}

// The bits of the nearest bfloat16, ties to even.
fn to_bf16(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    let rounded = (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
    return select(rounded, (bits >> 16u) | 0x40u, (bits & 0x7fffffffu) > 0x7f800000u);
}

// Toward zero; what is out of range becomes the nearest end, NaN becomes 0.
fn to_i32(x: f32) -> i32 {
    let inside = abs(x) < 2147483648.0;
    let whole = i32(select(0.0, x, inside));
    let end = select(0x7fffffff, -0x7fffffff - 1, x < 0.0);
    return select(select(end, whole, inside), 0, is_nan(x));
}

fn to_u32(x: f32) -> u32 {
    let inside = x > 0.0 && x < 4294967296.0;
    let whole = u32(select(0.0, x, inside));
    return select(whole, 0xffffffffu, x >= 4294967296.0);
}

// Toward zero; by zero gives zero; the lowest number by -1 is itself.
fn div_i32(a: i32, b: i32) -> i32 {
    let quotient = a / select(b, 1, b == 0 || b == -1);
    return select(select(quotient, -a, b == -1), 0, b == 0);
}

fn rem_i32(a: i32, b: i32) -> i32 {
    let plain = b != 0 && b != -1;
    return select(0, a % select(1, b, plain), plain);
}

fn div_u32(a: u32, b: u32) -> u32 {
    return select(a / select(b, 1u, b == 0u), 0u, b == 0u);
}

fn rem_u32(a: u32, b: u32) -> u32 {
    return select(a % select(b, 1u, b == 0u), 0u, b == 0u);
}
