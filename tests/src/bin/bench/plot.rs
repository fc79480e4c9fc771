//! The plots, as SVG.

use std::{error::Error, path::Path};

use plotters::prelude::*;

use crate::mta::Who;

/// A relay's curve.
pub(crate) type Curve = (Who, Vec<(f64, f64)>);

const fn color(who: Who) -> RGBColor {
    match who {
        Who::Mailsluice => RGBColor(0x1b, 0x5e, 0xa8),
        Who::Postfix => RGBColor(0xc2, 0x5b, 0x12),
        Who::Exim => RGBColor(0x5b, 0x7a, 0x2b),
        Who::Earlier => RGBColor(0x80, 0x80, 0x80),
    }
}

/// Draws curves into `file`, both axes logarithmic: the relays are too far apart for another scale.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn draw(file: &Path, (x, y): (&str, &str), curves: &[Curve]) -> Result<(), Box<dyn Error>> {
    let points = || curves.iter().flat_map(|(_, curve)| curve.iter().copied());
    let bounds = |values: &mut dyn Iterator<Item = f64>| {
        let (low, high) = values.fold((f64::MAX, f64::MIN_POSITIVE), |(low, high), v| (low.min(v), high.max(v)));
        (low * 0.7, high * 1.4)
    };
    let (left, right) = bounds(&mut points().map(|(x, _)| x));
    let (bottom, top) = bounds(&mut points().map(|(_, y)| y));
    let area = SVGBackend::new(file, (760, 440)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d((left..right).log_scale(), (bottom..top).log_scale())?;
    let number = |value: &f64| crate::report::count(*value);
    chart
        .configure_mesh()
        .max_light_lines(1)
        .x_desc(x)
        .y_desc(y)
        .x_label_formatter(&number)
        .y_label_formatter(&number)
        .draw()?;
    for (who, curve) in curves {
        let color = color(*who);
        chart
            .draw_series(LineSeries::new(curve.iter().copied(), color.stroke_width(2)))?
            .label(who.name())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        chart.draw_series(curve.iter().map(|point| Circle::new(*point, 4, color.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK)
        .draw()?;
    area.present()?;
    Ok(())
}
