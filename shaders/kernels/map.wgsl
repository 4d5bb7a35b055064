// One formula for each of `count` elements, PACK of them per thread: 1, 2 or 4, where outputs of 16 or 8 bits share a
// word, or where vectors of four are read and written.
//
// Hole, called in range only:
//   fn body(first: u32, lanes: u32)
// computes elements first .. first + lanes; lanes is PACK but for the last thread, which may have fewer.
#import math

struct Params {
    count: u32,
#params
}
#import params
#holes

@compute @workgroup_size(THREADS, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = ((group.y * groups.x + group.x) * THREADS + lane) * PACK;
    if (first < params.count) {
        body(first, min(PACK, params.count - first));
    }
}
