//! File formats of Addax: safetensors, model directories, atomic writes, safe reads.
