// Two-dimensional pooling, channels last; x is [batch, height, width, channels], y is [batch, out_height, out_width,
// channels]. Padding below and right follows from the output's extents and never counts: a maximum ignores it, an
// average divides by the number of real pixels. Every window has at least one.
//
// Kinds, and their holes (called in range only), one thread per stored number:
//   MAX          y from x:         fn load_x(b: u32, y: u32, x: u32, c: u32) -> f32
//   MAX_GATHER   v at the place of x's maximum:  load_x, fn load_v(b: u32, y: u32, x: u32, c: u32) -> f32
//   MAX_GRAD     dx from dy and x: load_x, fn load_dy(b: u32, y: u32, x: u32, c: u32) -> f32
//   AVERAGE      y from x:         load_x
//   AVERAGE_GRAD dx from dy:       load_dy
//   fn store(b: u32, y: u32, x: u32, c: u32, value: f32)
// Of equal maxima the first in the window's order (y, then x) counts. A NaN counts as the maximum.
#import math

struct Params {
    batch: u32,
    height: u32,
    width: u32,
    channels: u32,
    out_height: u32,
    out_width: u32,
    pool_height: u32,
    pool_width: u32,
    stride_y: u32,
    stride_x: u32,
    pad_top: u32,
    pad_left: u32,
#params
}
#import params
#holes

// The real pixels of a window, [y0, y1) x [x0, x1).
struct Window {
    y0: u32,
    y1: u32,
    x0: u32,
    x1: u32,
}

fn window(oy: u32, ox: u32) -> Window {
    let y = oy * params.stride_y;
    let x = ox * params.stride_x;
    return Window(
        max(y, params.pad_top) - params.pad_top,
        min(y + params.pool_height - params.pad_top, params.height),
        max(x, params.pad_left) - params.pad_left,
        min(x + params.pool_width - params.pad_left, params.width),
    );
}

#ifdef INPUT_SIDE
fn extent() -> vec2<u32> { return vec2<u32>(params.height, params.width); }

// The windows that have this input row or column: [first, last).
fn windows(at: u32, pad: u32, size: u32, stride: u32, count: u32) -> vec2<u32> {
    let padded = at + pad;
    var first = 0u;
    if (padded >= size) {
        first = (padded - size) / stride + 1u;
    }
    return vec2<u32>(first, min(padded / stride + 1u, count));
}
#else
fn extent() -> vec2<u32> { return vec2<u32>(params.out_height, params.out_width); }
#endif

#ifdef NEEDS_PLACE
struct Best {
    value: f32,
    y: u32,
    x: u32,
}

fn maximum(b: u32, w: Window, c: u32) -> Best {
    var best = Best(load_x(b, w.y0, w.x0, c), w.y0, w.x0);
    for (var y = w.y0; y < w.y1; y += 1u) {
        for (var x = w.x0; x < w.x1; x += 1u) {
            let value = load_x(b, y, x, c);
            if (value > best.value || (is_nan(value) && !is_nan(best.value))) {
                best = Best(value, y, x);
            }
        }
    }
    return best;
}
#endif

fn compute(b: u32, y: u32, x: u32, c: u32) -> f32 {
#ifdef MAX
    return maximum(b, window(y, x), c).value;
#endif
#ifdef MAX_GATHER
    let best = maximum(b, window(y, x), c);
    return load_v(b, best.y, best.x, c);
#endif
#ifdef AVERAGE
    let w = window(y, x);
    var sum = 0.0;
    for (var i = w.y0; i < w.y1; i += 1u) {
        for (var j = w.x0; j < w.x1; j += 1u) {
            sum += load_x(b, i, j, c);
        }
    }
    return sum / f32((w.y1 - w.y0) * (w.x1 - w.x0));
#endif
#ifdef INPUT_SIDE
    let rows = windows(y, params.pad_top, params.pool_height, params.stride_y, params.out_height);
    let cols = windows(x, params.pad_left, params.pool_width, params.stride_x, params.out_width);
    var sum = 0.0;
    for (var oy = rows.x; oy < rows.y; oy += 1u) {
        for (var ox = cols.x; ox < cols.y; ox += 1u) {
            let w = window(oy, ox);
#ifdef MAX_GRAD
            let best = maximum(b, w, c);
            if (best.y == y && best.x == x) {
                sum += load_dy(b, oy, ox, c);
            }
#else
            sum += load_dy(b, oy, ox, c) / f32((w.y1 - w.y0) * (w.x1 - w.x0));
#endif
        }
    }
    return sum;
#endif
}

@compute @workgroup_size(THREADS, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = (group.y * groups.x + group.x) * THREADS + lane;
    let c = index % params.channels;
    let at = index / params.channels;
    let x = at % extent().y;
    let line = at / extent().y;
    let y = line % extent().x;
    let b = line / extent().x;
    if (b < params.batch) {
        store(b, y, x, c, compute(b, y, x, c));
    }
}
