//! Trigonometry in degrees, exact for the angles whose sines and cosines are: scaled so that those of 30, 45 and 60 degrees
//! come out as people know them.

use super::{Named, out_of_range};
use crate::error::{Plain, SqlState};

use super::super::{f1, f2};

fn sine_to_30(degrees: f64) -> f64 {
    degrees.to_radians().sin() / 30_f64.to_radians().sin() / 2.0
}

fn cosine_to_60(degrees: f64) -> f64 {
    1.0 - (1.0 - degrees.to_radians().cos()) / (1.0 - 60_f64.to_radians().cos()) / 2.0
}

fn sine_to_90(degrees: f64) -> f64 {
    if degrees <= 30.0 { sine_to_30(degrees) } else { cosine_to_60(90.0 - degrees) }
}

fn cosine_to_90(degrees: f64) -> f64 {
    if degrees <= 60.0 { cosine_to_60(degrees) } else { sine_to_30(90.0 - degrees) }
}

/// The angle in the first quadrant that has the same sine and cosine, and their signs.
fn folded(degrees: f64) -> Result<(f64, f64, f64), Plain> {
    if degrees.is_infinite() {
        return Err(Plain::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "input is out of range"));
    }
    let mut angle = degrees % 360.0;
    let (mut sine, mut cosine) = (1.0, 1.0);
    if angle < 0.0 {
        (angle, sine) = (-angle, -sine);
    }
    if angle > 180.0 {
        (angle, sine) = (360.0 - angle, -sine);
    }
    if angle > 90.0 {
        (angle, cosine) = (180.0 - angle, -cosine);
    }
    Ok((angle, sine, cosine))
}

fn sine(degrees: f64) -> Result<f64, Plain> {
    let (angle, sign, _) = folded(degrees)?;
    Ok(sign * sine_to_90(angle))
}

fn cosine(degrees: f64) -> Result<f64, Plain> {
    let (angle, _, sign) = folded(degrees)?;
    Ok(sign * cosine_to_90(angle))
}

fn tangent(degrees: f64) -> Result<f64, Plain> {
    let (angle, sine, cosine) = folded(degrees)?;
    let at_45 = sine_to_90(45.0) / cosine_to_90(45.0);
    let found = sine * cosine * (sine_to_90(angle) / cosine_to_90(angle) / at_45);
    Ok(if found == 0.0 { 0.0 } else { found })
}

fn cotangent(degrees: f64) -> Result<f64, Plain> {
    let (angle, sine, cosine) = folded(degrees)?;
    let at_45 = cosine_to_90(45.0) / sine_to_90(45.0);
    let found = sine * cosine * (cosine_to_90(angle) / sine_to_90(angle) / at_45);
    Ok(if found == 0.0 { 0.0 } else { found })
}

/// The angle whose sine it is, of a sine from 0 to 1.
fn from_sine(sine: f64) -> f64 {
    if sine <= 0.5 { sine.asin() / 0.5_f64.asin() * 30.0 } else { 90.0 - sine.acos() / 0.5_f64.acos() * 60.0 }
}

fn arc_sine(value: f64) -> Result<f64, Plain> {
    in_unit(value)?;
    Ok(if value >= 0.0 { from_sine(value) } else { -from_sine(-value) })
}

fn arc_cosine(value: f64) -> Result<f64, Plain> {
    in_unit(value)?;
    let to_90 = |cosine: f64| {
        if cosine <= 0.5 { 90.0 - cosine.asin() / 0.5_f64.asin() * 30.0 } else { cosine.acos() / 0.5_f64.acos() * 60.0 }
    };
    Ok(if value >= 0.0 { to_90(value) } else { 90.0 + from_sine(-value) })
}

fn in_unit(value: f64) -> Result<(), Plain> {
    if (-1.0..=1.0).contains(&value) || value.is_nan() { Ok(()) } else { Err(out_of_range("input is")) }
}

pub(super) fn functions() -> Vec<Named> {
    vec![
        ("sind", f1::<f64, _>(|_, degrees| sine(degrees))),
        ("cosd", f1::<f64, _>(|_, degrees| cosine(degrees))),
        ("tand", f1::<f64, _>(|_, degrees| tangent(degrees))),
        ("cotd", f1::<f64, _>(|_, degrees| cotangent(degrees))),
        ("asind", f1::<f64, _>(|_, value| arc_sine(value))),
        ("acosd", f1::<f64, _>(|_, value| arc_cosine(value))),
        ("atand", f1::<f64, _>(|_, value| Ok(value.atan() / 1_f64.atan() * 45.0))),
        ("atan2d", f2::<f64, f64, _>(|_, y, x| Ok(y.atan2(x) / 1_f64.atan() * 45.0))),
    ]
}
