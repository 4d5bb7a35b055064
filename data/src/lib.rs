//! Data sets for Addax: batching, shuffling, prefetching, splits, readers, and small real data sets embedded.
