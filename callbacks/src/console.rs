//! Where text for people goes: one place, so that messages and the progress bar do not tear each other.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

/// Whole lines, and at most one live line under them that is drawn over and over. A clone is the same console.
///
/// A line printed while a live line stands goes above it. What cannot be written is dropped: a closed terminal does
/// not end training.
#[derive(Clone)]
pub struct Console {
    screen: Arc<Mutex<Screen>>,
    interactive: bool,
    coloured: bool,
}

struct Screen {
    out: Box<dyn Write + Send>,
    live: String,
}

/// Back to the start of the line, which is emptied.
const CLEAR: &str = "\r\x1b[2K";
/// A live line that is wider than the terminal is cut rather than wrapped: a wrapped line cannot be drawn over.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

impl Console {
    /// The process' standard output. Live lines and colours are used if it is a terminal; the environment's `NO_COLOR`
    /// turns colours off.
    pub fn stdout() -> Self {
        static STDOUT: OnceLock<Console> = OnceLock::new();
        STDOUT
            .get_or_init(|| {
                let interactive = io::stdout().is_terminal();
                let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
                Console { coloured: interactive && !plain, ..Console::new(io::stdout(), interactive) }
            })
            .clone()
    }
    /// The process' standard error, without colours and live lines: what must be seen where nothing else is shown.
    pub fn stderr() -> Self {
        static STDERR: OnceLock<Console> = OnceLock::new();
        STDERR.get_or_init(|| Console::new(io::stderr(), false)).clone()
    }
    /// Any writer. `interactive` says that it understands a terminal's control sequences.
    pub fn new(out: impl Write + Send + 'static, interactive: bool) -> Self {
        let screen = Screen { out: Box::new(out), live: String::new() };
        Console { screen: Arc::new(Mutex::new(screen)), interactive, coloured: interactive }
    }
    /// Nowhere: everything is dropped.
    pub fn silent() -> Self {
        Self::new(io::sink(), false)
    }
    /// Whether a live line can be shown.
    pub fn interactive(&self) -> bool {
        self.interactive
    }
    /// Whether colours can be shown.
    pub fn coloured(&self) -> bool {
        self.coloured
    }
    /// Prints a line.
    pub fn line(&self, text: &str) {
        self.screen().show(|live| match live {
            "" => format!("{text}\n"),
            live => format!("{CLEAR}{text}\n{NO_WRAP}{live}{WRAP}"),
        });
    }
    /// Draws the live line, in place of the one before. Does nothing if the console is not interactive.
    pub fn live(&self, text: &str) {
        if self.interactive {
            let mut screen = self.screen();
            screen.live = text.into();
            screen.show(|live| format!("{CLEAR}{NO_WRAP}{live}{WRAP}"));
        }
    }
    /// Ends the live line, which stays to be read. Does nothing if there is none.
    pub fn end_live(&self) {
        let mut screen = self.screen();
        if !screen.live.is_empty() {
            screen.show(|live| format!("{CLEAR}{live}\n"));
            screen.live.clear();
        }
    }
    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Screen {
    fn show(&mut self, text: impl FnOnce(&str) -> String) {
        let text = text(&self.live);
        // Nobody is left to tell if the terminal is gone.
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console").field("interactive", &self.interactive).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A writer whose text can be read back.
    #[derive(Clone, Default)]
    pub(crate) struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Paper {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
        /// What a terminal would show: `\r` and the clearing of a line obeyed, other sequences dropped.
        pub(crate) fn screen(&self) -> Vec<String> {
            let text = self.text().replace(NO_WRAP, "").replace(WRAP, "");
            let mut lines: Vec<String> = text
                .split('\n')
                .map(|line| line.rsplit(CLEAR).next().unwrap_or_default().to_string())
                .map(|line| {
                    let mut parts = line.split('\x1b');
                    let first = parts.next().unwrap_or_default().to_string();
                    parts.fold(first, |all, part| all + part.split_once('m').map_or("", |(_, rest)| rest))
                })
                .collect();
            if lines.last().is_some_and(String::is_empty) {
                lines.pop();
            }
            lines
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_goes_above_the_live_line() {
        let paper = Paper::default();
        let console = Console::new(paper.clone(), true);
        console.live("1/3");
        console.live("2/3");
        console.line("saved");
        assert_eq!(paper.screen(), ["saved", "2/3"]);
        console.live("3/3");
        console.end_live();
        console.line("done");
        assert_eq!(paper.screen(), ["saved", "3/3", "done"]);
    }

    #[test]
    fn a_pipe_gets_whole_lines_without_control_sequences() {
        let paper = Paper::default();
        let console = Console::new(paper.clone(), false);
        console.live("1/3");
        console.line("saved");
        console.end_live();
        assert_eq!(paper.text(), "saved\n");
    }

    #[test]
    fn a_closed_writer_is_no_error() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        Console::new(Closed, true).line("unheard");
    }
}
