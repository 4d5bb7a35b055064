// Stages over rows, one row at a time in LANES threads: softmax, layer normalization, cross-entropy and their gradients.
//
// Holes:
//   fn row_stages(row: u32, lane: u32, stored: bool)
// It walks the row, each thread over elements of its own, and combines what the row's threads found by
//   row_reduce(stage: u32, own: vec2<u32>) -> vec2<u32>
// which every thread must call, outside of loops and conditions that differ between threads; all get the result. Where
// `stored` is false the row is a repetition to fill the workgroup, and nothing may be written.
//   fn combine(stage: u32, a: vec2<u32>, b: vec2<u32>) -> vec2<u32>
// What row_reduce does with two partial results of a stage, in an order that LANES alone decides. A result is the word of a
// number, and its place in the row where the stage seeks that.
#import math

struct Params {
    rows: u32,
#params
}
#import params

#ifdef HEADS
// What each thread found, and what the first HEADS threads of each row made of it.
var<workgroup> partial: array<vec2<u32>, THREADS>;
var<workgroup> heads: array<vec2<u32>, THREADS / LANES * HEADS>;
// The thread's number in the workgroup, for the function below.
var<private> row_thread: u32;
#endif

#holes

// In two steps, so that threads wait for each other only twice. A thread that is past the first wait of the next reduction
// finds nobody reading `heads` any more, and past the second one nobody reading `partial`.
fn row_reduce(stage: u32, own: vec2<u32>) -> vec2<u32> {
#ifdef HEADS
    let lane = row_thread % LANES;
    let first = row_thread - lane;
    let head = row_thread / LANES * HEADS;
    partial[row_thread] = own;
    workgroupBarrier();
    if (lane < HEADS) {
        var total = own;
        for (var n = lane + HEADS; n < LANES; n += HEADS) {
            total = combine(stage, total, partial[first + n]);
        }
        heads[head + lane] = total;
    }
    workgroupBarrier();
    var total = heads[head];
    for (var n = 1u; n < HEADS; n += 1u) {
        total = combine(stage, total, heads[head + n]);
    }
    return total;
#else
    return own;
#endif
}

@compute @workgroup_size(THREADS, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
#ifdef HEADS
    row_thread = lane;
#endif
    let first_row = (group.y * groups.x + group.x) * (THREADS / LANES);
    if (first_row >= params.rows) {
        return;
    }
    // Threads past the last row repeat it, as all must reach the barriers.
    let wanted = first_row + lane / LANES;
    row_stages(min(wanted, params.rows - 1u), lane % LANES, wanted < params.rows);
}
