//! Curves as SVG, both axes logarithmic.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use plotters::{coord::combinators::IntoLogRange as _, prelude::*};

use crate::{growth::Curve, servers::Side};

const SIZE: (u32, u32) = (640, 400);

/// Draws one; a curve without points gives no file.
///
/// # Errors
/// When the file can't be written.
pub(crate) fn draw(curve: &Curve, file: &Path) -> Result<()> {
    let points: Vec<(f64, f64)> =
        curve.sides.values().flatten().copied().filter(|(_, cost)| *cost > 0.0).collect();
    let Some(&(first, cost)) = points.first() else { return Ok(()) };
    let bounds = points.iter().fold((first, first, cost, cost), |(l, r, b, t), (x, y)| {
        (x.min(l), x.max(r), y.min(b), y.max(t))
    });
    drawn(curve, bounds, file)
        .map_err(|error| anyhow!("{error}"))
        .with_context(|| file.display().to_string())
}

fn drawn(
    curve: &Curve,
    (left, right, bottom, top): (f64, f64, f64, f64),
    file: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let horizontal = (left.max(1.0) / 1.2..right * 1.2).log_scale();
    let mut chart = ChartBuilder::on(&area)
        .caption(&curve.title, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(horizontal, (bottom / 1.5..top * 1.5).log_scale())?;
    chart
        .configure_mesh()
        .x_desc(&curve.size)
        .y_desc(&curve.unit)
        .x_label_formatter(&|x| crate::spread::Short(*x).to_string())
        .y_label_formatter(&|y| crate::spread::Short(*y).to_string())
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (side, points) in &curve.sides {
        let color = color(*side);
        let shown: Vec<(f64, f64)> = points
            .iter()
            .filter(|(_, cost)| *cost > 0.0)
            .map(|(size, cost)| (size.max(1.0), *cost))
            .collect();
        chart
            .draw_series(LineSeries::new(shown.iter().copied(), color.stroke_width(2)))?
            .label(side.to_string())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        chart.draw_series(shown.iter().map(|point| Circle::new(*point, 3, color.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}

const fn color(side: Side) -> RGBColor {
    match side {
        Side::A => RGBColor(50, 108, 229),
        Side::B => RGBColor(208, 72, 20),
        Side::Limit => RGBColor(90, 90, 90),
        Side::Haproxy => RGBColor(40, 140, 80),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_curve_becomes_a_picture_that_names_its_sides() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("curve.svg");
        let points = vec![(0.0, 10.0), (1000.0, 12.0), (10_000.0, 0.0)];
        let curve = Curve {
            name: "growth".to_owned(),
            title: "LIST all".to_owned(),
            size: "pods".to_owned(),
            unit: "CPU-ms".to_owned(),
            sides: BTreeMap::from([(Side::A, points.clone()), (Side::B, points)]),
        };
        draw(&curve, &file).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.contains("<svg") && text.contains("kube-apiserver") && text.contains("watchgate")
        );
        let nothing = Curve { sides: BTreeMap::new(), ..curve };
        draw(&nothing, &directory.path().join("none.svg")).unwrap();
        assert!(!directory.path().join("none.svg").exists());
    }
}
