//! Paths with fields in braces, in Python's notation: `best-{epoch:02d}-{val_loss:.2f}.keras`.

use crate::{Logs, text};
use addax_tensor::{Error, Result};

/// A parsed template.
#[derive(Debug, PartialEq)]
pub(crate) struct PathTemplate(Vec<Piece>);

#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    Field { name: String, format: Format },
}

/// Python's format of a number: `[0][width][.precision][type]`.
#[derive(Debug, Default, PartialEq)]
struct Format {
    zeros: bool,
    width: usize,
    precision: Option<usize>,
    kind: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Integer,
    Fixed,
    Exponent,
}

/// Wider fields than any number needs are slips, and would make paths that no file system takes.
const WIDEST: usize = 64;

impl PathTemplate {
    /// Parses; `{{` and `}}` are braces. Fails with what is wrong and where.
    pub fn parse(template: &str) -> Result<Self> {
        let wrong = |what: &str| Error::argument(format!("path template \"{template}\": {what}"));
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = template;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            literal += before;
            if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                literal += &from[..1];
                rest = after;
                continue;
            }
            let field = from.strip_prefix('{').ok_or_else(|| wrong("`}` without `{`; write `}}` for a brace"))?;
            let (field, after) = field.split_once('}').ok_or_else(|| wrong("`{` without `}`"))?;
            let (name, format) = field.split_once(':').unwrap_or((field, ""));
            if name.is_empty() {
                return Err(wrong("a field needs a name, such as `{epoch}`"));
            }
            let format = Format::parse(format).ok_or_else(|| {
                wrong(&format!("`{{{field}}}` has an unknown format; use one such as `:02d`, `:.2f` or `:.3e`"))
            })?;
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Field { name: name.into(), format });
            rest = after;
        }
        literal += rest;
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(PathTemplate(pieces))
    }
    /// The path for an epoch and batch, both from 1, and logs. Waits for the logs that it names; fails on other names.
    pub fn path(&self, epoch: usize, batch: Option<usize>, logs: &Logs) -> Result<String> {
        let mut path = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => path += text,
                Piece::Field { name, format } => {
                    let text = match (name.as_str(), batch) {
                        ("epoch", _) => format.integer(epoch),
                        ("batch", Some(batch)) => format.integer(batch),
                        _ => format.float(name, get(name, logs)?)?,
                    };
                    path += &text;
                }
            }
        }
        Ok(path)
    }
}

fn get(name: &str, logs: &Logs) -> Result<f64> {
    match logs.value(name) {
        Some(value) => value.get(),
        None if name == "batch" => Err(Error::argument("{batch} in a path needs save_freq in batches")),
        None => Err(Error::argument(format!("no log for {{{name}}} in the path{}", logs.suggestion(name)))),
    }
}

impl Format {
    fn parse(text: &str) -> Option<Self> {
        let (text, kind) = match text.char_indices().next_back() {
            Some((at, 'd')) => (&text[..at], Some(Kind::Integer)),
            Some((at, 'f')) => (&text[..at], Some(Kind::Fixed)),
            Some((at, 'e')) => (&text[..at], Some(Kind::Exponent)),
            _ => (text, None),
        };
        let (width, precision) = match text.split_once('.') {
            Some((width, precision)) => (width, Some(number(precision)?)),
            None => (text, None),
        };
        let zeros = width.starts_with('0');
        let width = if width.is_empty() { 0 } else { number(width)? };
        // Python's format without a type but with a precision means significant digits, which is easy to misread.
        let clear = matches!((precision, kind), (None, _) | (Some(_), Some(Kind::Fixed | Kind::Exponent)));
        clear.then_some(Format { zeros, width, precision, kind })
    }
    fn integer(&self, value: usize) -> String {
        match self.kind {
            None | Some(Kind::Integer) => self.pad(value.to_string()),
            Some(Kind::Fixed) => self.pad(text::fixed(value as f64, self.precision.unwrap_or(6))),
            Some(Kind::Exponent) => self.pad(text::exponent(value as f64, self.precision.unwrap_or(6))),
        }
    }
    fn float(&self, name: &str, value: f64) -> Result<String> {
        Ok(match self.kind {
            None => self.pad(text::shortest(value)),
            Some(Kind::Fixed) => self.pad(text::fixed(value, self.precision.unwrap_or(6))),
            Some(Kind::Exponent) => self.pad(text::exponent(value, self.precision.unwrap_or(6))),
            Some(Kind::Integer) => {
                let text = format!("{{{name}}} in a path is no whole number; use a format such as `{{{name}:.2f}}`");
                return Err(Error::argument(text));
            }
        })
    }
    fn pad(&self, text: String) -> String {
        let width = self.width;
        match text.strip_prefix('-') {
            Some(digits) if self.zeros => format!("-{digits:0>0$}", width.saturating_sub(1)),
            None if self.zeros => format!("{text:0>width$}"),
            _ => format!("{text:>width$}"),
        }
    }
}

fn number(digits: &str) -> Option<usize> {
    let all_digits = digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|n| all_digits && *n <= WIDEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs;
    use proptest::prelude::*;

    fn path(template: &str) -> Result<String> {
        let logs = logs! { "val_loss" => 0.123456, "loss" => -2.5, "tiny" => 1.5e-7 };
        PathTemplate::parse(template)?.path(7, Some(12), &logs)
    }

    #[test]
    fn fields_are_formatted_as_in_python() {
        for (template, expected) in [
            ("plain.keras", "plain.keras"),
            ("{epoch}", "7"),
            ("{epoch:02d}-{val_loss:.2f}.keras", "07-0.12.keras"),
            ("{epoch:3d}|{epoch:.1f}", "  7|7.0"),
            ("b{batch:04d}", "b0012"),
            ("{loss:08.3f}|{loss:8.3f}", "-002.500|  -2.500"),
            ("{tiny:.1e}", "1.5e-07"),
            ("{val_loss}", "0.123456"),
            ("{{{epoch}}}", "{7}"),
            ("é{epoch}ü", "é7ü"),
        ] {
            assert_eq!(path(template).unwrap(), expected, "{template}");
        }
    }

    #[test]
    fn slips_are_explained() {
        for (template, expected) in [
            ("{epoch", "path template \"{epoch\": `{` without `}`"),
            ("a}b", "path template \"a}b\": `}` without `{`; write `}}` for a brace"),
            ("{}", "path template \"{}\": a field needs a name, such as `{epoch}`"),
            ("{loss:.2}", "`{loss:.2}` has an unknown format"),
            ("{loss:x}", "`{loss:x}` has an unknown format"),
            ("{loss:+3d}", "`{loss:+3d}` has an unknown format"),
            ("{loss:99999999f}", "has an unknown format"),
            ("{loss:d}", "{loss} in a path is no whole number; use a format such as `{loss:.2f}`"),
            ("{val_los}", "no log for {val_los} in the path; did you mean \"val_loss\"?"),
        ] {
            let error = path(template).unwrap_err().to_string();
            assert!(error.contains(expected), "{template}: {error}");
        }
        let error = PathTemplate::parse("{batch}").unwrap().path(1, None, &logs! {}).unwrap_err().to_string();
        assert_eq!(error, "{batch} in a path needs save_freq in batches");
    }

    proptest! {
        /// Text whose braces are doubled comes out as it was.
        #[test]
        fn escaped_text_comes_back(text in "[a-z{}é/.]{0,20}") {
            let template = text.replace('{', "{{").replace('}', "}}");
            prop_assert_eq!(path(&template).unwrap(), text);
        }
        /// No text makes the parser fail other than by an error.
        #[test]
        fn any_text_is_parsed_or_refused(text in "[{}:.0-9defoé]{0,24}") {
            let _ = path(&text);
        }
    }
}
