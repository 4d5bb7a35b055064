//! Learning curves as an SVG file.

use addax::{Error, Result, callbacks::History};
use plotters::prelude::*;
use std::path::Path;

/// Draws the named series of a history, one line each, into an SVG file.
pub fn save(history: &History, names: &[&str], path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let mut text = String::new();
    draw(history, names, &mut text)?;
    std::fs::write(path, text).map_err(|e| Error::io(format!("writing {}", path.display()), e))
}

fn draw(history: &History, names: &[&str], text: &mut String) -> Result<()> {
    let failed = |e: &dyn std::fmt::Display| Error::argument(format!("drawing the learning curves: {e}"));
    let series = names.iter().map(|name| Ok((*name, history.get(name)?.to_vec()))).collect::<Result<Vec<_>>>()?;
    let epochs = series.iter().map(|(_, values)| values.len()).max().unwrap_or(0).max(2);
    let top = series.iter().flat_map(|(_, values)| values).copied().fold(0.0, f64::max) * 1.05;
    let area = SVGBackend::with_string(text, (800, 480)).into_drawing_area();
    area.fill(&WHITE).map_err(|e| failed(&e))?;
    let mut chart = ChartBuilder::on(&area)
        .caption("learning curves", ("sans-serif", 22))
        .margin(16)
        .x_label_area_size(36)
        .y_label_area_size(52)
        .build_cartesian_2d(1.0..epochs as f64, 0.0..top.max(1e-3))
        .map_err(|e| failed(&e))?;
    chart.configure_mesh().x_desc("epoch").light_line_style(WHITE).draw().map_err(|e| failed(&e))?;
    for (number, (name, values)) in series.iter().enumerate() {
        let style = Palette99::pick(number).stroke_width(2);
        let points = values.iter().enumerate().map(|(epoch, &value)| (epoch as f64 + 1.0, value));
        let line = chart.draw_series(LineSeries::new(points, style)).map_err(|e| failed(&e))?;
        line.label(*name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .border_style(BLACK.mix(0.3))
        .background_style(WHITE.mix(0.8))
        .draw()
        .map_err(|e| failed(&e))?;
    area.present().map_err(|e| failed(&e))
}
