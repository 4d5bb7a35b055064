//! Names as Keras makes them.

use std::collections::HashMap;

/// `Conv2DTranspose` to `conv2d_transpose`, by Keras' rule: an underscore before a capital that begins a word.
///
/// ```
/// use addax_layers::to_snake_case;
/// assert_eq!(to_snake_case("BatchNormalization"), "batch_normalization");
/// assert_eq!(to_snake_case("LSTM"), "lstm");
/// assert_eq!(to_snake_case("PReLU"), "p_re_lu");
/// ```
pub fn to_snake_case(name: &str) -> String {
    let plain: Vec<char> = name.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect();
    let words = split(&plain, |at| {
        // A capital followed by small letters begins a word, after any character.
        at > 0 && plain[at].is_ascii_uppercase() && plain.get(at + 1).is_some_and(char::is_ascii_lowercase)
    });
    let joined = split(&words, |at| at > 0 && words[at - 1].is_ascii_lowercase() && words[at].is_ascii_uppercase());
    joined.into_iter().collect::<String>().to_lowercase()
}

fn split(letters: &[char], begins: impl Fn(usize) -> bool) -> Vec<char> {
    let mut out = Vec::with_capacity(letters.len() + 4);
    for (at, &letter) in letters.iter().enumerate() {
        if begins(at) {
            out.push('_');
        }
        out.push(letter);
    }
    out
}

/// Gives each name once: `dense`, `dense_1`, `dense_2`, ….
#[derive(Clone, Debug, Default)]
pub struct Counter(HashMap<String, usize>);

impl Counter {
    /// The next name made of `base`.
    pub fn next(&mut self, base: &str) -> String {
        let count = self.0.entry(base.to_string()).or_insert(0);
        *count += 1;
        match *count {
            1 => base.to_string(),
            n => format!("{base}_{}", n - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_keras() {
        for (class, name) in [
            ("Conv2D", "conv2d"),
            ("Conv2DTranspose", "conv2d_transpose"),
            ("GRU", "gru"),
            ("PReLU", "p_re_lu"),
            ("ReLU", "re_lu"),
            ("ELU", "elu"),
            ("LeakyReLU", "leaky_re_lu"),
            ("RMSNormalization", "rms_normalization"),
            ("MultiHeadAttention", "multi_head_attention"),
            ("STFTSpectrogram", "stft_spectrogram"),
            ("ConvLSTM2D", "conv_lstm2d"),
            ("GlobalAveragePooling2D", "global_average_pooling2d"),
            ("SimpleRNN", "simple_rnn"),
        ] {
            assert_eq!(to_snake_case(class), name);
        }
    }

    #[test]
    fn a_counter_never_repeats() {
        let mut names = Counter::default();
        assert_eq!(["dense", "dense", "lstm", "dense"].map(|n| names.next(n)), ["dense", "dense_1", "lstm", "dense_2"]);
    }
}
