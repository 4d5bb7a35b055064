// Philox 4x32-10: random bits as a pure function of where they are used; src/philox.rs has its meaning and its tests.
#import math

// The high word of a 32 x 32 bit product, by 16-bit halves: WGSL has no 64-bit integers.
fn high_word(a: u32, b: u32) -> u32 {
    let al = a & 0xffffu;
    let ah = a >> 16u;
    let bl = b & 0xffffu;
    let bh = b >> 16u;
    let mid = ah * bl + ((al * bl) >> 16u);
    let other = al * bh + (mid & 0xffffu);
    return ah * bh + (mid >> 16u) + (other >> 16u);
}

// The four random words of a counter under a key.
fn philox_block(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    var c = counter;
    var k = key;
    for (var i = 0u; i < 10u; i += 1u) {
        let high0 = high_word(0xd2511f53u, c.x);
        let high1 = high_word(0xcd9e8d57u, c.z);
        c = vec4<u32>(high1 ^ c.y ^ k.x, 0xcd9e8d57u * c.z, high0 ^ c.w ^ k.y, 0xd2511f53u * c.x);
        k += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
    }
    return c;
}

// The random word of element `element` of sample `sample_index` in stream `stream` at step `step`.
fn philox_bits(element: u32, sample_index: u32, step: u32, stream: u32, seed: vec2<u32>) -> u32 {
    let words = philox_block(vec4<u32>(element >> 2u, sample_index, step, stream), seed);
    let pair = select(words.xy, words.zw, (element & 2u) == 2u);
    return select(pair.x, pair.y, (element & 1u) == 1u);
}

// A uniform number of [0, 1): the upper 24 bits, so exact in f32.
fn philox_uniform(bits: u32) -> f32 {
    return f32(bits >> 8u) * (1.0 / 16777216.0);
}

// A standard normal number, from a uniform centred in its cell.
fn philox_normal(bits: u32) -> f32 {
    let centred = f32(bits >> 9u) * (1.0 / 4194304.0) + (1.0 / 8388608.0 - 1.0);
    return 1.41421356 * math_erfinv(centred);
}
