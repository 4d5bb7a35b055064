//! How windows of convolutions and pools lie on an image.

use crate::{
    config::Reader,
    fields::{Field, Kind},
};
use addax_tensor::{Error, Result, Tensor};
use serde_json::{Value as Json, json};

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

/// Where an image has its channels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DataFormat {
    /// `[n, h, w, c]`, the default and what everything is computed in.
    #[default]
    ChannelsLast,
    /// `[n, c, h, w]`, turned on the way in and out.
    ChannelsFirst,
    /// A string that names no format; using it is an error.
    Unknown(String),
}

impl From<&str> for DataFormat {
    fn from(name: &str) -> Self {
        match name {
            "channels_last" => DataFormat::ChannelsLast,
            "channels_first" => DataFormat::ChannelsFirst,
            other => DataFormat::Unknown(other.into()),
        }
    }
}

impl DataFormat {
    fn check(&self) -> Result<()> {
        match self {
            DataFormat::Unknown(name) => {
                Err(Error::unknown_name("data format", name, ["channels_last", "channels_first"]))
            }
            _ => Ok(()),
        }
    }
    /// `x` with its channels last.
    pub fn to_last(&self, x: &Tensor) -> Result<Tensor> {
        self.check()?;
        let rank = x.rank()? as isize;
        match self {
            DataFormat::ChannelsFirst if rank > 2 => {
                Ok(x.permute([0].into_iter().chain(2..rank).chain([1]).collect::<Vec<_>>()))
            }
            _ => Ok(x.clone()),
        }
    }
    /// The way back from [`to_last`](DataFormat::to_last).
    pub fn from_last(&self, y: &Tensor) -> Result<Tensor> {
        let rank = y.rank()? as isize;
        match self {
            DataFormat::ChannelsFirst if rank > 2 => {
                Ok(y.permute([0, rank - 1].into_iter().chain(1..rank - 1).collect::<Vec<_>>()))
            }
            _ => Ok(y.clone()),
        }
    }
}

impl Field for DataFormat {
    fn kind(&self) -> Kind<'_> {
        Kind::Config
    }
    fn write(&self) -> Result<Json> {
        self.check()?;
        Ok(json!(if *self == DataFormat::ChannelsFirst { "channels_first" } else { "channels_last" }))
    }
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        *self = match json {
            Json::Null => DataFormat::ChannelsLast,
            Json::String(name) => DataFormat::from(name.as_str()),
            other => return Err(reader.expected("a data format", other)),
        };
        self.check().map_err(|e| reader.wrap(e))
    }
    fn blank() -> Self {
        DataFormat::ChannelsLast
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
