//! The config values that layers are made of, as Keras writes them in JSON.

use crate::{
    config::Reader,
    fields::{Field, Kind},
};
use addax_tensor::{DType, Error, Result};
use serde_json::{Value as Json, json};

macro_rules! plain {
    ($($type:ty, $what:literal, $blank:expr, $read:expr;)*) => {$(
        impl Field for $type {
            fn kind(&self) -> Kind<'_> {
                Kind::Config
            }
            fn write(&self) -> Result<Json> {
                Ok(json!(self))
            }
            fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
                let read: fn(&Json) -> Option<$type> = $read;
                *self = read(json).ok_or_else(|| reader.expected($what, json))?;
                Ok(())
            }
            fn blank() -> Self {
                $blank
            }
        }
    )*};
}
plain! {
    bool, "true or false", false, Json::as_bool;
    String, "a string", String::new(), |j| j.as_str().map(String::from);
    u64, "a whole number", 0, Json::as_u64;
    i64, "a whole number", 0, Json::as_i64;
    f32, "a number", 0.0, |j| j.as_f64().map(|v| v as f32);
    usize, "a whole number", 0, |j| j.as_u64().and_then(|v| v.try_into().ok());
    isize, "a whole number", 0, |j| j.as_i64().and_then(|v| v.try_into().ok());
    u32, "a whole number", 0, |j| j.as_u64().and_then(|v| v.try_into().ok());
    i32, "a whole number", 0, |j| j.as_i64().and_then(|v| v.try_into().ok());
}

impl Field for f64 {
    fn kind(&self) -> Kind<'_> {
        Kind::Config
    }
    /// JSON has no infinities; Keras writes them as Python does, which no strict reader takes. They are refused.
    fn write(&self) -> Result<Json> {
        match serde_json::Number::from_f64(*self) {
            Some(number) => Ok(Json::Number(number)),
            None => Err(Error::argument(format!("{self} cannot be saved in a config"))),
        }
    }
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        *self = json.as_f64().ok_or_else(|| reader.expected("a number", json))?;
        Ok(())
    }
    fn blank() -> Self {
        0.0
    }
}

impl Field for DType {
    fn kind(&self) -> Kind<'_> {
        Kind::Config
    }
    fn write(&self) -> Result<Json> {
        Ok(json!(self.name()))
    }
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        let name = json.pointer("/config/name").unwrap_or(json);
        let name = name.as_str().ok_or_else(|| reader.expected("a dtype", json))?;
        *self = DType::parse(name).map_err(|e| reader.wrap(e))?;
        Ok(())
    }
    fn blank() -> Self {
        DType::F32
    }
}

impl<T: Field> Field for Option<T> {
    fn kind(&self) -> Kind<'_> {
        match self {
            Some(value) => value.kind(),
            None => Kind::Config,
        }
    }
    fn write(&self) -> Result<Json> {
        self.as_ref().map_or(Ok(Json::Null), Field::write)
    }
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        *self = match json {
            Json::Null => None,
            json => {
                let mut value = T::blank();
                value.read(json, reader)?;
                Some(value)
            }
        };
        Ok(())
    }
    fn blank() -> Self {
        None
    }
}

fn kinds<T: Field>(values: &[T]) -> Kind<'_> {
    let kinds: Vec<_> = values.iter().map(Field::kind).collect();
    match kinds.iter().any(|k| !matches!(k, Kind::Config)) {
        true => Kind::Many(kinds),
        false => Kind::Config,
    }
}

fn write_all<T: Field>(values: &[T]) -> Result<Json> {
    values.iter().map(Field::write).collect::<Result<Vec<_>>>().map(Json::Array)
}

impl<T: Field> Field for Vec<T> {
    fn kind(&self) -> Kind<'_> {
        kinds(self)
    }
    fn write(&self) -> Result<Json> {
        write_all(self)
    }
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        let list = json.as_array().ok_or_else(|| reader.expected("a list", json))?;
        let mut values = Vec::with_capacity(list.len());
        for (i, json) in list.iter().enumerate() {
            let mut value = T::blank();
            reader.at(i.to_string(), |reader| value.read(json, reader))?;
            values.push(value);
        }
        *self = values;
        Ok(())
    }
    fn blank() -> Self {
        Vec::new()
    }
}

impl<T: Field, const N: usize> Field for [T; N] {
    fn kind(&self) -> Kind<'_> {
        kinds(self)
    }
    fn write(&self) -> Result<Json> {
        write_all(self)
    }
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        let list = json.as_array().filter(|list| list.len() == N);
        let list = list.ok_or_else(|| reader.expected(&format!("a list of {N}"), json))?;
        for (i, (value, json)) in self.iter_mut().zip(list).enumerate() {
            reader.at(i.to_string(), |reader| value.read(json, reader))?;
        }
        Ok(())
    }
    fn blank() -> Self {
        std::array::from_fn(|_| T::blank())
    }
}

impl<A: Field, B: Field> Field for (A, B) {
    fn kind(&self) -> Kind<'_> {
        match (self.0.kind(), self.1.kind()) {
            (Kind::Config, Kind::Config) => Kind::Config,
            (a, b) => Kind::Many(vec![a, b]),
        }
    }
    fn write(&self) -> Result<Json> {
        Ok(Json::Array(vec![self.0.write()?, self.1.write()?]))
    }
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        match json.as_array().map(Vec::as_slice) {
            Some([a, b]) => {
                reader.at("0", |reader| self.0.read(a, reader))?;
                reader.at("1", |reader| self.1.read(b, reader))
            }
            _ => Err(reader.expected("a list of 2", json)),
        }
    }
    fn blank() -> Self {
        (A::blank(), B::blank())
    }
}

/// Lengths along height and width: one number for both, or `[h, w]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair(pub [usize; 2]);

impl From<usize> for Pair {
    fn from(n: usize) -> Self {
        Pair([n, n])
    }
}
impl From<[usize; 2]> for Pair {
    fn from(pair: [usize; 2]) -> Self {
        Pair(pair)
    }
}
impl From<(usize, usize)> for Pair {
    fn from((h, w): (usize, usize)) -> Self {
        Pair([h, w])
    }
}

impl Field for Pair {
    fn kind(&self) -> Kind<'_> {
        Kind::Config
    }
    fn write(&self) -> Result<Json> {
        self.0.write()
    }
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        match json.as_u64().and_then(|n| usize::try_from(n).ok()) {
            Some(n) => self.0 = [n, n],
            None => self.0.read(json, reader)?,
        }
        Ok(())
    }
    fn blank() -> Self {
        Pair([1, 1])
    }
}

/// One axis or several, negative from the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisList(pub Vec<isize>);

impl From<isize> for AxisList {
    fn from(axis: isize) -> Self {
        AxisList(vec![axis])
    }
}
impl<const N: usize> From<[isize; N]> for AxisList {
    fn from(axes: [isize; N]) -> Self {
        AxisList(axes.to_vec())
    }
}

impl Field for AxisList {
    fn kind(&self) -> Kind<'_> {
        Kind::Config
    }
    fn write(&self) -> Result<Json> {
        match self.0.as_slice() {
            [one] => one.write(),
            axes => write_all(axes),
        }
    }
    /// Keras writes a number, a list, or null for none.
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        match json {
            Json::Null => self.0.clear(),
            Json::Array(_) => self.0.read(json, reader)?,
            json => {
                let mut one = 0isize;
                one.read(json, reader)?;
                self.0 = vec![one];
            }
        }
        Ok(())
    }
    fn blank() -> Self {
        AxisList(Vec::new())
    }
}

/// How a window meets the border.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Only where it fits.
    Valid,
    /// `ceil(n / stride)` positions; what is missing is added, the odd one at the end.
    Same,
    /// A string that names no padding; using it is an error.
    Unknown(String),
}

impl From<&str> for Padding {
    fn from(name: &str) -> Self {
        match name {
            "valid" => Padding::Valid,
            "same" => Padding::Same,
            other => Padding::Unknown(other.into()),
        }
    }
}

impl Padding {
    /// Keras' name.
    pub fn name(&self) -> &str {
        match self {
            Padding::Valid => "valid",
            Padding::Same => "same",
            Padding::Unknown(name) => name,
        }
    }
    /// Cells before and after an axis of length `n`, for a window that spans `window` cells and moves by `stride`.
    pub fn cells(&self, n: usize, window: usize, stride: usize) -> Result<(usize, usize)> {
        match self {
            Padding::Valid => Ok((0, 0)),
            Padding::Same => {
                let steps = n.div_ceil(stride.max(1));
                let needed = (steps.max(1) - 1) * stride + window;
                let total = needed.saturating_sub(n);
                Ok((total / 2, total - total / 2))
            }
            Padding::Unknown(name) => Err(Error::unknown_name("padding", name, ["valid", "same"])),
        }
    }
}

impl Field for Padding {
    fn kind(&self) -> Kind<'_> {
        Kind::Config
    }
    fn write(&self) -> Result<Json> {
        Ok(json!(self.name()))
    }
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        let padding = json.as_str().map(Padding::from).ok_or_else(|| reader.expected("a padding", json))?;
        padding.cells(1, 1, 1).map_err(|e| reader.wrap(e))?;
        *self = padding;
        Ok(())
    }
    fn blank() -> Self {
        Padding::Valid
    }
}
