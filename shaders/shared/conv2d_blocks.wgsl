// The matrices of a convolution's matrix product, read through the kernel's holes: blocks for the tiled engines, single
// numbers for the engine POINT. The kernel gives `pixel`, `next_pixel`, `tap_offset`, `source`, `inside`.

#ifdef INPUT_GRAD
fn depth() -> u32 { return params.cout; }
#else
fn depth() -> u32 { return params.cin; }
#endif

// One (tap, channel) pair of the axis that counts taps first, channels of the group fastest.
struct Tap {
    tap: u32,
    channel: u32,
    offset: vec2<u32>,
}

fn tap_at(index: u32) -> Tap {
    let tap = index / depth();
    return Tap(tap, index % depth(), tap_offset(tap));
}

// The left matrix's element: x, or dy in INPUT_GRAD; zero in the padding and out of range.
#ifdef A_VEC4
fn left4(group: u32, p: vec3<u32>, t: Tap, in_range: bool) -> vec4<f32> {
    let q = source(p, t.offset);
    var value = vec4<f32>();
    if (in_range && inside(q)) {
#ifdef INPUT_GRAD
        value = load_dy4(q.x, q.y, q.z, group * depth() + t.channel);
#else
        value = load_x4(q.x, q.y, q.z, group * depth() + t.channel);
#endif
    }
    return value;
}
#else
fn left(group: u32, p: vec3<u32>, t: Tap, in_range: bool) -> f32 {
    let q = source(p, t.offset);
    var value = 0.0;
    if (in_range && inside(q)) {
#ifdef INPUT_GRAD
        value = load_dy(q.x, q.y, q.z, group * depth() + t.channel);
#else
        value = load_x(q.x, q.y, q.z, group * depth() + t.channel);
#endif
    }
    return value;
}
#endif

#ifdef POINT
fn a_at(group: u32, row: u32, k: u32) -> f32 {
#ifdef FILTER_GRAD
    return left(group, pixel(k), tap_at(row), true);
#else
    return left(group, pixel(row), tap_at(k), true);
#endif
}

fn b_at(group: u32, k: u32, col: u32) -> f32 {
#ifdef FORWARD
    return load_w(k / depth(), k % depth(), group * params.cout + col);
#endif
#ifdef INPUT_GRAD
    return load_w(k / depth(), col, group * params.cout + k % depth());
#endif
#ifdef FILTER_GRAD
    let p = pixel(k);
    return load_dy(p.x, p.y, p.z, group * params.cout + col);
#endif
}
#else

#ifdef FILTER_GRAD
// Rows are (tap, channel) pairs, k counts pixels.
fn a_block(group: u32, row: u32, k: u32, k_end: u32) -> mat4x4<f32> {
    let p0 = pixel(k);
    let p1 = next_pixel(p0);
    let p2 = next_pixel(p1);
    let p3 = next_pixel(p2);
#ifdef A_VEC4
    let t = tap_at(row);
    let rows = row < gemm_m();
    return mat4x4<f32>(
        left4(group, p0, t, rows && k < k_end),
        left4(group, p1, t, rows && k + 1u < k_end),
        left4(group, p2, t, rows && k + 2u < k_end),
        left4(group, p3, t, rows && k + 3u < k_end),
    );
#else
    return transpose(mat4x4<f32>(
        a_line(group, row, p0, p1, p2, p3, k, k_end),
        a_line(group, row + 1u, p0, p1, p2, p3, k, k_end),
        a_line(group, row + 2u, p0, p1, p2, p3, k, k_end),
        a_line(group, row + 3u, p0, p1, p2, p3, k, k_end),
    ));
#endif
}

#ifndef A_VEC4
fn a_line(
    group: u32, row: u32, p0: vec3<u32>, p1: vec3<u32>, p2: vec3<u32>, p3: vec3<u32>, k: u32, k_end: u32,
) -> vec4<f32> {
    let t = tap_at(row);
    let rows = row < gemm_m();
    return vec4<f32>(
        left(group, p0, t, rows && k < k_end),
        left(group, p1, t, rows && k + 1u < k_end),
        left(group, p2, t, rows && k + 2u < k_end),
        left(group, p3, t, rows && k + 3u < k_end),
    );
}
#endif
#else
// Rows are pixels, k counts (tap, channel) pairs.
fn a_block(group: u32, row: u32, k: u32, k_end: u32) -> mat4x4<f32> {
    let p0 = pixel(row);
    let p1 = next_pixel(p0);
    let p2 = next_pixel(p1);
    let p3 = next_pixel(p2);
#ifdef A_VEC4
    let t = tap_at(k);
    let within = k < k_end;
    return transpose(mat4x4<f32>(
        left4(group, p0, t, within && row < gemm_m()),
        left4(group, p1, t, within && row + 1u < gemm_m()),
        left4(group, p2, t, within && row + 2u < gemm_m()),
        left4(group, p3, t, within && row + 3u < gemm_m()),
    ));
#else
    return mat4x4<f32>(
        a_line(group, row, p0, p1, p2, p3, k, k_end),
        a_line(group, row, p0, p1, p2, p3, k + 1u, k_end),
        a_line(group, row, p0, p1, p2, p3, k + 2u, k_end),
        a_line(group, row, p0, p1, p2, p3, k + 3u, k_end),
    );
#endif
}

#ifndef A_VEC4
fn a_line(
    group: u32, row: u32, p0: vec3<u32>, p1: vec3<u32>, p2: vec3<u32>, p3: vec3<u32>, k: u32, k_end: u32,
) -> vec4<f32> {
    let t = tap_at(k);
    let within = k < k_end;
    return vec4<f32>(
        left(group, p0, t, within && row < gemm_m()),
        left(group, p1, t, within && row + 1u < gemm_m()),
        left(group, p2, t, within && row + 2u < gemm_m()),
        left(group, p3, t, within && row + 3u < gemm_m()),
    );
}
#endif
#endif

// Four neighbours of the right matrix: along columns at one k, in INPUT_GRAD along k at one column.
fn right4(group: u32, k: u32, col: u32, k_end: u32) -> vec4<f32> {
    var value = vec4<f32>();
    if (k < k_end && col < gemm_n()) {
#ifdef FORWARD
        let tap = k / depth();
        let c = k % depth();
        let o = group * params.cout + col;
#ifdef B_VEC4
        value = load_w4(tap, c, o);
#else
        value.x = load_w(tap, c, o);
        if (col + 1u < gemm_n()) {
            value.y = load_w(tap, c, o + 1u);
        }
        if (col + 2u < gemm_n()) {
            value.z = load_w(tap, c, o + 2u);
        }
        if (col + 3u < gemm_n()) {
            value.w = load_w(tap, c, o + 3u);
        }
#endif
#endif
#ifdef INPUT_GRAD
        let o = group * params.cout;
#ifdef B_VEC4
        value = load_w4(k / depth(), col, o + k % depth());
#else
        value.x = load_w(k / depth(), col, o + k % depth());
        if (k + 1u < k_end) {
            value.y = load_w((k + 1u) / depth(), col, o + (k + 1u) % depth());
        }
        if (k + 2u < k_end) {
            value.z = load_w((k + 2u) / depth(), col, o + (k + 2u) % depth());
        }
        if (k + 3u < k_end) {
            value.w = load_w((k + 3u) / depth(), col, o + (k + 3u) % depth());
        }
#endif
#endif
#ifdef FILTER_GRAD
        let p = pixel(k);
        let o = group * params.cout + col;
#ifdef B_VEC4
        value = load_dy4(p.x, p.y, p.z, o);
#else
        value.x = load_dy(p.x, p.y, p.z, o);
        if (col + 1u < gemm_n()) {
            value.y = load_dy(p.x, p.y, p.z, o + 1u);
        }
        if (col + 2u < gemm_n()) {
            value.z = load_dy(p.x, p.y, p.z, o + 2u);
        }
        if (col + 3u < gemm_n()) {
            value.w = load_dy(p.x, p.y, p.z, o + 3u);
        }
#endif
#endif
    }
    return value;
}

fn b_block(group: u32, k: u32, col: u32, k_end: u32) -> mat4x4<f32> {
#ifdef INPUT_GRAD
    return transpose(mat4x4<f32>(
        right4(group, k, col, k_end),
        right4(group, k, col + 1u, k_end),
        right4(group, k, col + 2u, k_end),
        right4(group, k, col + 3u, k_end),
    ));
#else
    return mat4x4<f32>(
        right4(group, k, col, k_end),
        right4(group, k + 1u, col, k_end),
        right4(group, k + 2u, col, k_end),
        right4(group, k + 3u, col, k_end),
    );
#endif
}
#endif

#ifdef POINT
fn c_at(group: u32, split: u32, row: u32, col: u32, value: f32) {
    put(group, split, row, col, value);
}
#else
fn c_row(group: u32, split: u32, row: u32, col: u32, value: vec4<f32>) {
    if (row >= gemm_m() || col >= gemm_n()) {
        return;
    }
#ifdef C_VEC4
    put(group, split, row, col, value);
#else
    put(group, split, row, col, value.x);
    if (col + 1u < gemm_n()) {
        put(group, split, row, col + 1u, value.y);
    }
    if (col + 2u < gemm_n()) {
        put(group, split, row, col + 2u, value.z);
    }
    if (col + 3u < gemm_n()) {
        put(group, split, row, col + 3u, value.w);
    }
#endif
}
#endif

#ifdef C_VEC4
#define C_TYPE vec4<f32>
#define C_STORE store4
#else
#define C_TYPE f32
#define C_STORE store
#endif

// Stores an element of C, or four from column `col` on.
fn put(group: u32, split: u32, row: u32, col: u32, value: C_TYPE) {
#ifdef FILTER_GRAD
    C_STORE(split, row / depth(), row % depth(), group * params.cout + col, value);
#else
    let p = pixel(row);
    C_STORE(p.x, p.y, p.z, group * gemm_n() + col, value);
#endif
}
