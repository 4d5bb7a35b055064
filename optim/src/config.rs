//! Settings as Keras' JSON, both ways, from one list of fields.

use addax_tensor::{Error, Result};
use serde_json::{Map, Value, json};

/// A setting that can be read and written.
#[derive(Debug)]
pub enum Field<'a> {
    /// A number.
    Float(&'a mut f64),
    /// A number or nothing.
    MaybeFloat(&'a mut Option<f64>),
    /// A whole number.
    Whole(&'a mut usize),
    /// A whole number or nothing.
    MaybeWhole(&'a mut Option<usize>),
    /// Yes or no.
    Flag(&'a mut bool),
    /// Several numbers.
    Floats(&'a mut Vec<f64>),
    /// Text.
    Text(&'a mut String),
}

/// The settings of something, each with Keras' name.
pub type Fields<'a> = Vec<(&'static str, Field<'a>)>;

macro_rules! field_from {
    ($($t:ty => $v:ident),*) => {$(
        impl<'a> From<&'a mut $t> for Field<'a> {
            fn from(value: &'a mut $t) -> Self { Field::$v(value) }
        }
    )*};
}
field_from!(f64 => Float, Option<f64> => MaybeFloat, usize => Whole, Option<usize> => MaybeWhole, bool => Flag,
    Vec<f64> => Floats, String => Text);

impl Field<'_> {
    fn value(&self) -> Value {
        match self {
            Field::Float(v) => json!(**v),
            Field::MaybeFloat(v) => json!(**v),
            Field::Whole(v) => json!(**v),
            Field::MaybeWhole(v) => json!(**v),
            Field::Flag(v) => json!(**v),
            Field::Floats(v) => json!(**v),
            Field::Text(v) => json!(**v),
        }
    }
    /// Takes the value over; says what was expected if it does not fit.
    fn set(&mut self, value: &Value) -> Result<(), &'static str> {
        match self {
            Field::Float(to) => **to = value.as_f64().ok_or("a number")?,
            Field::MaybeFloat(to) if value.is_null() => **to = None,
            Field::MaybeFloat(to) => **to = Some(value.as_f64().ok_or("a number or null")?),
            Field::Whole(to) => **to = whole(value).ok_or("a whole number")?,
            Field::MaybeWhole(to) if value.is_null() => **to = None,
            Field::MaybeWhole(to) => **to = Some(whole(value).ok_or("a whole number or null")?),
            Field::Flag(to) => **to = value.as_bool().ok_or("true or false")?,
            Field::Floats(to) => {
                let list = value.as_array().ok_or("a list of numbers")?;
                **to = list.iter().map(Value::as_f64).collect::<Option<_>>().ok_or("a list of numbers")?;
            }
            Field::Text(to) if value.is_null() => to.clear(),
            Field::Text(to) => **to = value.as_str().ok_or("a text")?.to_string(),
        }
        Ok(())
    }
}

/// Keras writes some whole numbers as floats (`1000.0`).
fn whole(value: &Value) -> Option<usize> {
    let float = || value.as_f64().filter(|v| v.fract() == 0.0 && (0.0..9e15).contains(v)).map(|v| v as usize);
    value.as_u64().map(|v| v as usize).or_else(float)
}

/// The settings that differ from `defaults`, and those in `always`.
pub(crate) fn differing(fields: Fields<'_>, defaults: Fields<'_>, always: &[&str]) -> Map<String, Value> {
    let kept = |((name, field), (_, default)): ((&'static str, Field<'_>), (&'static str, Field<'_>))| {
        let value = field.value();
        (value != default.value() || always.contains(&name)).then(|| (name.to_string(), value))
    };
    fields.into_iter().zip(defaults).filter_map(kept).collect()
}

/// Takes `config` over into the fields. Keys in `handled` are left to the caller; the names of all others that nothing
/// here knows are added to `warnings`.
pub(crate) fn assign(
    class: &str,
    fields: Fields<'_>,
    config: &Map<String, Value>,
    handled: &[&str],
    warnings: &mut Vec<String>,
) -> Result<()> {
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    for (name, mut field) in fields {
        if let Some(value) = config.get(name) {
            field
                .set(value)
                .map_err(|wanted| Error::format(format!("{class}: `{name}` should be {wanted}, got {value}")))?;
        }
    }
    let unknown = config.keys().filter(|k| !names.contains(&k.as_str()) && !handled.contains(&k.as_str()));
    warnings.extend(unknown.map(|key| format!("{class}: unknown setting `{key}` was ignored")));
    Ok(())
}

/// Keras' envelope around a configuration.
pub(crate) fn envelope(module: &str, class: &str, config: Map<String, Value>) -> Value {
    json!({"module": module, "class_name": class, "config": config, "registered_name": null})
}

/// Class name and settings of an envelope.
pub(crate) fn opened<'a>(what: &str, envelope: &'a Value) -> Result<(&'a str, &'a Map<String, Value>)> {
    let class = envelope.get("class_name").and_then(Value::as_str);
    let config = envelope.get("config").and_then(Value::as_object);
    match (class, config) {
        (Some(class), Some(config)) => Ok((class, config)),
        _ => Err(Error::format(format!("{what}: expected {{\"class_name\": …, \"config\": {{…}}}}, got {envelope}"))),
    }
}

/// A float that was rounded to `f32`, as people write it: 0.001, not 0.0010000000474974513.
pub(crate) fn readable(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}
