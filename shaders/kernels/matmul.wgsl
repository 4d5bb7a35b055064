// C[batch, row, col] = sum over k of A[batch, row, k] B[batch, k, col], accumulated in f32.
//
// Holes, called in range only, but now and then more often than needed:
//   fn load_a(batch: u32, row: u32, k: u32) -> f32
//   fn load_b(batch: u32, k: u32, col: u32) -> f32
//   fn store(batch: u32, row: u32, col: u32, value: f32)
// With A_VEC4, B_VEC4, C_VEC4 these instead, for four neighbours from the given one (a multiple of four) on; the extent
// they run along is a multiple of four:
//   fn load_a4(batch: u32, row: u32, k: u32) -> vec4<f32>      along k, or along rows with A_BY_M
//   fn load_b4(batch: u32, k: u32, col: u32) -> vec4<f32>      along columns, or along k with B_BY_K
//   fn store4(batch: u32, row: u32, col: u32, value: vec4<f32>)
// With splits > 1, `batch` of the store is batch * splits + split, and a second pass adds the parts.
struct Params {
    m: u32,
    n: u32,
    k: u32,
    batches: u32,
    // Parts the k axis is cut into, and the length of each: a multiple of four where a VEC4 runs along k.
    splits: u32,
    chunk: u32,
#params
}
#import params
#holes

fn gemm_m() -> u32 { return params.m; }
fn gemm_n() -> u32 { return params.n; }
fn gemm_k() -> u32 { return params.k; }
fn gemm_batches() -> u32 { return params.batches; }
fn gemm_splits() -> u32 { return params.splits; }
fn gemm_chunk() -> u32 { return params.chunk; }

#ifdef POINT
fn a_at(batch: u32, row: u32, k: u32) -> f32 {
    return load_a(batch, row, k);
}

fn b_at(batch: u32, k: u32, col: u32) -> f32 {
    return load_b(batch, k, col);
}

fn c_at(batch: u32, split: u32, row: u32, col: u32, value: f32) {
    store(batch * params.splits + split, row, col, value);
}
#else
// Indices past an edge are moved back to it, which costs less than a branch. Past the end of k the value must be zero,
// past the other edges it goes into results that nobody stores.
#ifdef A_VEC4
fn a_four(batch: u32, row: u32, k: u32, k_end: u32) -> vec4<f32> {
#ifdef A_BY_M
    let value = load_a4(batch, min(row, params.m - 4u), min(k, k_end - 1u));
#else
    let value = load_a4(batch, min(row, params.m - 1u), min(k, k_end - 4u));
#endif
    return select(vec4<f32>(), value, k < k_end);
}

fn a_block(batch: u32, row: u32, k: u32, k_end: u32) -> mat4x4<f32> {
#ifdef A_BY_M
    return mat4x4<f32>(
        a_four(batch, row, k, k_end),
        a_four(batch, row, k + 1u, k_end),
        a_four(batch, row, k + 2u, k_end),
        a_four(batch, row, k + 3u, k_end),
    );
#else
    return transpose(mat4x4<f32>(
        a_four(batch, row, k, k_end),
        a_four(batch, row + 1u, k, k_end),
        a_four(batch, row + 2u, k, k_end),
        a_four(batch, row + 3u, k, k_end),
    ));
#endif
}
#else
fn a_or_zero(batch: u32, row: u32, k: u32, k_end: u32) -> f32 {
    return select(0.0, load_a(batch, min(row, params.m - 1u), min(k, k_end - 1u)), k < k_end);
}

fn a_column(batch: u32, row: u32, k: u32, k_end: u32) -> vec4<f32> {
    return vec4<f32>(
        a_or_zero(batch, row, k, k_end),
        a_or_zero(batch, row + 1u, k, k_end),
        a_or_zero(batch, row + 2u, k, k_end),
        a_or_zero(batch, row + 3u, k, k_end),
    );
}

fn a_block(batch: u32, row: u32, k: u32, k_end: u32) -> mat4x4<f32> {
    return mat4x4<f32>(
        a_column(batch, row, k, k_end),
        a_column(batch, row, k + 1u, k_end),
        a_column(batch, row, k + 2u, k_end),
        a_column(batch, row, k + 3u, k_end),
    );
}
#endif

#ifdef B_VEC4
fn b_four(batch: u32, k: u32, col: u32, k_end: u32) -> vec4<f32> {
#ifdef B_BY_K
    let value = load_b4(batch, min(k, k_end - 4u), min(col, params.n - 1u));
#else
    let value = load_b4(batch, min(k, k_end - 1u), min(col, params.n - 4u));
#endif
    return select(vec4<f32>(), value, k < k_end);
}

fn b_block(batch: u32, k: u32, col: u32, k_end: u32) -> mat4x4<f32> {
#ifdef B_BY_K
    return transpose(mat4x4<f32>(
        b_four(batch, k, col, k_end),
        b_four(batch, k, col + 1u, k_end),
        b_four(batch, k, col + 2u, k_end),
        b_four(batch, k, col + 3u, k_end),
    ));
#else
    return mat4x4<f32>(
        b_four(batch, k, col, k_end),
        b_four(batch, k + 1u, col, k_end),
        b_four(batch, k + 2u, col, k_end),
        b_four(batch, k + 3u, col, k_end),
    );
#endif
}
#else
fn b_or_zero(batch: u32, k: u32, col: u32, k_end: u32) -> f32 {
    return select(0.0, load_b(batch, min(k, k_end - 1u), min(col, params.n - 1u)), k < k_end);
}

fn b_row(batch: u32, k: u32, col: u32, k_end: u32) -> vec4<f32> {
    return vec4<f32>(
        b_or_zero(batch, k, col, k_end),
        b_or_zero(batch, k, col + 1u, k_end),
        b_or_zero(batch, k, col + 2u, k_end),
        b_or_zero(batch, k, col + 3u, k_end),
    );
}

fn b_block(batch: u32, k: u32, col: u32, k_end: u32) -> mat4x4<f32> {
    return mat4x4<f32>(
        b_row(batch, k, col, k_end),
        b_row(batch, k + 1u, col, k_end),
        b_row(batch, k + 2u, col, k_end),
        b_row(batch, k + 3u, col, k_end),
    );
}
#endif

fn c_row(batch: u32, split: u32, row: u32, col: u32, value: vec4<f32>) {
    if (row >= params.m || col >= params.n) {
        return;
    }
    let z = batch * params.splits + split;
#ifdef C_VEC4
    store4(z, row, col, value);
#else
    store(z, row, col, value.x);
    if (col + 1u < params.n) {
        store(z, row, col + 1u, value.y);
    }
    if (col + 2u < params.n) {
        store(z, row, col + 2u, value.z);
    }
    if (col + 3u < params.n) {
        store(z, row, col + 3u, value.w);
    }
#endif
}
#endif

#import gemm
