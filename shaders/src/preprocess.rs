//! The preprocessor: a few line directives over plain WGSL.
//!
//! | directive | meaning |
//! | --- | --- |
//! | `#import NAME` | paste the snippet `NAME`, once per shader |
//! | `#define NAME VALUE` | from here on, replace the word `NAME` by `VALUE` |
//! | `#ifdef NAME`, `#ifndef NAME`, `#else`, `#endif` | keep lines if `NAME` is (not) defined; they nest |
//! | `#NAME` | paste the text given for the slot `NAME` (the executor's generated code) |
//!
//! Words are replaced outside comments only. Text for a slot may use directives too.
//!
//! ```
//! use addax_shaders::preprocess::Preprocessor;
//! let text = Preprocessor::new(|name| (name == "two").then_some("const TWO = 2u;"))
//!     .define("SIZE", "64u")
//!     .process("demo", "#import two\n#ifdef SIZE\nconst N = SIZE * TWO;\n#endif\n")?;
//! assert_eq!(text, "const TWO = 2u;\nconst N = 64u * TWO;\n");
//! # Ok::<(), addax_shaders::Error>(())
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What is wrong with a shader text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Kernel or snippet, as named in `#import`.
    pub file: String,
    /// Line of that file, from 1; 0 if the fault is no single line's.
    pub line: usize,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.file, self.message)
        } else {
            write!(f, "{}:{}: {}", self.file, self.line, self.message)
        }
    }
}

impl std::error::Error for Error {}

/// Turns a kernel with directives into plain WGSL.
pub struct Preprocessor<'a> {
    find: fn(&str) -> Option<&'static str>,
    defines: BTreeMap<String, String>,
    slots: BTreeMap<&'a str, &'a str>,
    imported: BTreeSet<String>,
    /// Names of the files being read, outermost first.
    open: Vec<String>,
    out: String,
}

/// An open `#ifdef`: where it stands, and whether its current branch is kept.
struct Branch {
    line: usize,
    keep: bool,
    seen_else: bool,
}

impl<'a> Preprocessor<'a> {
    /// A preprocessor that finds snippets by asking `find`.
    pub fn new(find: fn(&str) -> Option<&'static str>) -> Self {
        Self {
            find,
            defines: BTreeMap::new(),
            slots: BTreeMap::new(),
            imported: BTreeSet::new(),
            open: Vec::new(),
            out: String::new(),
        }
    }

    /// Defines a word, as `#define` does.
    #[must_use]
    pub fn define(mut self, name: &str, value: impl Into<String>) -> Self {
        self.defines.insert(name.to_owned(), value.into());
        self
    }

    /// Gives the text for the slot `#name`. A slot without text is an error where it stands.
    #[must_use]
    pub fn slot(mut self, name: &'a str, text: &'a str) -> Self {
        self.slots.insert(name, text);
        self
    }

    /// The plain WGSL of `text`, which errors call `file`.
    ///
    /// # Errors
    /// Unknown directives, snippets and slots, snippets that import themselves, words defined twice with different
    /// values, and `#ifdef` without `#endif` or the reverse.
    pub fn process(mut self, file: &str, text: &str) -> Result<String, Error> {
        self.file(file, text)?;
        Ok(self.out)
    }

    fn file(&mut self, file: &str, text: &str) -> Result<(), Error> {
        self.open.push(file.to_owned());
        let mut branches: Vec<Branch> = Vec::new();
        for (i, line) in text.lines().enumerate() {
            let number = i + 1;
            let fail = |message: String| Error { file: file.to_owned(), line: number, message };
            let keep = branches.iter().all(|b| b.keep);
            let Some(directive) = line.trim_start().strip_prefix('#') else {
                if keep {
                    self.line(line);
                }
                continue;
            };
            let (word, rest) = match directive.trim().split_once(char::is_whitespace) {
                Some((word, rest)) => (word, rest.trim()),
                None => (directive.trim(), ""),
            };
            let wants_name = matches!(word, "import" | "define" | "ifdef" | "ifndef");
            if wants_name && rest.is_empty() {
                return Err(fail(format!("`#{word}` needs a name after it")));
            }
            match word {
                "ifdef" | "ifndef" => {
                    let keep = self.defines.contains_key(rest) == (word == "ifdef");
                    branches.push(Branch { line: number, keep, seen_else: false });
                }
                "else" => match branches.last_mut() {
                    Some(branch) if !branch.seen_else => {
                        branch.keep = !branch.keep;
                        branch.seen_else = true;
                    }
                    Some(branch) => return Err(fail(format!("a second `#else` for line {}", branch.line))),
                    None => return Err(fail("`#else` without `#ifdef`".to_owned())),
                },
                "endif" => {
                    if branches.pop().is_none() {
                        return Err(fail("`#endif` without `#ifdef`".to_owned()));
                    }
                }
                _ if !keep => {}
                "import" => self.import(rest).map_err(|e| e.unwrap_or_else(fail))?,
                "define" => self.add_define(rest).map_err(fail)?,
                slot => match self.slots.get(slot).copied() {
                    Some(_) if self.open.iter().any(|open| open == slot) => {
                        return Err(fail(format!("the text for `#{slot}` asks for itself")));
                    }
                    Some(text) => self.file(slot, text)?,
                    None => {
                        let known: Vec<&str> = self.slots.keys().copied().collect();
                        return Err(fail(format!(
                            "unknown directive or slot without text: `#{slot}` (slots given: {})",
                            if known.is_empty() { "none".to_owned() } else { known.join(", ") }
                        )));
                    }
                },
            }
        }
        self.open.pop();
        match branches.last() {
            Some(branch) => {
                Err(Error { file: file.to_owned(), line: branch.line, message: "`#endif` is missing".to_owned() })
            }
            None => Ok(()),
        }
    }

    /// Pastes a snippet; an error of the snippet's own is returned as it is, one of this line as its message.
    fn import(&mut self, name: &str) -> Result<(), Fault> {
        if self.open.iter().any(|open| open == name) {
            return Err(Fault::Here(format!("`{name}` imports itself: {} -> {name}", self.open.join(" -> "))));
        }
        if !self.imported.insert(name.to_owned()) {
            return Ok(());
        }
        match (self.find)(name) {
            Some(text) => self.file(name, text).map_err(Fault::Inside),
            None => Err(Fault::Here(format!("no snippet named `{name}` in shaders/shared"))),
        }
    }

    fn add_define(&mut self, rest: &str) -> Result<(), String> {
        let (name, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let value = self.replaced(value.trim());
        match self.defines.get(name) {
            Some(old) if *old != value => Err(format!("`{name}` is already defined as `{old}`, not `{value}`")),
            Some(_) => Ok(()),
            None => {
                self.defines.insert(name.to_owned(), value);
                Ok(())
            }
        }
    }

    fn line(&mut self, line: &str) {
        let line = self.replaced(line);
        self.out.push_str(&line);
        self.out.push('\n');
    }

    /// `line` with its defined words replaced, up to a `//` comment.
    fn replaced(&self, line: &str) -> String {
        let code = line.find("//").unwrap_or(line.len());
        let (code, comment) = line.split_at(code);
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let mut out = String::with_capacity(line.len());
        let mut rest = code;
        while let Some(first) = rest.chars().next() {
            let end = rest.find(|c| is_word(c) != is_word(first)).unwrap_or(rest.len());
            let (piece, tail) = rest.split_at(end);
            match self.defines.get(piece) {
                Some(value) => out.push_str(value),
                None => out.push_str(piece),
            }
            rest = tail;
        }
        out.push_str(comment);
        out
    }
}

/// Where an import failed.
enum Fault {
    Here(String),
    Inside(Error),
}

impl Fault {
    fn unwrap_or_else(self, here: impl FnOnce(String) -> Error) -> Error {
        match self {
            Fault::Here(message) => here(message),
            Fault::Inside(error) => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn snippets(name: &str) -> Option<&'static str> {
        match name {
            "a" => Some("#import b\nfn a() {}\n"),
            "b" => Some("fn b() {}\n"),
            "loop" => Some("#import pool\n"),
            "pool" => Some("\n#import loop\n"),
            "broken" => Some("ok\n#ifdef X\n"),
            _ => None,
        }
    }

    fn run(text: &str) -> Result<String, Error> {
        Preprocessor::new(snippets).define("N", "8u").slot("holes", "hole(N)\nend").process("main", text)
    }

    #[test]
    fn imports_once_and_in_order() {
        assert_eq!(run("#import a\n#import b\n#import a\nmain").unwrap(), "fn b() {}\nfn a() {}\nmain\n");
    }

    #[test]
    fn branches_nest_and_hide_directives() {
        let text = "#ifdef N\n1\n#ifndef N\n2\n#import nothing\n#else\n3\n#endif\n#else\n4\n#endif\n5";
        assert_eq!(run(text).unwrap(), "1\n3\n5\n");
    }

    #[test]
    fn words_are_replaced_whole_and_outside_comments() {
        assert_eq!(run("#define M N * 2u\nlet Nx = N+M; // N").unwrap(), "let Nx = 8u+8u * 2u; // N\n");
    }

    #[test]
    fn slots_are_pasted() {
        assert_eq!(run("  #holes").unwrap(), "hole(8u)\nend\n");
        let nested = Preprocessor::new(snippets).slot("holes", "#import b\n#holes").process("main", "#holes");
        assert_eq!(nested.unwrap_err().to_string(), "holes:2: the text for `#holes` asks for itself");
    }

    #[test]
    fn faults_name_file_and_line() {
        let fault = |text: &str| run(text).unwrap_err().to_string();
        assert_eq!(fault("\n#import c"), "main:2: no snippet named `c` in shaders/shared");
        assert_eq!(fault("#import loop"), "pool:2: `loop` imports itself: main -> loop -> pool -> loop");
        assert_eq!(fault("#import broken"), "broken:2: `#endif` is missing");
        assert_eq!(fault("x\n#else"), "main:2: `#else` without `#ifdef`");
        assert_eq!(fault("#endif"), "main:1: `#endif` without `#ifdef`");
        assert_eq!(fault("#ifdef N\n#else\n#else\n#endif"), "main:3: a second `#else` for line 1");
        assert_eq!(fault("#define N 9u"), "main:1: `N` is already defined as `8u`, not `9u`");
        assert_eq!(fault("#import"), "main:1: `#import` needs a name after it");
        assert!(fault("#pragma once").starts_with("main:1: unknown directive or slot without text: `#pragma`"));
    }

    proptest! {
        /// Text without directives and defined words passes unchanged.
        #[test]
        fn plain_text_is_kept(lines in proptest::collection::vec("[a-z(){};+/ é]{0,30}", 0..8)) {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            prop_assert_eq!(run(&text).unwrap(), text);
        }
    }
}
