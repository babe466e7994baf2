//! `to_char` and `to_number`: numbers by a pattern
//! (<https://www.postgresql.org/docs/18/functions-formatting.html>).

use std::fmt::Write;

use super::super::date::ordinal;
use crate::encode::Numeric;
use crate::error::{Plain, SqlState};

/// A piece of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// `9`
    Digit,
    /// `0`
    Zero,
    /// `.` or `D`
    Point,
    /// `,` or `G`
    Group,
    /// `L`
    Currency,
    /// `S`
    Sign,
    /// `MI`
    Minus,
    /// `PL`
    Plus,
    /// `SG`
    PlusMinus,
    /// `PR`
    Brackets,
    Roman {
        lower: bool,
    },
    Ordinal {
        lower: bool,
    },
    /// `V`
    Shift,
    /// `EEEE`
    Scientific,
    Letter(char),
}

/// What a pattern says.
#[derive(Debug, Default)]
pub(super) struct Pattern {
    pieces: Vec<Piece>,
    /// `FM`
    fill: bool,
    /// Digits before the point, and after it.
    before: usize,
    after: usize,
    has_point: bool,
    /// How many places the number is shifted by.
    shift: u32,
    /// The place of the first `0` before the point, from 0.
    zero_from: Option<usize>,
    /// Behind the last `0`.
    zero_to: usize,
    /// An `S`, and how many digits were before it.
    sign: Option<usize>,
    sign_after_point: bool,
}

fn invalid(message: &str) -> Plain {
    Plain::new(SqlState::SYNTAX_ERROR, message.to_owned())
}

impl Pattern {
    /// Takes a pattern apart. `42601` for what does not go together.
    pub(super) fn parse(text: &str) -> Result<Self, Plain> {
        let mut pattern = Self::default();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let pair = rest.get(..2).map(str::to_ascii_uppercase).unwrap_or_default();
            let (piece, length) = match (pair.as_str(), first) {
                ("FM", _) => {
                    pattern.fill = true;
                    rest = rest.get(2..).unwrap_or_default();
                    continue;
                }
                ("MI", _) => (Piece::Minus, 2),
                ("PL", _) => (Piece::Plus, 2),
                ("SG", _) => (Piece::PlusMinus, 2),
                ("PR", _) => (Piece::Brackets, 2),
                ("RN", _) => (Piece::Roman { lower: first == 'r' }, 2),
                ("TH", _) => (Piece::Ordinal { lower: first == 't' }, 2),
                ("EE", _) if rest.get(..4).is_some_and(|four| four.eq_ignore_ascii_case("EEEE")) => {
                    (Piece::Scientific, 4)
                }
                (_, '9') => (Piece::Digit, 1),
                (_, '0') => (Piece::Zero, 1),
                (_, '.' | 'D' | 'd') => (Piece::Point, 1),
                (_, ',' | 'G' | 'g') => (Piece::Group, 1),
                (_, 'L' | 'l') => (Piece::Currency, 1),
                (_, 'S' | 's') => (Piece::Sign, 1),
                (_, 'V' | 'v') => (Piece::Shift, 1),
                (_, '"') => {
                    let mut letters = rest.get(1..).unwrap_or_default().chars();
                    while let Some(letter) = letters.next().filter(|letter| *letter != '"') {
                        let letter = if letter == '\\' { letters.next().unwrap_or(letter) } else { letter };
                        pattern.pieces.push(Piece::Letter(letter));
                    }
                    rest = letters.as_str();
                    continue;
                }
                (_, letter) => (Piece::Letter(letter), letter.len_utf8()),
            };
            pattern.note(piece)?;
            pattern.pieces.push(piece);
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(pattern)
    }

    fn has(&self, piece: Piece) -> bool {
        self.pieces.contains(&piece)
    }

    fn minus(&self) -> bool {
        self.has(Piece::Minus) || self.has(Piece::PlusMinus)
    }

    fn plus(&self) -> bool {
        self.has(Piece::Plus) || self.has(Piece::PlusMinus)
    }

    fn brackets(&self) -> bool {
        self.has(Piece::Brackets)
    }

    /// Whether `S` stands behind the last digit.
    fn sign_behind(&self) -> bool {
        self.sign.is_some_and(|before| self.sign_after_point || before == self.before)
    }

    fn note(&mut self, piece: Piece) -> Result<(), Plain> {
        let signs = self.minus() || self.plus() || self.brackets();
        if self.has(Piece::Scientific) && !matches!(piece, Piece::Letter(_)) {
            return Err(invalid("\"EEEE\" must be the last pattern used"));
        }
        match piece {
            Piece::Digit | Piece::Zero => {
                if self.brackets() {
                    return Err(invalid("\"9\" must be ahead of \"PR\""));
                }
                if piece == Piece::Zero && self.zero_from.is_none() && !self.has_point {
                    self.zero_from = Some(self.before);
                }
                if self.has_point {
                    self.after += 1;
                } else {
                    self.before += 1;
                    self.shift += u32::from(self.pieces.contains(&Piece::Shift));
                }
                if piece == Piece::Zero {
                    self.zero_to = self.before + self.after;
                }
            }
            Piece::Point => {
                if self.has_point {
                    return Err(invalid("multiple decimal points"));
                }
                if self.pieces.contains(&Piece::Shift) {
                    return Err(invalid("cannot use \"V\" and decimal point together"));
                }
                self.has_point = true;
            }
            Piece::Sign => {
                if self.sign.is_some() {
                    return Err(invalid("cannot use \"S\" twice"));
                }
                if signs {
                    return Err(invalid("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together"));
                }
                self.sign = Some(self.before);
                self.sign_after_point = self.has_point;
            }
            Piece::Minus | Piece::Plus | Piece::PlusMinus => {
                if self.sign.is_some() {
                    return Err(invalid("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together"));
                }
            }
            Piece::Brackets => {
                if self.sign.is_some() || self.minus() || self.plus() {
                    return Err(invalid("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together"));
                }
            }
            Piece::Shift => {
                if self.has_point {
                    return Err(invalid("cannot use \"V\" and decimal point together"));
                }
            }
            Piece::Scientific
            | Piece::Roman { .. }
            | Piece::Group
            | Piece::Currency
            | Piece::Ordinal { .. }
            | Piece::Letter(_) => {}
        }
        Ok(())
    }

    /// How many digits it has after the point.
    pub(super) fn digits_after(&self) -> usize {
        self.after
    }

    /// A number by it. `22003` for one with too many digits.
    pub(super) fn show(&self, value: Numeric) -> Result<String, Plain> {
        if self.pieces.iter().any(|piece| matches!(piece, Piece::Roman { .. })) {
            return Ok(self.show_roman(value));
        }
        if self.has(Piece::Scientific) {
            return Ok(self.show_scientific(value));
        }
        let out_of_range = || Plain::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format");
        let shifted = match 10_i128.checked_pow(self.shift).and_then(|power| value.value.checked_mul(power)) {
            Some(value_shifted) => Numeric { value: value_shifted, scale: value.scale },
            None => return Err(out_of_range()),
        };
        let scale = i8::try_from(self.after).map_err(|_too_many| out_of_range())?;
        let rounded = shifted.rescale(scale).ok_or_else(out_of_range)?;
        let is_negative = rounded < 0;
        let all = format!("{:0width$}", rounded.unsigned_abs(), width = self.after + 1);
        let (whole, fraction) = all.split_at_checked(all.len() - self.after).unwrap_or((&all, ""));
        let is_bare_zero = self.before == 0 && whole == "0";
        let mut digits = if whole.len() > self.before && !is_bare_zero {
            format!("{}.{}", "#".repeat(self.before), "#".repeat(self.after))
        } else if self.before == 0 {
            format!(".{fraction}")
        } else {
            format!("{whole}.{fraction}")
        };
        if self.after == 0 {
            digits.pop();
        }
        Ok(Writer::new(self, is_negative, &digits).write())
    }

    fn show_roman(&self, value: Numeric) -> String {
        const SIGNS: [(i128, &str); 13] = [
            (1000, "M"),
            (900, "CM"),
            (500, "D"),
            (400, "CD"),
            (100, "C"),
            (90, "XC"),
            (50, "L"),
            (40, "XL"),
            (10, "X"),
            (9, "IX"),
            (5, "V"),
            (4, "IV"),
            (1, "I"),
        ];
        const WIDTH: usize = 15;
        let mut left = value.rescale(0).unwrap_or(0);
        let mut text = String::new();
        if (1..4000).contains(&left) {
            for (worth, sign) in SIGNS {
                while left >= worth {
                    text.push_str(sign);
                    left -= worth;
                }
            }
        } else {
            text = "#".repeat(WIDTH);
        }
        if self.pieces.contains(&Piece::Roman { lower: true }) {
            text = text.to_lowercase();
        }
        if self.fill { text } else { format!("{text:>WIDTH$}") }
    }

    fn show_scientific(&self, value: Numeric) -> String {
        let digits = value.value.unsigned_abs().to_string();
        let mut exponent = i64::try_from(digits.len()).unwrap_or(0) - 1 - i64::from(value.scale);
        let sign = if value.value < 0 { '-' } else { ' ' };
        // The first digit, those after the point, and one to round by.
        let wanted = self.after + 1;
        let mut mantissa: Vec<u8> = digits.bytes().map(|digit| digit - b'0').collect();
        if value.value == 0 {
            exponent = 0;
        }
        let round = mantissa.get(wanted).is_some_and(|digit| *digit >= 5);
        mantissa.resize(wanted, 0);
        if round {
            let mut carry = true;
            for digit in mantissa.iter_mut().rev() {
                if !carry {
                    break;
                }
                carry = *digit == 9;
                *digit = if carry { 0 } else { *digit + 1 };
            }
            if carry {
                mantissa.insert(0, 1);
                mantissa.pop();
                exponent += 1;
            }
        }
        let mut text = String::from(sign);
        for (place, digit) in mantissa.iter().enumerate() {
            if place == 1 {
                text.push('.');
            }
            text.push(char::from(b'0' + digit));
        }
        let _written = write!(text, "e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
        text
    }

    /// The number that a text is. `22P02`
    pub(super) fn read(&self, text: &str) -> Result<Numeric, Plain> {
        let mut rest = text.chars().peekable();
        let (mut digits, mut after, mut is_negative, mut behind_point) = (String::new(), 0_i8, false, false);
        for piece in &self.pieces {
            match piece {
                Piece::Digit | Piece::Zero => {
                    while rest.peek().is_some_and(|next| next.is_whitespace()) {
                        rest.next();
                    }
                    if let Some(sign) = rest.next_if(|next| matches!(next, '-' | '+' | '<')) {
                        is_negative |= sign != '+';
                    }
                    if let Some(digit) = rest.next_if(char::is_ascii_digit) {
                        digits.push(digit);
                        after += i8::from(behind_point);
                    }
                }
                Piece::Point => {
                    if rest.next_if_eq(&'.').is_some() {
                        behind_point = true;
                    }
                }
                Piece::Group => {
                    rest.next_if_eq(&',');
                }
                Piece::Sign | Piece::Minus | Piece::Plus | Piece::PlusMinus | Piece::Brackets => {
                    if let Some(sign) = rest.next_if(|next| matches!(next, '-' | '+' | '<' | '>')) {
                        is_negative |= matches!(sign, '-' | '<');
                    }
                }
                Piece::Currency => {
                    rest.next_if(|next| !next.is_ascii_digit() && !matches!(next, '-' | '+' | '.'));
                }
                Piece::Letter(_) => {
                    rest.next();
                }
                Piece::Ordinal { .. } => {
                    rest.next();
                    rest.next();
                }
                Piece::Roman { .. } | Piece::Scientific => {
                    let what = if matches!(piece, Piece::Scientific) { "EEEE" } else { "RN" };
                    let message = format!("\"{what}\" for to_number");
                    return Err(crate::error::unsupported(message));
                }
                Piece::Shift => {}
            }
        }
        let malformed = || {
            let message = format!("invalid input syntax for type numeric: \"{}\"", text.trim());
            Plain::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
        };
        let value: i128 = digits.parse().map_err(|_no_digits| malformed())?;
        let number = Numeric { value: if is_negative { -value } else { value }, scale: after };
        let shift = i8::try_from(self.shift).unwrap_or(0);
        Ok(Numeric { scale: number.scale + shift, ..number })
    }
}

/// Writes a number's digits into the places of a pattern.
struct Writer<'p> {
    pattern: &'p Pattern,
    is_negative: bool,
    digits: Vec<char>,
    /// The next of the digits.
    at: usize,
    /// Places of the pattern that were passed.
    place: usize,
    /// Places before the number's first digit.
    blanks: usize,
    /// The last digit that counts with `FM`.
    last: Option<usize>,
    wrote_sign: bool,
    /// Whether a digit was written last.
    in_number: bool,
    places: usize,
    out: String,
}

impl<'p> Writer<'p> {
    fn new(pattern: &'p Pattern, is_negative: bool, digits: &str) -> Self {
        let digits: Vec<char> = digits.chars().collect();
        let point = digits.iter().position(|digit| *digit == '.');
        let blanks = pattern.before.saturating_sub(point.unwrap_or(digits.len()));
        let last = point.filter(|_| pattern.fill && pattern.has_point).map(|point| {
            let last = digits.iter().rposition(|digit| !matches!(digit, '0' | '.')).filter(|last| *last > point);
            let zero = pattern.zero_to.saturating_sub(blanks).min(digits.len());
            last.unwrap_or(point).max(if pattern.zero_to > blanks { zero } else { 0 })
        });
        let wrote_sign = if pattern.plus() || pattern.minus() {
            !pattern.plus() || pattern.minus()
        } else {
            !is_negative && pattern.fill && pattern.sign.is_none()
        };
        // All but the first digit, with the point.
        let places = (pattern.before + pattern.after).saturating_sub(1);
        let places = places + usize::from(!wrote_sign && blanks == 0);
        Self {
            pattern,
            is_negative,
            digits,
            at: 0,
            place: 0,
            blanks,
            last,
            wrote_sign,
            in_number: false,
            places,
            out: String::new(),
        }
    }

    fn write(mut self) -> String {
        let pattern = self.pattern;
        for piece in &pattern.pieces {
            match piece {
                Piece::Digit | Piece::Zero | Piece::Point => self.digit(*piece),
                Piece::Group => {
                    if self.in_number {
                        self.out.push(',');
                    } else if !pattern.fill {
                        self.out.push(' ');
                    }
                }
                Piece::Currency => self.out.push(' '),
                Piece::Minus => self.sign_or_blank(self.is_negative, '-'),
                Piece::Plus => self.sign_or_blank(!self.is_negative, '+'),
                Piece::PlusMinus => self.out.push(if self.is_negative { '-' } else { '+' }),
                Piece::Ordinal { lower } => {
                    let overflows = self.digits.first() == Some(&'#');
                    if !self.is_negative && !pattern.has_point && !overflows {
                        let number: String = self.digits.iter().collect();
                        let suffix = ordinal(&number);
                        self.out.push_str(&if *lower { suffix.to_owned() } else { suffix.to_uppercase() });
                    }
                }
                Piece::Letter(letter) => self.out.push(*letter),
                Piece::Sign | Piece::Brackets | Piece::Roman { .. } | Piece::Shift | Piece::Scientific => {}
            }
        }
        self.out
    }

    fn sign_or_blank(&mut self, has_sign: bool, sign: char) {
        if has_sign {
            self.out.push(sign);
        } else if !self.pattern.fill {
            self.out.push(' ');
        }
    }

    /// A zero before the point that is not written, because a digit follows it.
    fn is_bare_zero(&self) -> bool {
        self.pattern.zero_from.is_none() && self.at == 0 && self.digits.first() == Some(&'0') && self.pattern.after != 0
    }

    fn ends_with_point(&self) -> bool {
        self.last.is_some_and(|last| self.digits.get(last) == Some(&'.'))
    }

    fn digit(&mut self, piece: Piece) {
        let pattern = self.pattern;
        let from_zero = pattern.zero_from.is_some_and(|zero| zero <= self.place);
        self.in_number = false;
        let begins = self.place >= self.blanks || pattern.zero_from == Some(self.place);
        if !self.wrote_sign && begins && (!self.is_bare_zero() || self.ends_with_point()) {
            self.wrote_sign = true;
            if pattern.sign.is_some() {
                if !pattern.sign_behind() {
                    self.out.push(if self.is_negative { '-' } else { '+' });
                }
            } else if pattern.brackets() {
                self.sign_or_blank(self.is_negative, '<');
            } else {
                self.sign_or_blank(self.is_negative, '-');
            }
        }
        if self.place < self.blanks && !from_zero {
            if !pattern.fill {
                self.out.push(' ');
            }
        } else if self.place < self.blanks {
            self.out.push('0');
            self.in_number = true;
        } else {
            match self.digits.get(self.at) {
                Some('.') => self.out.push('.'),
                Some(_) if self.last.is_some_and(|last| self.at > last) && piece != Piece::Zero => {}
                Some(_) if self.is_bare_zero() => {
                    if !pattern.fill {
                        self.out.push(' ');
                    } else if self.ends_with_point() {
                        self.out.push('0');
                    }
                }
                Some(digit) => {
                    self.out.push(*digit);
                    self.in_number = true;
                }
                None => {}
            }
            self.at += usize::from(self.at < self.digits.len());
        }
        let end = self.places + usize::from(self.blanks > 0) + usize::from(pattern.has_point);
        let end = if self.last == Some(self.at) { self.place } else { end };
        if self.place + 1 == end {
            if self.wrote_sign && pattern.brackets() {
                self.sign_or_blank(self.is_negative, '>');
            } else if pattern.sign.is_some() && pattern.sign_behind() {
                self.out.push(if self.is_negative { '-' } else { '+' });
            }
        }
        self.place += 1;
    }
}
