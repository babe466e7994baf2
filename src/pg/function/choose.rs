//! Which overload a call means, after PostgreSQL's "Function Type Resolution"
//! (<https://www.postgresql.org/docs/18/typeconv-func.html>).

use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;

use super::Overload;
use crate::error::{Plain, SqlError, SqlState};
use crate::types::{PgType, of_field};

/// What is known of an argument.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// Its type, `Unknown` for literals and parameters without one.
    pub pg: PgType,
    /// Its value, if it is a literal.
    pub literal: Option<&'a ScalarValue>,
    /// A numeric's own type: how many digits it has after the point, and whether all of them are shown.
    pub numeric: Option<(i8, bool)>,
}

impl<'a> Asked<'a> {
    /// What a field, and a literal of that field, say.
    pub fn new(pg: &PgType, field: &Field, literal: Option<&'a ScalarValue>) -> Self {
        let is_text = |value: &ScalarValue| matches!(value, ScalarValue::Utf8(_) | ScalarValue::Utf8View(_));
        let unknown = field.data_type().is_null() || literal.is_some_and(|value| value.is_null() || is_text(value));
        let pg = if unknown
            && (pg.is_text() && !matches!(pg, PgType::Json | PgType::Jsonb) || field.data_type().is_null())
        {
            PgType::Unknown
        } else if matches!(literal, Some(ScalarValue::Int64(Some(value))) if i32::try_from(*value).is_ok()) {
            // It has not been given its type yet.
            PgType::Int4
        } else {
            pg.without_modifier()
        };
        let numeric = match field.data_type() {
            DataType::Decimal128(_, scale) => Some((*scale, of_field(field) != PgType::Numeric(None))),
            _ => None,
        };
        Self { pg, literal, numeric }
    }

    /// The text of a literal.
    pub fn text(&self) -> Option<&'a str> {
        match self.literal {
            Some(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text))) => Some(text),
            _ => None,
        }
    }
}

/// Why no overload is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoChoice {
    /// `42883`: none takes such arguments.
    None,
    /// `42725`: several do, and none is better than the others.
    Several,
}

impl NoChoice {
    /// As PostgreSQL says it of a function, or of an operator.
    pub fn error(self, name: &str, asked: &[Asked<'_>]) -> SqlError {
        let types: Vec<String> = asked.iter().map(|argument| argument.pg.to_string()).collect();
        let is_operator = !name.starts_with(|first: char| first.is_ascii_alphabetic());
        let call = match types.as_slice() {
            [one] if is_operator => format!("{name} {one}"),
            [left, right] if is_operator => format!("{left} {name} {right}"),
            all => format!("{name}({})", all.join(", ")),
        };
        let kind = if is_operator { "operator" } else { "function" };
        let said = |what: &str| {
            if is_operator { format!("operator {what}: {call}") } else { format!("function {call} {what}") }
        };
        let hint = match self {
            Self::None => format!("No {kind} matches the given name and argument types."),
            Self::Several => format!("Could not choose a best candidate {kind}."),
        };
        let hint = format!("{hint} You might need to add explicit type casts.");
        let error = SqlError::from(match self {
            Self::None => Plain::new(SqlState::UNDEFINED_FUNCTION, said("does not exist")).hint(hint),
            Self::Several => Plain::new(SqlState::AMBIGUOUS_FUNCTION, said("is not unique")).hint(hint),
        });
        if is_operator { error } else { error.of_name(name) }
    }
}

/// Whether a value of one type stands for one of another without a cast being written.
pub fn is_implicit(from: &PgType, to: &PgType) -> bool {
    let number = |pg: &PgType| match pg {
        PgType::Int2 => Some(0),
        PgType::Int4 => Some(1),
        PgType::Int8 => Some(2),
        PgType::Numeric(_) => Some(3),
        PgType::Float4 => Some(4),
        PgType::Float8 => Some(5),
        _ => None,
    };
    if let (Some(from), Some(to)) = (number(from), number(to)) {
        return from < to;
    }
    let is_string = |pg: &PgType| matches!(pg, PgType::Text | PgType::Varchar(_) | PgType::Char(_));
    match (from, to) {
        (PgType::Date, PgType::Timestamp(_) | PgType::Timestamptz(_))
        | (PgType::Timestamp(_), PgType::Timestamptz(_))
        | (PgType::Time(_), PgType::Interval | PgType::Timetz(_))
        | (PgType::Cidr, PgType::Inet)
        | (PgType::Macaddr, PgType::Macaddr8)
        | (PgType::Macaddr8, PgType::Macaddr)
        | (PgType::InternalChar | PgType::PgNodeTree | PgType::Name, PgType::Text) => true,
        (from, to) if is_string(from) => is_string(to) || *to == PgType::Name,
        (from, PgType::Oid) => number(from).is_some_and(|place| place < 3) || from.is_object_name(),
        (from, to) if to.is_object_name() => number(from).is_some_and(|place| place < 3) || *from == PgType::Oid,
        (PgType::Array(from), PgType::Array(to)) => is_implicit(from, to),
        _ => false,
    }
}

/// Whether a type is the preferred one of its category.
pub fn is_preferred(pg: &PgType) -> bool {
    matches!(
        pg,
        PgType::Bool
            | PgType::Float8
            | PgType::Text
            | PgType::Timestamptz(_)
            | PgType::Interval
            | PgType::Oid
            | PgType::Inet
    )
}

fn same(from: &PgType, to: &PgType) -> bool {
    from == to || matches!((from, to), (PgType::Numeric(_), PgType::Numeric(_)))
}

/// The place of the overload that a call means.
pub fn choose(overloads: &[Overload], asked: &[Asked<'_>]) -> Result<usize, NoChoice> {
    // A number beside a literal without a type is not a number beside an address.
    let addresses = |overload: &Overload| overload.arguments.iter().any(PgType::is_network);
    let among_others = overloads.iter().any(|overload| !addresses(overload));
    let of_addresses = !among_others || asked.iter().any(|given| given.pg.is_network());
    let all_that = |stands: &dyn Fn(&PgType, &PgType) -> bool| -> Vec<(usize, &Overload)> {
        let fits = |overload: &Overload| {
            overload.arguments.len() == asked.len()
                && (of_addresses || !addresses(overload))
                && overload.arguments.iter().zip(asked).all(|(wanted, given)| {
                    given.pg == PgType::Unknown || same(&given.pg, wanted) || stands(&given.pg, wanted)
                })
        };
        overloads.iter().enumerate().filter(|(_, overload)| fits(overload)).collect()
    };
    let mut left = all_that(&is_implicit);
    if left.is_empty() {
        // Some integers are wider here than in PostgreSQL, such as those of a series.
        left = all_that(&|from, to| is_implicit(from, to) || (from, to) == (&PgType::Int8, &PgType::Int4));
    }
    let keep_best = |left: &mut Vec<(usize, &Overload)>, score: &dyn Fn(&Overload) -> usize| {
        let best = left.iter().map(|(_, overload)| score(overload)).max().unwrap_or(0);
        left.retain(|(_, overload)| score(overload) == best);
    };
    let count = |overload: &Overload, of: &dyn Fn(&PgType, &Asked<'_>) -> bool| {
        overload.arguments.iter().zip(asked).filter(|(wanted, given)| of(wanted, given)).count()
    };
    keep_best(&mut left, &|overload| count(overload, &|wanted, given| same(&given.pg, wanted)));
    if left.len() > 1 {
        keep_best(&mut left, &|overload| {
            count(overload, &|wanted, given| {
                given.pg != PgType::Unknown && (same(&given.pg, wanted) || is_preferred(wanted))
            })
        });
    }
    if left.len() > 1 {
        // Literals are strings where they may be, else of the preferred type of the one category there is.
        for place in 0..asked.len() {
            if asked.get(place).is_none_or(|given| given.pg != PgType::Unknown) {
                continue;
            }
            let wanted = |overload: &Overload| overload.arguments.get(place).cloned().unwrap_or(PgType::Unknown);
            let category = if left.iter().any(|(_, overload)| wanted(overload).category() == 'S') {
                Some('S')
            } else {
                let mut all = left.iter().map(|(_, overload)| wanted(overload).category());
                let first = all.next();
                if all.all(|other| Some(other) == first) { first } else { None }
            };
            let Some(category) = category else { continue };
            left.retain(|(_, overload)| wanted(overload).category() == category);
            if left.iter().any(|(_, overload)| is_preferred(&wanted(overload))) {
                left.retain(|(_, overload)| is_preferred(&wanted(overload)));
            }
        }
    }
    if left.len() > 1 {
        // What is not known is of the type of what is.
        let mut known = asked.iter().map(|given| &given.pg).filter(|pg| **pg != PgType::Unknown);
        if let Some(first) = known.next()
            && known.all(|other| other == first)
        {
            let all_alike: Vec<(usize, &Overload)> = left
                .iter()
                .filter(|(_, overload)| {
                    overload.arguments.iter().all(|wanted| same(first, wanted) || is_implicit(first, wanted))
                })
                .copied()
                .collect();
            if !all_alike.is_empty() {
                left = all_alike;
            }
        }
    }
    match left.as_slice() {
        [] => Err(NoChoice::None),
        [(place, _)] => Ok(*place),
        _ => Err(NoChoice::Several),
    }
}
