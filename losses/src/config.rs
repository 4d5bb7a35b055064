//! Settings as Keras' JSON, both ways, from one list of fields.

use addax_tensor::{Error, Result};
use serde_json::{Map, Value, json};

/// A setting that can be read and written.
#[derive(Debug)]
pub enum Field<'a> {
    /// A number.
    Float(&'a mut f64),
    /// A whole number, such as an axis.
    Int(&'a mut i64),
    /// A whole number or nothing, such as a class.
    MaybeInt(&'a mut Option<i64>),
    /// Whole numbers or nothing, such as axes; one number alone is read as a list of one.
    MaybeInts(&'a mut Option<Vec<i64>>),
    /// Yes or no.
    Flag(&'a mut bool),
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
field_from!(f64 => Float, i64 => Int, Option<i64> => MaybeInt, Option<Vec<i64>> => MaybeInts, bool => Flag, String => Text);

impl Field<'_> {
    fn value(&self) -> Value {
        match self {
            Field::Float(v) => json!(**v),
            Field::Int(v) => json!(**v),
            Field::MaybeInt(v) => json!(**v),
            Field::MaybeInts(v) => json!(**v),
            Field::Flag(v) => json!(**v),
            Field::Text(v) => json!(**v),
        }
    }
    /// Takes the value over; says what was expected if it does not fit.
    fn set(&mut self, value: &Value) -> Result<(), &'static str> {
        match self {
            Field::Float(to) => **to = value.as_f64().ok_or("a number")?,
            Field::Int(to) => **to = value.as_i64().ok_or("a whole number")?,
            Field::MaybeInt(to) if value.is_null() => **to = None,
            Field::MaybeInt(to) => **to = Some(value.as_i64().ok_or("a whole number or null")?),
            Field::MaybeInts(to) if value.is_null() => **to = None,
            Field::MaybeInts(to) => {
                let one = std::slice::from_ref(value);
                let numbers: Option<Vec<i64>> =
                    value.as_array().map_or(one, Vec::as_slice).iter().map(Value::as_i64).collect();
                **to = Some(numbers.ok_or("whole numbers or null")?);
            }
            Field::Flag(to) => **to = value.as_bool().ok_or("true or false")?,
            // Keras lets names be null: the default stays.
            Field::Text(_) if value.is_null() => {}
            Field::Text(to) => **to = value.as_str().ok_or("a text")?.to_string(),
        }
        Ok(())
    }
}

/// The settings that differ from `defaults`.
pub(crate) fn differing(fields: Fields<'_>, defaults: Fields<'_>) -> Map<String, Value> {
    let pairs =
        fields.into_iter().zip(defaults).map(|((name, field), (_, default))| (name, field.value(), default.value()));
    pairs.filter(|(_, value, default)| value != default).map(|(name, value, _)| (name.to_string(), value)).collect()
}

/// Takes `config` over into the fields; the names of keys that are not known are added to `warnings`.
pub(crate) fn assign(
    class: &str,
    fields: Fields<'_>,
    config: &Map<String, Value>,
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
    // The type to compute in is that of the predictions here.
    let unknown = config.keys().filter(|key| !names.contains(&key.as_str()) && *key != "dtype");
    warnings.extend(unknown.map(|key| format!("{class}: unknown setting `{key}` was ignored")));
    Ok(())
}

/// Keras' envelope around a configuration.
pub(crate) fn envelope(module: &str, class: &str, config: Map<String, Value>) -> Value {
    json!({"module": module, "class_name": class, "config": config, "registered_name": null})
}

/// Class name and settings of an envelope, or a name alone.
pub(crate) fn opened<'a>(what: &str, json: &'a Value) -> Result<(&'a str, Option<&'a Map<String, Value>>)> {
    let class = json.get("class_name").and_then(Value::as_str);
    match (json.as_str(), class, json.get("config")) {
        (Some(name), ..) => Ok((name, None)),
        // A function of Keras: its name is the whole configuration.
        (_, Some("function"), Some(Value::String(name))) => Ok((name, None)),
        (_, Some(class), Some(Value::Object(map))) => Ok((class, Some(map))),
        _ => Err(Error::format(format!(
            "{what}: expected a name or {{\"class_name\": …, \"config\": {{…}}}}, got {json}"
        ))),
    }
}

/// Keras' name of an instance: `MeanSquaredError` is `mean_squared_error`, `KLDivergence` is `kl_divergence`.
pub(crate) fn snake(class: &str) -> String {
    let letters: Vec<char> = class.chars().collect();
    let lower = |i: usize| letters.get(i).is_some_and(|c| c.is_lowercase());
    let mut name = String::new();
    for (i, letter) in letters.iter().enumerate() {
        if i > 0 && letter.is_uppercase() && (lower(i - 1) || lower(i + 1)) {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}
