// Two-dimensional convolution, channels last, with strides, dilation, padding and groups, as a matrix product whose
// left matrix is never stored. x is [batch, height, width, in], y is [batch, out_height, out_width, out], w is
// [taps, in / groups, out] with tap = ky * kernel_width + kx. Padding below and right follows from the output's extents.
//
// Kinds, and their holes (called in range only, but now and then more often than needed; a channel counts over all
// groups):
//   FORWARD      y from x and w:    load_x, load_w, fn store(b: u32, y: u32, x: u32, channel: u32, value: f32)
//   INPUT_GRAD   dx from dy and w:  load_dy, load_w, fn store(b: u32, y: u32, x: u32, channel: u32, value: f32)
//   FILTER_GRAD  dw from x and dy:  load_x, load_dy, fn store(split: u32, tap: u32, c: u32, o: u32, value: f32)
//   fn load_x(b: u32, y: u32, x: u32, channel: u32) -> f32
//   fn load_dy(b: u32, y: u32, x: u32, channel: u32) -> f32
//   fn load_w(tap: u32, c: u32, o: u32) -> f32             c counts within the group, o over all groups
// With A_VEC4 (x or dy on the left), B_VEC4 (w, or dy in FILTER_GRAD) and C_VEC4 their forms load_x4, load_dy4, load_w4
// -> vec4<f32> and store4 with vec4<f32>: four neighbours along the last index, whose extent per group is a multiple of
// four.
// FILTER_GRAD cuts its long sum over samples and pixels in `splits` parts of `chunk`, so that enough threads have work;
// a second pass adds the parts in order.
struct Params {
    batch: u32,
    height: u32,
    width: u32,
    // Channels per group.
    cin: u32,
    out_height: u32,
    out_width: u32,
    cout: u32,
    groups: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride_y: u32,
    stride_x: u32,
    dilation_y: u32,
    dilation_x: u32,
    pad_top: u32,
    pad_left: u32,
    splits: u32,
    chunk: u32,
#params
}
#import params
#holes

#ifdef INPUT_GRAD
#define B_BY_K
#endif
#ifdef FILTER_GRAD
#define A_BY_M
#endif

fn taps() -> u32 { return params.kernel_height * params.kernel_width; }
fn gemm_batches() -> u32 { return params.groups; }
fn gemm_splits() -> u32 { return params.splits; }
fn gemm_chunk() -> u32 { return params.chunk; }
#ifdef FORWARD
fn gemm_m() -> u32 { return params.batch * params.out_height * params.out_width; }
fn gemm_n() -> u32 { return params.cout; }
fn gemm_k() -> u32 { return taps() * params.cin; }
#endif
#ifdef INPUT_GRAD
fn gemm_m() -> u32 { return params.batch * params.height * params.width; }
fn gemm_n() -> u32 { return params.cin; }
fn gemm_k() -> u32 { return taps() * params.cout; }
#endif
#ifdef FILTER_GRAD
fn gemm_m() -> u32 { return taps() * params.cin; }
fn gemm_n() -> u32 { return params.cout; }
fn gemm_k() -> u32 { return params.batch * params.out_height * params.out_width; }
#endif

// A pixel is (sample, y, x), counted along x first. Rows run over the output's pixels, in INPUT_GRAD over the input's.
#ifdef INPUT_GRAD
fn extent() -> vec2<u32> { return vec2<u32>(params.height, params.width); }
#else
fn extent() -> vec2<u32> { return vec2<u32>(params.out_height, params.out_width); }
#endif

fn pixel(index: u32) -> vec3<u32> {
    let line = index / extent().y;
    return vec3<u32>(line / extent().x, line % extent().x, index % extent().y);
}

fn next_pixel(p: vec3<u32>) -> vec3<u32> {
    var q = vec3<u32>(p.xy, p.z + 1u);
    if (q.z == extent().y) {
        q = vec3<u32>(p.x, p.y + 1u, 0u);
    }
    if (q.y == extent().x) {
        q = vec3<u32>(p.x + 1u, 0u, 0u);
    }
    return q;
}

// The tap's distance from the window's corner.
fn tap_offset(tap: u32) -> vec2<u32> {
    return vec2<u32>(tap / params.kernel_width * params.dilation_y, tap % params.kernel_width * params.dilation_x);
}

#ifdef INPUT_GRAD
// The output pixel whose window has input pixel p at this offset; past the edge if there is none.
fn source(p: vec3<u32>, offset: vec2<u32>) -> vec3<u32> {
    // Below zero these wrap to huge numbers, which are past the edge too.
    let y = p.y + params.pad_top - offset.x;
    let x = p.z + params.pad_left - offset.y;
    let hit = y % params.stride_y == 0u && x % params.stride_x == 0u;
    return vec3<u32>(p.x, select(params.out_height, y / params.stride_y, hit), x / params.stride_x);
}

fn source_extent() -> vec2<u32> { return vec2<u32>(params.out_height, params.out_width); }
#else
// The input pixel at this offset in the window of output pixel p; past the edge if it is padding.
fn source(p: vec3<u32>, offset: vec2<u32>) -> vec3<u32> {
    let y = p.y * params.stride_y + offset.x - params.pad_top;
    let x = p.z * params.stride_x + offset.y - params.pad_left;
    return vec3<u32>(p.x, y, x);
}

fn source_extent() -> vec2<u32> { return vec2<u32>(params.height, params.width); }
#endif

#import conv2d_blocks
#import gemm
