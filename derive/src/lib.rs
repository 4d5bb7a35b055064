//! The derive macro of Addax: visits a struct's fields as sublayers, weights or config.
