//! Command lines of the examples: `--name value` and `--flag`.

use addax::{Error, Result};

/// What stands on the command line.
pub struct Arguments(Vec<(String, Option<String>)>);

impl Arguments {
    /// Reads the command line against its usage, such as `digits [--device cpu|gpu] [--full]`: a name that the usage does not
    /// hold is an error that shows it, and `--help` prints it and ends the program. From here on a reader that goes away, as
    /// `head` does, ends the program too.
    pub fn parse(usage: &str) -> Result<Arguments> {
        end_with_the_reader()?;
        let words: Vec<String> = std::env::args().skip(1).collect();
        if words.iter().any(|word| word == "--help") {
            println!("usage: {usage}");
            std::process::exit(0);
        }
        Self::from(words.into_iter(), usage)
    }
    fn from(words: impl Iterator<Item = String>, usage: &str) -> Result<Arguments> {
        let mut list = Vec::new();
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            let wrong = |what: String| Error::argument(format!("{what}\nusage: {usage}"));
            let name = word.strip_prefix("--").ok_or_else(|| wrong(format!("unexpected \"{word}\"")))?.to_string();
            let takes_value = usage.contains(&format!("--{name} "));
            if !takes_value && !usage.contains(&format!("--{name}]")) {
                return Err(wrong(format!("unknown option --{name}")));
            }
            let value = match takes_value {
                true => Some(words.next().ok_or_else(|| wrong(format!("--{name} needs a value")))?),
                false => None,
            };
            list.push((name, value));
        }
        Ok(Arguments(list))
    }
    /// The value of `--name`.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name)?.1.as_deref()
    }
    /// The value of `--name` as a whole number.
    pub fn number(&self, name: &str) -> Result<Option<usize>> {
        let number = |text: &str| {
            text.parse().map_err(|_| Error::argument(format!("--{name} is \"{text}\"; expected a whole number")))
        };
        self.value(name).map(number).transpose()
    }
    /// Whether `--name` is there.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n == name)
    }
}

/// Rust's programs ignore the signal that says so, and fail with a panic at their next line instead.
#[cfg(unix)]
fn end_with_the_reader() -> Result<()> {
    let always = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    signal_hook::flag::register_conditional_default(signal_hook::consts::SIGPIPE, always)
        .map_err(|e| Error::io("listening for a closed pipe", e))?;
    Ok(())
}
#[cfg(not(unix))]
fn end_with_the_reader() -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Arguments> {
        Arguments::from(text.split_whitespace().map(String::from), "x [--epochs N] [--full]")
    }

    #[test]
    fn options_are_read_and_checked_against_the_usage() {
        let arguments = parse("--epochs 3 --full").unwrap();
        assert_eq!(arguments.number("epochs").unwrap(), Some(3));
        assert!(arguments.has("full"));
        let message = |text| parse(text).err().unwrap().to_string();
        assert!(message("--epoch 3").starts_with("unknown option --epoch\nusage: x"));
        assert!(message("--epochs").starts_with("--epochs needs a value"));
        assert!(parse("--epochs three").unwrap().number("epochs").is_err());
    }
}
