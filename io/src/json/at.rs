//! A place in a JSON value that knows its path.

use addax_tensor::{Error, Result};
use serde_json::{Map, Value};

/// A value and the path that leads to it, for errors such as
/// `config.layers[2].config.units: expected a whole number, got "x"`.
///
/// ```
/// use addax_io::json::At;
/// let config = serde_json::json!({"layers": [{"units": 3}, {"units": "x"}]});
/// let layers = At::new("config", &config).key("layers")?;
/// assert_eq!(layers.index(0)?.key("units")?.usize()?, 3);
/// let error = layers.index(1)?.key("units")?.usize().unwrap_err();
/// assert_eq!(error.to_string(), "config.layers[1].units: expected a whole number, got \"x\"");
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct At<'a> {
    path: String,
    value: &'a Value,
}

impl<'a> At<'a> {
    /// The root, under the name that paths begin with.
    pub fn new(name: impl Into<String>, value: &'a Value) -> Self {
        At { path: name.into(), value }
    }
    /// The value.
    pub fn value(&self) -> &'a Value {
        self.value
    }
    /// The path, such as `config.layers[2]`.
    pub fn path(&self) -> &str {
        &self.path
    }
    /// The error that something else was expected here.
    pub fn expected(&self, what: &str) -> Error {
        Error::format(format!("{}: expected {what}, got {}", self.path, describe(self.value)))
    }
    /// The error that says `message` about this place.
    pub fn error(&self, message: impl std::fmt::Display) -> Error {
        Error::format(format!("{}: {message}", self.path))
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        self.value.is_null()
    }
    /// A truth value.
    pub fn bool(&self) -> Result<bool> {
        self.value.as_bool().ok_or_else(|| self.expected("true or false"))
    }
    /// A string.
    pub fn str(&self) -> Result<&'a str> {
        self.value.as_str().ok_or_else(|| self.expected("a string"))
    }
    /// A whole number.
    pub fn i64(&self) -> Result<i64> {
        self.value.as_i64().ok_or_else(|| self.expected("a whole number"))
    }
    /// A whole number of 0 or more.
    pub fn u64(&self) -> Result<u64> {
        self.value.as_u64().ok_or_else(|| self.expected(self.whole()))
    }
    /// A whole number of 0 or more that can be a length.
    pub fn usize(&self) -> Result<usize> {
        usize::try_from(self.u64()?).map_err(|_| self.expected("a smaller number"))
    }
    fn whole(&self) -> &'static str {
        if self.value.is_i64() { "a whole number of 0 or more" } else { "a whole number" }
    }
    /// A number; `"NaN"`, `"Infinity"` and `"-Infinity"` are too.
    pub fn f64(&self) -> Result<f64> {
        match self.value {
            Value::String(s) if s == "NaN" => Ok(f64::NAN),
            Value::String(s) if s == "Infinity" => Ok(f64::INFINITY),
            Value::String(s) if s == "-Infinity" => Ok(f64::NEG_INFINITY),
            v => v.as_f64().ok_or_else(|| self.expected("a number")),
        }
    }
    /// A number in the range of float32, rounded to it.
    pub fn f32(&self) -> Result<f32> {
        let wide = self.f64()?;
        let narrow = wide as f32;
        if narrow.is_infinite() && wide.is_finite() {
            Err(self.expected("a number in the range of float32"))
        } else {
            Ok(narrow)
        }
    }
    /// An object.
    pub fn object(&self) -> Result<&'a Map<String, Value>> {
        self.value.as_object().ok_or_else(|| self.expected("an object"))
    }

    /// The value under `key` of an object; missing is an error that suggests near keys.
    pub fn key(&self, key: &str) -> Result<At<'a>> {
        let object = self.object()?;
        match object.get(key) {
            Some(value) => Ok(At { path: self.path_of(key), value }),
            None => {
                let near = addax_tensor::error::near_names(key, object.keys().map(String::as_str));
                let hint = near.first().map_or(String::new(), |n| format!("; there is \"{n}\""));
                Err(self.error(format!("the key \"{key}\" is missing{hint}")))
            }
        }
    }
    /// The value under `key` of an object; `None` if it is missing or `null`.
    pub fn get(&self, key: &str) -> Result<Option<At<'a>>> {
        let value = self.object()?.get(key).filter(|v| !v.is_null());
        Ok(value.map(|value| At { path: self.path_of(key), value }))
    }
    /// Keys and values of an object, in the file's order.
    pub fn entries(&self) -> Result<impl Iterator<Item = (&'a str, At<'a>)> + use<'a, '_>> {
        let object = self.object()?;
        Ok(object.iter().map(|(k, value)| (k.as_str(), At { path: self.path_of(k), value })))
    }
    /// Paths of the object's keys that are not in `known`, for a warning.
    pub fn unknown_keys(&self, known: &[&str]) -> Result<Vec<String>> {
        let unknown = self.object()?.keys().filter(|k| !known.contains(&k.as_str()));
        Ok(unknown.map(|k| self.path_of(k)).collect())
    }
    /// The value at `index` of a list.
    pub fn index(&self, index: usize) -> Result<At<'a>> {
        let list = self.value.as_array().ok_or_else(|| self.expected("a list"))?;
        match list.get(index) {
            Some(value) => Ok(At { path: format!("{}[{index}]", self.path), value }),
            None => Err(self.error(format!("expected at least {} values, got {}", index + 1, list.len()))),
        }
    }
    /// The values of a list.
    pub fn items(&self) -> Result<impl ExactSizeIterator<Item = At<'a>> + use<'a, '_>> {
        let list = self.value.as_array().ok_or_else(|| self.expected("a list"))?;
        Ok(list.iter().enumerate().map(|(i, value)| At { path: format!("{}[{i}]", self.path), value }))
    }
    /// A list, each value read by `read`: `shape.list(At::usize)`.
    pub fn list<T>(&self, read: impl Fn(&At<'a>) -> Result<T>) -> Result<Vec<T>> {
        self.items()?.map(|at| read(&at)).collect()
    }

    fn path_of(&self, key: &str) -> String {
        if !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_') {
            format!("{}.{key}", self.path)
        } else {
            format!("{}[{key:?}]", self.path)
        }
    }
}

fn describe(value: &Value) -> String {
    const MOST: usize = 40;
    match value {
        Value::String(s) if s.chars().count() > MOST => {
            format!("{:?}…", s.chars().take(MOST).collect::<String>())
        }
        Value::String(s) => format!("{s:?}"),
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(_) => "an object".to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_name_the_path_and_what_came() {
        let value =
            json!({"layers": [{"config": {"units": "x", "rate": -1, "odd key": [], "seed": 1.5, "big": 1e300}}]});
        let root = At::new("config", &value);
        let config = root.key("layers").unwrap().index(0).unwrap().key("config").unwrap();
        let said = |e: Result<()>| e.unwrap_err().to_string();
        for (got, wanted) in [
            (said(config.key("units").unwrap().usize().map(drop)), "units: expected a whole number, got \"x\""),
            (said(config.key("rate").unwrap().usize().map(drop)), "rate: expected a whole number of 0 or more, got -1"),
            (said(config.key("seed").unwrap().i64().map(drop)), "seed: expected a whole number, got 1.5"),
            (
                said(config.key("big").unwrap().f32().map(drop)),
                "big: expected a number in the range of float32, got 1e+300",
            ),
        ] {
            assert_eq!(got, format!("config.layers[0].config.{wanted}"));
        }
        assert_eq!(
            said(config.key("odd key").unwrap().bool().map(drop)),
            "config.layers[0].config[\"odd key\"]: expected true or false, got a list of 0"
        );
        assert_eq!(
            said(config.key("unit").map(drop)),
            "config.layers[0].config: the key \"unit\" is missing; there is \"units\""
        );
        assert_eq!(
            said(root.key("layers").unwrap().index(3).map(drop)),
            "config.layers: expected at least 4 values, got 1"
        );
        assert_eq!(said(root.index(0).map(drop)), "config: expected a list, got an object");
    }

    #[test]
    fn values_are_read() {
        let value = json!({"shape": [null, 28, 28], "names": ["a", "b"], "nothing": null, "rate": 1, "bad": "NaN"});
        let at = At::new("v", &value);
        assert_eq!(at.key("names").unwrap().list(At::str).unwrap(), ["a", "b"]);
        assert!(at.key("shape").unwrap().index(0).unwrap().is_null());
        assert!(at.get("nothing").unwrap().is_none() && at.get("absent").unwrap().is_none());
        assert_eq!(at.get("rate").unwrap().unwrap().f64().unwrap(), 1.0);
        assert!(at.key("bad").unwrap().f32().unwrap().is_nan());
        assert_eq!(at.unknown_keys(&["shape", "names", "rate", "bad"]).unwrap(), ["v.nothing"]);
        assert_eq!(at.entries().unwrap().map(|(k, _)| k).last(), Some("bad"));
        assert_eq!(
            at.key("shape").unwrap().list(At::usize).unwrap_err().to_string(),
            "v.shape[0]: expected a whole number, got null"
        );
    }

    #[test]
    fn long_strings_are_cut_in_errors() {
        let value = json!("ä".repeat(1000));
        assert!(At::new("v", &value).bool().unwrap_err().to_string().chars().count() < 100);
    }
}
