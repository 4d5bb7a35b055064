//! Numbers as people read them, in the forms that Keras and Python print.

use std::time::Duration;

/// A metric as the progress bar shows it: four decimals, or an exponent for the smallest.
pub(crate) fn metric(x: f64) -> String {
    if x.abs() > 1e-3 || x.is_nan() { fixed(x, 4) } else { exponent(x, 4) }
}

/// Python's `f` format: `0.50`, `nan`, `-inf`.
pub(crate) fn fixed(x: f64, precision: usize) -> String {
    format!("{x:.precision$}").replace("NaN", "nan")
}

/// Python's `e` format: `1.50e-04`.
pub(crate) fn exponent(x: f64, precision: usize) -> String {
    python_exponent(format!("{x:.precision$e}"))
}

/// The shortest text that reads back as the same number, as Python writes it: `0.1`, `1.0`, `1e-07`.
pub(crate) fn shortest(x: f64) -> String {
    python_exponent(format!("{x:?}"))
}

/// Python's exponents have a sign and at least two digits, and its NaN is in small letters.
fn python_exponent(text: String) -> String {
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = match exponent.strip_prefix('-') {
                Some(digits) => ('-', digits),
                None => ('+', exponent),
            };
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        None => text.replace("NaN", "nan"),
    }
}

/// Time left: `12s`, `1:05`, `2:00:09`.
pub(crate) fn time_left(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, rest) = (seconds / 3600, seconds % 3600 / 60, seconds % 60);
    match seconds {
        3600.. => format!("{hours}:{minutes:02}:{rest:02}"),
        60.. => format!("{minutes}:{rest:02}"),
        _ => format!("{seconds}s"),
    }
}

/// Time of one step: `2s/step`, `15ms/step`, `80us/step`.
pub(crate) fn per_step(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds >= 1.0 || seconds == 0.0 {
        format!("{seconds:.0}s/step")
    } else if seconds >= 1e-3 {
        format!("{:.0}ms/step", seconds * 1e3)
    } else {
        format!("{:.0}us/step", seconds * 1e6)
    }
}

/// A field of a table: quoted if it holds the separator, a quote or a line break.
pub(crate) fn csv_field(text: &str, separator: &str) -> String {
    let special = text.contains(['"', '\n', '\r']) || (!separator.is_empty() && text.contains(separator));
    if special { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_look_as_in_keras() {
        let fixture: serde_json::Value = serde_json::from_str(include_str!("../tests/fixtures/numbers.json")).unwrap();
        let rows = |name: &str| -> Vec<(f64, String)> {
            let rows = fixture[name].as_array().unwrap().iter();
            let rows = rows.map(|row| (row[0].as_f64().unwrap(), row[1].as_str().unwrap().to_string()));
            rows.collect()
        };
        for (value, text) in rows("metrics") {
            assert_eq!(metric(value), text);
        }
        for (seconds, text) in rows("left") {
            assert_eq!(time_left(Duration::from_secs_f64(seconds)), text);
        }
        for (micros, text) in rows("steps") {
            assert_eq!(per_step(Duration::from_secs_f64(micros / 1e6)), text);
        }
    }

    #[test]
    fn what_is_no_number_has_a_text_too() {
        assert_eq!((metric(f64::NAN), metric(f64::NEG_INFINITY)), ("nan".into(), "-inf".into()));
        assert_eq!((exponent(f64::NAN, 2), exponent(f64::INFINITY, 2)), ("nan".into(), "inf".into()));
        assert_eq!((shortest(1.0), shortest(-1e-7), shortest(f64::NAN)), ("1.0".into(), "-1e-07".into(), "nan".into()));
    }

    #[test]
    fn fields_are_quoted_when_they_must_be() {
        assert_eq!(csv_field("loss", ","), "loss");
        assert_eq!(csv_field("a,\"b\"", ","), "\"a,\"\"b\"\"\"");
        assert_eq!(csv_field("a,b", ";"), "a,b");
    }
}
