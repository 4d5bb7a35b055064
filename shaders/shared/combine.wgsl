// What a reduction does with two partial results. T is the type of the numbers, FLOAT is defined if it is f32.
//
// SUM, PROD: numbers. MAX, MIN: a NaN wins, as it must not vanish from a loss. ANY, ALL: T is u32, true is 1.
// ARGMAX, ARGMIN: the lowest index of equals, the first NaN before all numbers.
#import math

struct Item {
    value: T,
#ifdef ARG
    index: u32,
#endif
}

#ifdef SUM
fn identity() -> Item { return Item(T(0)); }
fn combine(a: Item, b: Item) -> Item { return Item(a.value + b.value); }
#endif
#ifdef PROD
fn identity() -> Item { return Item(T(1)); }
fn combine(a: Item, b: Item) -> Item { return Item(a.value * b.value); }
#endif
#ifdef ANY
fn identity() -> Item { return Item(T(0)); }
fn combine(a: Item, b: Item) -> Item { return Item(a.value | b.value); }
#endif
#ifdef ALL
fn identity() -> Item { return Item(T(1)); }
fn combine(a: Item, b: Item) -> Item { return Item(a.value & b.value); }
#endif

#ifdef ORDERED
// Whether b comes before a in the order sought.
fn precedes(b: T, a: T) -> bool {
#ifdef GREATEST
    let before = b > a;
#else
    let before = b < a;
#endif
#ifdef FLOAT
    return (before || is_nan(b)) && !is_nan(a);
#else
    return before;
#endif
}

fn combine(a: Item, b: Item) -> Item {
    var take = precedes(b.value, a.value);
#ifdef ARG
    take = take || (b.index < a.index && !precedes(a.value, b.value));
#endif
    if (take) {
        return b;
    }
    return a;
}
#endif
