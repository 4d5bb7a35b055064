// One thread computes one number of C, reading A and B by `a_at(batch, row, k)` and `b_at(batch, k, col)`: for small
// products, and for convolutions with few channels per group. Threads run along columns, then batches, then rows, so
// that the groups of a channels-last convolution are neighbours.

@compute @workgroup_size(THREADS, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = (group.y * groups.x + group.x) * THREADS + lane;
    let col = index % gemm_n();
    let batch = index / gemm_n() % gemm_batches();
    let line = index / (gemm_n() * gemm_batches());
    let row = line % gemm_m();
    let split = line / gemm_m();
    if (split >= gemm_splits()) {
        return;
    }
    let place = gemm_place(batch * gemm_splits() + split);
    var acc = 0.0;
    for (var k = place.k_start; k < place.k_end; k += 1u) {
        acc = fma(a_at(batch, row, k), b_at(batch, k, col), acc);
    }
    c_at(batch, split, row, col, acc);
}
