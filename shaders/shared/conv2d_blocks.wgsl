// The matrices of a convolution's matrix product, read through the kernel's holes: blocks for the tiled engines, single
// numbers for the engine POINT. The kernel gives `pixel`, `next_pixel`, `tap_offset`, `source`, `source_extent`.

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

// The left matrix's element: x, or dy in INPUT_GRAD; zero in the padding and where k is out of range. Places past an edge
// are moved back to it, which costs less than a branch; rows past the last give results that nobody stores.
#ifdef A_VEC4
fn left4(group: u32, p: vec3<u32>, t: Tap, in_range: bool) -> vec4<f32> {
    let q = source(p, t.offset);
    let near = vec3<u32>(min(q.x, params.batch - 1u), min(q.yz, source_extent() - 1u));
#ifdef INPUT_GRAD
    let value = load_dy4(near.x, near.y, near.z, group * depth() + t.channel);
#else
    let value = load_x4(near.x, near.y, near.z, group * depth() + t.channel);
#endif
    return select(vec4<f32>(), value, in_range && all(q.yz < source_extent()));
}
#else
fn left(group: u32, p: vec3<u32>, t: Tap, in_range: bool) -> f32 {
    let q = source(p, t.offset);
    let near = vec3<u32>(min(q.x, params.batch - 1u), min(q.yz, source_extent() - 1u));
#ifdef INPUT_GRAD
    let value = load_dy(near.x, near.y, near.z, group * depth() + t.channel);
#else
    let value = load_x(near.x, near.y, near.z, group * depth() + t.channel);
#endif
    return select(0.0, value, in_range && all(q.yz < source_extent()));
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
    return mat4x4<f32>(
        left4(group, p0, t, k < k_end),
        left4(group, p1, t, k + 1u < k_end),
        left4(group, p2, t, k + 2u < k_end),
        left4(group, p3, t, k + 3u < k_end),
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
    return vec4<f32>(
        left(group, p0, t, k < k_end),
        left(group, p1, t, k + 1u < k_end),
        left(group, p2, t, k + 2u < k_end),
        left(group, p3, t, k + 3u < k_end),
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
    return transpose(mat4x4<f32>(
        left4(group, p0, t, k < k_end),
        left4(group, p1, t, k < k_end),
        left4(group, p2, t, k < k_end),
        left4(group, p3, t, k < k_end),
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
    return vec4<f32>(
        left(group, p0, t, k < k_end),
        left(group, p1, t, k < k_end),
        left(group, p2, t, k < k_end),
        left(group, p3, t, k < k_end),
    );
}
#endif
#endif

// The right matrix's element, or with B_VEC4 four neighbours: along columns, in INPUT_GRAD along k.
#ifdef B_VEC4
#define B_TYPE vec4<f32>
#define B_WIDTH 4u
#define B_LOAD_W load_w4
#define B_LOAD_DY load_dy4
#else
#define B_TYPE f32
#define B_WIDTH 1u
#define B_LOAD_W load_w
#define B_LOAD_DY load_dy
#endif
fn right(group: u32, k: u32, col: u32, k_end: u32) -> B_TYPE {
#ifdef FORWARD
    let at = min(k, k_end - 1u);
    let value = B_LOAD_W(at / depth(), at % depth(), group * params.cout + min(col, gemm_n() - B_WIDTH));
#endif
#ifdef INPUT_GRAD
    let at = min(k, k_end - B_WIDTH);
    let value = B_LOAD_W(at / depth(), min(col, gemm_n() - 1u), group * params.cout + at % depth());
#endif
#ifdef FILTER_GRAD
    let p = pixel(min(k, k_end - 1u));
    let value = B_LOAD_DY(p.x, p.y, p.z, group * params.cout + min(col, gemm_n() - B_WIDTH));
#endif
    return select(B_TYPE(), value, k < k_end);
}

fn right4(group: u32, k: u32, col: u32, k_end: u32) -> vec4<f32> {
#ifdef B_VEC4
    return right(group, k, col, k_end);
#else
#ifdef INPUT_GRAD
    return vec4<f32>(
        right(group, k, col, k_end),
        right(group, k + 1u, col, k_end),
        right(group, k + 2u, col, k_end),
        right(group, k + 3u, col, k_end),
    );
#else
    return vec4<f32>(
        right(group, k, col, k_end),
        right(group, k, col + 1u, k_end),
        right(group, k, col + 2u, k_end),
        right(group, k, col + 3u, k_end),
    );
#endif
#endif
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
