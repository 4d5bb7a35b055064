//! Small pictures in the terminal.

/// A grey image as text, two characters a pixel, dark to light; `pixels` are `0.0..=1.0`, row by row.
pub fn render(pixels: &[f32], width: usize) -> Vec<String> {
    const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];
    let shade = |&p: &f32| SHADES[((p * SHADES.len() as f32) as usize).min(SHADES.len() - 1)];
    pixels.chunks(width).map(|row| row.iter().flat_map(|p| [shade(p); 2]).collect()).collect()
}

/// Several pictures side by side, each with a caption below.
pub fn side_by_side(pictures: &[(Vec<String>, String)]) -> String {
    let height = pictures.iter().map(|(rows, _)| rows.len()).max().unwrap_or(0);
    let mut text = String::new();
    for line in 0..=height {
        for (rows, caption) in pictures {
            let width = rows.first().map_or(0, |row| row.chars().count());
            let cell = if line == height { caption.as_str() } else { rows.get(line).map_or("", String::as_str) };
            text.push_str("  ");
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_become_shades() {
        assert_eq!(render(&[0.0, 1.0, 0.5, 0.25], 2), vec!["  ██", "▒▒░░"]);
        let text = side_by_side(&[(render(&[1.0, 0.0], 2), "a".into()), (render(&[0.0, 1.0], 2), "b".into())]);
        assert_eq!(text, "  ██      ██\n  a     b   \n");
    }
}
