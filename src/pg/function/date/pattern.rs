//! Patterns of `to_char`, `to_date` and `to_timestamp` for dates and times
//! (<https://www.postgresql.org/docs/18/functions-formatting.html>).

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Field(Field),
    /// A blank or a sign between fields.
    Separator(char),
    /// Anything else, as it is.
    Letter(char),
}

/// A field, and how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) kind: Kind,
    /// As in the pattern.
    pub(super) word: &'static str,
    pub(super) case: Case,
    /// `FM`, and `TM` for names: without blanks and zeros.
    pub(super) fill: bool,
    /// `TH` or `th`.
    pub(super) ordinal: Option<Case>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Upper,
    /// The first letter.
    Title,
    Lower,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    HalfDay {
        dots: bool,
    },
    Era {
        dots: bool,
    },
    Century,
    DayName,
    DayAbbreviation,
    DayOfYear,
    IsoDayOfYear,
    Day,
    DayOfWeek,
    IsoDayOfWeek,
    /// With so many digits.
    Fraction(u8),
    Fixed,
    Hour24,
    Hour12,
    IsoWeek,
    /// With so many digits.
    IsoYear(u8),
    Julian,
    Minute,
    Month,
    MonthName,
    MonthAbbreviation,
    RomanMonth,
    Offset,
    Quarter,
    SecondOfDay,
    Second,
    Millisecond,
    Microsecond,
    ZoneHours,
    ZoneMinutes,
    Zone,
    Week,
    WeekOfMonth,
    /// `Y,YYY`
    GroupedYear,
    /// With so many digits.
    Year(u8),
}

impl Kind {
    /// How many digits it has where another number follows; `None`: it is no number.
    pub(super) fn digits(self) -> Option<usize> {
        Some(match self {
            Self::Hour12 | Self::Hour24 | Self::Minute | Self::Second | Self::Month | Self::Day => 2,
            Self::Week | Self::IsoWeek | Self::Century => 2,
            Self::Year(digits) | Self::IsoYear(digits) | Self::Fraction(digits) => usize::from(digits),
            Self::Millisecond | Self::DayOfYear | Self::IsoDayOfYear => 3,
            Self::Microsecond => 6,
            Self::DayOfWeek | Self::IsoDayOfWeek | Self::WeekOfMonth | Self::Quarter => 1,
            Self::SecondOfDay | Self::Julian => usize::MAX,
            Self::GroupedYear => 5,
            _ => return None,
        })
    }
}

use Case::{Lower, Title, Upper};
use Kind as K;

/// What begins alike has the longest first. Words of numbers are written in either case.
const WORDS: &[(&str, Kind, Case)] = &[
    ("A.D.", K::Era { dots: true }, Upper),
    ("A.M.", K::HalfDay { dots: true }, Upper),
    ("AD", K::Era { dots: false }, Upper),
    ("AM", K::HalfDay { dots: false }, Upper),
    ("B.C.", K::Era { dots: true }, Upper),
    ("BC", K::Era { dots: false }, Upper),
    ("CC", K::Century, Upper),
    ("DAY", K::DayName, Upper),
    ("DDD", K::DayOfYear, Upper),
    ("DD", K::Day, Upper),
    ("DY", K::DayAbbreviation, Upper),
    ("Day", K::DayName, Title),
    ("Dy", K::DayAbbreviation, Title),
    ("D", K::DayOfWeek, Upper),
    ("FF1", K::Fraction(1), Upper),
    ("FF2", K::Fraction(2), Upper),
    ("FF3", K::Fraction(3), Upper),
    ("FF4", K::Fraction(4), Upper),
    ("FF5", K::Fraction(5), Upper),
    ("FF6", K::Fraction(6), Upper),
    ("FX", K::Fixed, Upper),
    ("HH24", K::Hour24, Upper),
    ("HH12", K::Hour12, Upper),
    ("HH", K::Hour12, Upper),
    ("IDDD", K::IsoDayOfYear, Upper),
    ("ID", K::IsoDayOfWeek, Upper),
    ("IW", K::IsoWeek, Upper),
    ("IYYY", K::IsoYear(4), Upper),
    ("IYY", K::IsoYear(3), Upper),
    ("IY", K::IsoYear(2), Upper),
    ("I", K::IsoYear(1), Upper),
    ("J", K::Julian, Upper),
    ("MI", K::Minute, Upper),
    ("MM", K::Month, Upper),
    ("MONTH", K::MonthName, Upper),
    ("MON", K::MonthAbbreviation, Upper),
    ("MS", K::Millisecond, Upper),
    ("Month", K::MonthName, Title),
    ("Mon", K::MonthAbbreviation, Title),
    ("OF", K::Offset, Upper),
    ("P.M.", K::HalfDay { dots: true }, Upper),
    ("PM", K::HalfDay { dots: false }, Upper),
    ("Q", K::Quarter, Upper),
    ("RM", K::RomanMonth, Upper),
    ("SSSSS", K::SecondOfDay, Upper),
    ("SSSS", K::SecondOfDay, Upper),
    ("SS", K::Second, Upper),
    ("TZH", K::ZoneHours, Upper),
    ("TZM", K::ZoneMinutes, Upper),
    ("TZ", K::Zone, Upper),
    ("US", K::Microsecond, Upper),
    ("WW", K::Week, Upper),
    ("W", K::WeekOfMonth, Upper),
    ("Y,YYY", K::GroupedYear, Upper),
    ("YYYY", K::Year(4), Upper),
    ("YYY", K::Year(3), Upper),
    ("YY", K::Year(2), Upper),
    ("Y", K::Year(1), Upper),
];

fn word(text: &str) -> Option<(&'static str, Kind, Case)> {
    let starts = |word: &str| text.get(..word.len()).is_some_and(|start| start == word);
    let starts_lower = |word: &str| text.get(..word.len()).is_some_and(|start| *start == *word.to_ascii_lowercase());
    let exact = WORDS.iter().find(|(word, ..)| starts(word)).copied();
    exact.or_else(|| {
        let (word, kind, _) = WORDS.iter().find(|(word, _, case)| *case == Upper && starts_lower(word))?;
        Some((*word, *kind, Lower))
    })
}

/// Takes a pattern apart.
pub(super) fn parse(pattern: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let mut fill = false;
        let mut field = rest;
        loop {
            let modifier = field.get(..2).filter(|start| ["FM", "fm", "TM", "tm"].contains(start));
            if modifier.is_none() {
                break;
            }
            fill = true;
            field = field.get(2..).unwrap_or_default();
        }
        if let Some((word, kind, case)) = word(field) {
            rest = field.get(word.len()..).unwrap_or_default();
            let ordinal = match rest.get(..2) {
                Some("TH") => Some(Upper),
                Some("th") => Some(Lower),
                _ => None,
            };
            if ordinal.is_some() {
                rest = rest.get(2..).unwrap_or_default();
            }
            if kind != Kind::Fixed {
                pieces.push(Piece::Field(Field { kind, word, case, fill, ordinal }));
            }
            continue;
        }
        if fill {
            rest = field;
            continue;
        }
        rest = rest.get(first.len_utf8()..).unwrap_or_default();
        match first {
            '"' => {
                let mut letters = rest.chars();
                while let Some(letter) = letters.next().filter(|letter| *letter != '"') {
                    let letter = if letter == '\\' { letters.next().unwrap_or(letter) } else { letter };
                    pieces.push(Piece::Letter(letter));
                }
                rest = letters.as_str();
            }
            '\\' if rest.starts_with('"') => {
                pieces.push(Piece::Letter('"'));
                rest = rest.get(1..).unwrap_or_default();
            }
            letter if letter.is_whitespace() || letter.is_ascii_punctuation() => pieces.push(Piece::Separator(letter)),
            letter => pieces.push(Piece::Letter(letter)),
        }
    }
    pieces
}

pub(super) const ROMAN: [&str; 12] = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];
