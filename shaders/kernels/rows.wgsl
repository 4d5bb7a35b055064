// Map and reduce stages over rows, one row at a time in LANES threads: softmax, layer normalization, cross-entropy and
// their gradients. The stages are a hole:
//   fn row_stages(row: u32, lane: u32, stored: bool)
// It walks the row by `for (var i = lane; i < length; i += LANES)` and combines over the row's threads by
//   row_sum(value: f32) -> f32, row_max(value: f32) -> f32, row_min(value: f32) -> f32
// which every thread must call, outside of loops and conditions that differ between threads. Where `stored` is false
// the row is a repetition to fill the workgroup, and nothing may be written.
#import math

struct Params {
    rows: u32,
#params
}
#import params

var<workgroup> partial: array<f32, THREADS>;

fn row_sum(value: f32) -> f32 {
    let lane = row_lane;
    partial[lane] = value;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if (lane % LANES < half) {
            partial[lane] += partial[lane + half];
        }
        workgroupBarrier();
    }
    let total = partial[lane - lane % LANES];
    workgroupBarrier();
    return total;
}

// The greater of two; a NaN wins.
fn greater(a: f32, b: f32) -> f32 {
    return select(a, b, (b > a || is_nan(b)) && !is_nan(a));
}

fn row_max(value: f32) -> f32 {
    let lane = row_lane;
    partial[lane] = value;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if (lane % LANES < half) {
            partial[lane] = greater(partial[lane], partial[lane + half]);
        }
        workgroupBarrier();
    }
    let total = partial[lane - lane % LANES];
    workgroupBarrier();
    return total;
}

fn row_min(value: f32) -> f32 {
    return -row_max(-value);
}

// The thread's number in the workgroup, for the functions above.
var<private> row_lane: u32;

#holes

@compute @workgroup_size(THREADS, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    row_lane = lane;
    let first_row = (group.y * groups.x + group.x) * (THREADS / LANES);
    if (first_row >= params.rows) {
        return;
    }
    // Threads past the last row repeat it, as all must reach the barriers.
    let wanted = first_row + lane / LANES;
    row_stages(min(wanted, params.rows - 1u), lane % LANES, wanted < params.rows);
}
