//! The one error type of the engine: what went wrong, where in the model, and at which line of the user's program.

use std::{fmt, panic::Location, sync::Arc};

/// Result with Addax' error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. Match on it through [`Error::kind`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Shapes do not fit each other or the operation.
    Shape(String),
    /// A data type does not fit the operation.
    DType(String),
    /// An argument is out of its range.
    Argument(String),
    /// A name (activation, loss, metric, …) is not known; `near` holds similar known names, best first.
    UnknownName {
        /// What kind of thing was asked for, such as `"activation"`.
        what: &'static str,
        /// The name that was asked for.
        name: String,
        /// Known names that look like it; all known names where none does and there are few.
        near: Vec<String>,
    },
    /// The plan needs more memory than the budget allows.
    OutOfMemory(OutOfMemory),
    /// A device does not exist or refused.
    Device(String),
    /// A device is gone, with everything that lay on it: its driver reset, or it was unplugged. See
    /// [`Device::reopen`](crate::Device::reopen).
    DeviceLost(String),
    /// Data cannot be used: empty, mismatched, out of range.
    Data(String),
    /// A file is truncated, foreign, too large, or of a version that is not known.
    Format(String),
    /// The operating system refused to read or write.
    Io(String),
    /// A placeholder has no value yet and cannot be read.
    Symbolic(String),
    /// A gradient was asked for something that the loss does not depend on.
    Gradient(String),
}

/// Why a plan does not fit: everything a user needs to decide what to change.
#[derive(Clone, Debug, Default)]
pub struct OutOfMemory {
    /// Name of the device.
    pub device: String,
    /// Bytes the plan needs at its peak, state included.
    pub needed: u64,
    /// Bytes the device may use.
    pub budget: u64,
    /// Largest values of the plan: label and bytes.
    pub largest: Vec<(String, u64)>,
    /// Bytes of the smallest plan there is, state included, if smaller ones were looked for.
    pub floor: Option<u64>,
    /// Why the batch could not be computed in slices, if it could not.
    pub obstacle: Option<String>,
    /// Largest batch that would fit, in slices if it must; 0 if not even one sample would. `None` if nobody looked for it.
    pub batch_that_fits: Option<usize>,
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "out of memory on {}: the step needs {}, the budget is {}.",
            self.device,
            bytes_for_people(self.needed),
            bytes_for_people(self.budget)
        )?;
        if !self.largest.is_empty() {
            let list: Vec<_> = self.largest.iter().map(|(n, b)| format!("{n} {}", bytes_for_people(*b))).collect();
            write!(f, " Largest: {}.", list.join(", "))?;
        }
        if let Some(floor) = self.floor.filter(|floor| *floor < self.needed) {
            let how = if self.obstacle.is_none() { "Sample by sample" } else { "At its smallest" };
            write!(f, " {how} it would still need {}.", bytes_for_people(floor))?;
        }
        if let Some(obstacle) = &self.obstacle {
            write!(f, "\nWhy it was not made smaller: {obstacle}.")?;
        }
        match self.batch_that_fits {
            Some(0) => write!(
                f,
                "\nNot even a batch of 1 would fit: make the model smaller, or raise the limit with ADDAX_MEMORY_LIMIT."
            ),
            Some(batch) => write!(f, "\nA batch of {batch} would fit, or raise the limit with ADDAX_MEMORY_LIMIT."),
            None => write!(f, "\nUse a smaller batch or raise the limit with ADDAX_MEMORY_LIMIT."),
        }
    }
}

/// Bytes as people read them: `1.5 GiB`, `12.0 MiB`, `640 B`.
pub fn bytes_for_people(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::Shape(m)
            | ErrorKind::DType(m)
            | ErrorKind::Argument(m)
            | ErrorKind::Device(m)
            | ErrorKind::DeviceLost(m)
            | ErrorKind::Data(m)
            | ErrorKind::Format(m)
            | ErrorKind::Io(m)
            | ErrorKind::Symbolic(m)
            | ErrorKind::Gradient(m) => f.write_str(m),
            ErrorKind::UnknownName { what, name, near } => {
                write!(f, "unknown {what} \"{name}\"")?;
                match near.as_slice() {
                    [] => Ok(()),
                    near => write!(
                        f,
                        "; did you mean {}?",
                        near.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(" or ")
                    ),
                }
            }
            ErrorKind::OutOfMemory(report) => report.fmt(f),
        }
    }
}

/// An error of Addax: a kind, what it is about, the path of layers it passed through, the caller's line, and its cause.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    context: Vec<String>,
    path: Vec<String>,
    origin: Option<&'static Location<'static>>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A new error of this kind, without a location.
    pub fn new(kind: ErrorKind) -> Self {
        Error(Box::new(Inner { kind, context: Vec::new(), path: Vec::new(), origin: None, source: None }))
    }
    /// Shapes do not fit.
    pub fn shape(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Shape(message.into()))
    }
    /// A data type does not fit.
    pub fn dtype(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::DType(message.into()))
    }
    /// An argument is out of range.
    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Argument(message.into()))
    }
    /// A device does not exist or refused.
    pub fn device(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Device(message.into()))
    }
    /// A device is gone, with everything that lay on it.
    pub fn device_lost(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::DeviceLost(message.into()))
    }
    /// Data cannot be used.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data(message.into()))
    }
    /// A file cannot be understood.
    pub fn format(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Format(message.into()))
    }
    /// The operating system refused; `what` says what was tried, such as `writing model.safetensors`.
    pub fn io(what: impl fmt::Display, source: std::io::Error) -> Self {
        Self::new(ErrorKind::Io(format!("{what}: {source}"))).caused_by(source)
    }
    /// A name is not known; similar names among `known` are suggested, or all of them if there are no more than three.
    pub fn unknown_name<'a>(
        what: &'static str,
        name: impl Into<String>,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let name = name.into();
        let known: Vec<&str> = known.into_iter().collect();
        let mut near = near_names(&name, known.iter().copied());
        if near.is_empty() && known.len() <= MOST_NEAR {
            near = known.into_iter().map(String::from).collect();
        }
        Self::new(ErrorKind::UnknownName { what, name, near })
    }
    /// Adds the largest batch that would have fit, where memory was refused: see [`OutOfMemory::batch_that_fits`].
    pub fn with_batch_that_fits(mut self, batch: usize) -> Self {
        if let ErrorKind::OutOfMemory(report) = &mut self.0.kind {
            report.batch_that_fits = Some(batch);
        }
        self
    }
    /// Adds the cause.
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }
    /// Adds what it is about in front of everything, such as the file that was read. What went wrong stays what it was.
    ///
    /// ```
    /// let error = addax_tensor::Error::shape("expected 2 axes").inside("dense").context("weights.safetensors");
    /// assert_eq!(error.to_string(), "weights.safetensors: layer \"dense\": expected 2 axes");
    /// assert!(matches!(error.kind(), addax_tensor::ErrorKind::Shape(_)));
    /// ```
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.0.context.insert(0, what.to_string());
        self
    }
    /// Adds the caller's line, unless one is known already.
    pub fn at(mut self, origin: &'static Location<'static>) -> Self {
        self.0.origin.get_or_insert(origin);
        self
    }
    /// Adds the name of an enclosing layer in front of the path: `inside "encoder"`, then `inside "model"`.
    pub fn inside(mut self, layer: impl Into<String>) -> Self {
        self.0.path.insert(0, layer.into());
        self
    }
    /// What went wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }
    /// Names of the layers around it, outermost first.
    pub fn path(&self) -> &[String] {
        &self.0.path
    }
    /// The line of the user's program that recorded the operation.
    pub fn origin(&self) -> Option<&'static Location<'static>> {
        self.0.origin
    }
    /// Whether training ran out of memory; see [`OutOfMemory`].
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self.0.kind, ErrorKind::OutOfMemory(_))
    }
    /// Whether a device is gone with everything that lay on it; see [`Device::reopen`](crate::Device::reopen).
    pub fn is_device_lost(&self) -> bool {
        matches!(self.0.kind, ErrorKind::DeviceLost(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for what in &self.0.context {
            write!(f, "{what}: ")?;
        }
        if !self.0.path.is_empty() {
            write!(f, "layer \"{}\": ", self.0.path.join("/"))?;
        }
        write!(f, "{}", self.0.kind)?;
        match self.0.origin {
            Some(at) => write!(f, " (at {}:{})", at.file(), at.line()),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|s| &**s as _)
    }
}

/// So many names are suggested at most.
const MOST_NEAR: usize = 3;

/// Known names that look like `name`, best first, at most three.
pub fn near_names<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let plain = |s: &str| s.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
    let wanted = plain(name);
    let limit = (wanted.chars().count() / 3).max(2);
    let mut scored: Vec<(usize, &str)> = known
        .into_iter()
        .map(|k| (edit_distance(&wanted, &plain(k)), k))
        .filter(|(d, k)| *d <= limit || (wanted.len() > 2 && plain(k).starts_with(&wanted)))
        .collect();
    scored.sort();
    scored.into_iter().take(MOST_NEAR).map(|(_, k)| k.to_string()).collect()
}

fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let next = (diagonal + usize::from(ca != *cb)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = row[j + 1];
            row[j + 1] = next;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_find_typing_slips() {
        let known = ["relu", "relu6", "sigmoid", "softmax", "softplus", "tanh"];
        assert_eq!(near_names("rleu", known)[0], "relu");
        assert_eq!(near_names("Soft_Max", known)[0], "softmax");
        assert!(near_names("quantum", known).is_empty());
        let text = |known: &[&'static str]| Error::unknown_name("axis", "quantum", known.iter().copied()).to_string();
        assert_eq!(text(&known), "unknown axis \"quantum\"");
        assert_eq!(text(&["up", "down"]), "unknown axis \"quantum\"; did you mean \"up\" or \"down\"?");
    }

    #[test]
    fn an_error_tells_layer_message_and_line() {
        let line = line!() + 1;
        let error = Error::shape("expected 3 axes").at(Location::caller()).inside("dense").inside("model");
        assert_eq!(error.to_string(), format!("layer \"model/dense\": expected 3 axes (at {}:{line})", file!()));
    }

    #[test]
    fn bytes_read_well() {
        assert_eq!(bytes_for_people(640), "640 B");
        assert_eq!(bytes_for_people(3 << 30), "3.0 GiB");
    }
}
