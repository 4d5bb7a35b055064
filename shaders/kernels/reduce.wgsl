// Reduction of the middle axis of (outer, reduced, inner), in an order fixed by the extents alone.
//
// Holes, called in range only:
//   fn load(outer: u32, reduced: u32, inner: u32) -> T
//   fn store(outer: u32, inner: u32, value: T)
// ARGMAX and ARGMIN also hand over where it was, an index into the reduced axis:
//   fn store(outer: u32, inner: u32, value: T, index: u32)
// T is f32, i32 or u32; ANY and ALL take and give u32 of 0 and 1. See shared/combine.wgsl for NaN and ties.
//
// Long reductions go in two passes: with splits > 1 the axis is cut in parts of `chunk` (none empty), and `outer` of the
// store is outer * splits + split. The second pass reduces over these; for ARGMAX and ARGMIN it is compiled with PARTIALS
// and has one more hole, the index found by the first pass:
//   fn load_index(outer: u32, reduced: u32, inner: u32) -> u32
// An empty axis is allowed for SUM, PROD, ANY, ALL.
//
// ROWS gives a row to LANES threads, COLUMNS one (outer, inner) to each thread.
struct Params {
    outer: u32,
    reduced: u32,
    inner: u32,
    splits: u32,
    chunk: u32,
#params
}
#import params
#holes
#import combine

fn item(outer: u32, reduced: u32, inner: u32) -> Item {
#ifdef ARG
#ifdef PARTIALS
    return Item(load(outer, reduced, inner), load_index(outer, reduced, inner));
#else
    return Item(load(outer, reduced, inner), reduced);
#endif
#else
    return Item(load(outer, reduced, inner));
#endif
}

// Everything `step` apart from `first` to before `end`. Without an identity it starts from an element that is counted
// anyway, here or in another thread: taking it twice changes no maximum.
fn reduce(outer: u32, inner: u32, start: u32, first: u32, end: u32, step: u32) -> Item {
#ifdef ORDERED
    var total = item(outer, start, inner);
#else
    var total = identity();
#endif
    for (var r = first; r < end; r += step) {
        total = combine(total, item(outer, r, inner));
    }
    return total;
}

fn finish(outer: u32, inner: u32, total: Item) {
#ifdef ARG
    store(outer, inner, total.value, total.index);
#else
    store(outer, inner, total.value);
#endif
}

#ifdef ROWS
var<workgroup> partial: array<Item, THREADS>;
#endif

@compute @workgroup_size(THREADS, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let results = params.outer * params.splits * params.inner;
#ifdef ROWS
    let first_row = (group.y * groups.x + group.x) * (THREADS / LANES);
    if (first_row >= results) {
        return;
    }
    // Threads past the last row repeat it, as all must reach the barriers; only the right ones store.
    let wanted = first_row + lane / LANES;
    let index = min(wanted, results - 1u);
    let sub = lane % LANES;
#else
    let index = (group.y * groups.x + group.x) * THREADS + lane;
    if (index >= results) {
        return;
    }
#endif
    let inner = index % params.inner;
    let outer = index / params.inner;
    let start = outer % params.splits * params.chunk;
    let end = min(start + params.chunk, params.reduced);
#ifdef ROWS
    partial[lane] = reduce(outer / params.splits, inner, start, start + sub, end, LANES);
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if (sub < half) {
            partial[lane] = combine(partial[lane], partial[lane + half]);
        }
        workgroupBarrier();
    }
    if (sub == 0u && wanted < results) {
        finish(outer, inner, partial[lane]);
    }
#else
    finish(outer, inner, reduce(outer / params.splits, inner, start, start, end, 1u));
#endif
}
