//! JSON as text.

use crate::{ReadOptions, atomic, refused, source};
use addax_tensor::{Error, Result, error::bytes_for_people};
use serde_json::Value;
use std::path::Path;

/// Deepest nesting that is read and written.
pub const MAX_DEPTH: usize = 127;

/// A number that reads back as `x`, in the fewest digits: `0.1`, not `0.10000000149011612`. Not finite: a string, see
/// [`At::f64`].
///
/// [`At::f64`]: super::At::f64
///
/// ```
/// assert_eq!(addax_io::json::f32(0.1).to_string(), "0.1");
/// ```
pub fn f32(x: f32) -> Value {
    // The f64 next to the shortest digits rounds to `x` again, save where those digits lie on the edge of two f32.
    match format!("{x:e}").parse::<f64>() {
        Ok(short) if short as f32 == x => f64(short),
        _ => f64(f64::from(x)),
    }
}

/// A number that reads back as `x`. Not finite: a string, see [`At::f64`](super::At::f64).
pub fn f64(x: f64) -> Value {
    match serde_json::Number::from_f64(x) {
        Some(number) => Value::Number(number),
        None if x.is_nan() => "NaN".into(),
        None if x > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

/// Reads JSON text. `name` stands in errors. Refuses text over `options.max_json_bytes`, nesting over [`MAX_DEPTH`].
pub fn parse(name: &str, text: &[u8], options: &ReadOptions) -> Result<Value> {
    if text.len() as u64 > options.max_json_bytes {
        return Err(Error::format(format!(
            "{name} has {} of JSON, over the limit of {}; if you trust it, raise `max_json_bytes` in `ReadOptions`",
            bytes_for_people(text.len() as u64),
            bytes_for_people(options.max_json_bytes)
        )));
    }
    let strict = serde_json::from_slice(text);
    strict.or_else(|e| quote_non_finite(text).and_then(|quoted| serde_json::from_slice(&quoted).ok()).ok_or(e)).map_err(
        |e| Error::format(format!("{name} is not valid JSON ({e}); it is damaged or of another format")).caused_by(e),
    )
}

/// Reads a JSON file.
pub fn read(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Value> {
    let path = path.as_ref();
    parse(&path.display().to_string(), &source::read_small(path, options)?, options)
}

/// JSON text with two spaces of indentation and no newline at its end. Refuses nesting that [`parse`] would refuse.
pub fn to_pretty(value: &Value) -> Result<String> {
    let mut level: Vec<&Value> = vec![value];
    for depth in 0.. {
        level = level.into_iter().flat_map(children).collect();
        if level.is_empty() {
            break;
        }
        if depth >= MAX_DEPTH {
            return Err(Error::argument(format!("the JSON is nested over {MAX_DEPTH} levels deep; flatten it")));
        }
    }
    serde_json::to_string_pretty(value).map_err(|e| Error::argument(format!("writing JSON: {e}")).caused_by(e))
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

/// Writes a JSON file, whole or not at all.
pub fn write(path: impl AsRef<Path>, value: &Value) -> Result<()> {
    let path = path.as_ref();
    let text = to_pretty(value)?;
    atomic::write_file(path, |to| to.write_all(text.as_bytes()).map_err(|e| refused::writing(path.display(), e)))
}

/// The text with Python's bare `NaN`, `Infinity` and `-Infinity` made strings; `None` if there are none.
fn quote_non_finite(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() + 64);
    let (mut rest, mut in_string, mut found) = (text, false, false);
    while let Some((&byte, after)) = rest.split_first() {
        if in_string {
            out.push(byte);
            rest = after;
            if byte == b'\\' {
                // An escaped quote does not end the string.
                if let Some((&escaped, after)) = rest.split_first() {
                    out.push(escaped);
                    rest = after;
                }
            }
            in_string = byte != b'"';
            continue;
        }
        match [&b"NaN"[..], b"Infinity", b"-Infinity"].into_iter().find(|word| rest.starts_with(word)) {
            Some(word) => {
                out.push(b'"');
                out.extend(word);
                out.push(b'"');
                rest = rest.get(word.len()..).unwrap_or_default();
                found = true;
            }
            None => {
                in_string = byte == b'"';
                out.push(byte);
                rest = after;
            }
        }
    }
    found.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::At;
    use proptest::prelude::*;
    use serde_json::json;

    fn parsed(text: &str) -> Result<Value> {
        parse("config.json", text.as_bytes(), &ReadOptions::default())
    }

    fn nested(depth: usize) -> Value {
        (0..depth).fold(json!(1), |v, _| json!([v]))
    }

    #[test]
    fn pythons_non_finite_numbers_are_read() {
        let value = parsed(r#"{"a": NaN, "b": [-Infinity, Infinity], "NaN": "\" Infinity NaN\\", "c": -1}"#).unwrap();
        assert_eq!(value, json!({"a": "NaN", "b": ["-Infinity", "Infinity"], "NaN": "\" Infinity NaN\\", "c": -1}));
        assert!(parsed("{NaNa: 1}").is_err());
        assert!(parsed("NaN1").is_err());
    }

    #[test]
    fn what_is_written_is_not_too_deep_to_read() {
        let text = to_pretty(&nested(MAX_DEPTH)).unwrap();
        assert_eq!(parsed(&text).unwrap(), nested(MAX_DEPTH));
        assert!(to_pretty(&nested(MAX_DEPTH + 1)).unwrap_err().to_string().contains("127 levels"));
        let error = parsed(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))).unwrap_err().to_string();
        assert!(error.starts_with("config.json is not valid JSON (recursion limit exceeded"), "{error}");
    }

    #[test]
    fn large_text_is_refused() {
        let options = ReadOptions { max_json_bytes: 4, ..ReadOptions::default() };
        assert!(parse("c", b"[1]", &options).is_ok());
        let error = parse("c", b"[1,2]", &options).unwrap_err().to_string();
        assert!(error.starts_with("c has 5 B of JSON, over the limit of 4 B"), "{error}");
    }

    #[test]
    fn numbers_are_short() {
        for (x, text) in [(0.1, "0.1"), (1.0, "1.0"), (-0.0, "-0.0"), (1e-7, "1e-7"), (0.001, "0.001")] {
            assert_eq!(f32(x).to_string(), text);
        }
        assert_eq!(f32(f32::NAN), json!("NaN"));
    }

    proptest! {
        /// Every f32 and f64 comes back with its bits.
        #[test]
        fn numbers_are_exact(a in any::<u32>(), b in any::<u64>()) {
            let (a, b) = (f32::from_bits(a), f64::from_bits(b));
            let value = parsed(&to_pretty(&json!([f32(a), f64(b)])).unwrap()).unwrap();
            let at = At::new("v", &value);
            let (x, y) = (at.index(0).unwrap().f32().unwrap(), at.index(1).unwrap().f64().unwrap());
            prop_assert!(x.to_bits() == a.to_bits() || (x.is_nan() && a.is_nan()));
            prop_assert!(y.to_bits() == b.to_bits() || (y.is_nan() && b.is_nan()));
        }

        /// No text makes the parser panic.
        #[test]
        fn any_text_is_read_or_refused(text in "[\\[\\]{}\":,NaInfity\\\\0-9e. -]{0,60}") {
            let _ = parsed(&text);
        }
    }
}
