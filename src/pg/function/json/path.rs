//! SQL/JSON paths (<https://www.postgresql.org/docs/18/functions-json.html#FUNCTIONS-SQLJSON-PATH>), over values as they are
//! written: a number keeps its digits.

use std::fmt::{self, Write};
use std::rc::Rc;

use serde_json::Number;
use sql_json_path::json::{ArrayRef, Cow, Json, JsonRef, ObjectRef};
use sql_json_path::{EvalError, JsonPath};

use super::text::{Kind, items, members, quoted, unquoted};
use super::{Jsonb, JsonbText, Named, Text, f2, f3, f4};
use crate::error::{Plain, SqlState, unsupported};
use crate::pg::function::Call;

/// Digits of a number that a float tells apart from all others.
const EXACT_DIGITS: usize = 15;

/// A value of `jsonb`, taken apart.
#[derive(Clone, Debug)]
enum Tree {
    Null,
    Bool(bool),
    Number(String),
    String(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// `exact`: refuse numbers of more digits than can be compared.
    fn of(text: &str, exact: bool) -> Result<Self, Plain> {
        let text = text.trim();
        Ok(match Kind::of(text) {
            Kind::Null => Self::Null,
            Kind::Boolean => Self::Bool(text == "true"),
            Kind::String => Self::String(unquoted(text)),
            Kind::Number => {
                let digits = text.bytes().take_while(|byte| !matches!(byte, b'e' | b'E')).filter(u8::is_ascii_digit);
                if exact && digits.skip_while(|byte| *byte == b'0').count() > EXACT_DIGITS {
                    return Err(unsupported("comparing numbers of more than 15 digits in a JSON path"));
                }
                Self::Number(text.to_owned())
            }
            Kind::Array => {
                Self::Array(items(text).into_iter().map(|item| Self::of(item, exact)).collect::<Result<_, _>>()?)
            }
            Kind::Object => {
                let member = |(key, value)| Ok((unquoted(key), Self::of(value, exact)?));
                Self::Object(members(text).into_iter().map(member).collect::<Result<_, Plain>>()?)
            }
        })
    }
}

/// As `jsonb` is written.
impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(digits) => f.write_str(digits),
            Self::String(text) => f.write_str(&quoted(text)),
            Self::Array(items) => {
                f.write_char('[')?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index > 0 { ", " } else { "" })?;
                }
                f.write_char(']')
            }
            Self::Object(members) => {
                f.write_char('{')?;
                for (index, (key, value)) in members.iter().enumerate() {
                    write!(f, "{}{}: {value}", if index > 0 { ", " } else { "" }, quoted(key))?;
                }
                f.write_char('}')
            }
        }
    }
}

impl Json for Tree {
    type Borrowed<'a> = &'a Tree;

    fn as_ref(&self) -> Self::Borrowed<'_> {
        self
    }
    fn null() -> Self {
        Self::Null
    }
    fn bool(value: bool) -> Self {
        Self::Bool(value)
    }
    fn from_u64(value: u64) -> Self {
        Self::Number(value.to_string())
    }
    fn from_i64(value: i64) -> Self {
        Self::Number(value.to_string())
    }
    fn from_f64(value: f64) -> Self {
        Self::Number(value.to_string())
    }
    fn from_number(number: Number) -> Self {
        match number.as_f64() {
            Some(value) if number.is_f64() => Self::from_f64(value),
            _ => Self::Number(number.to_string()),
        }
    }
    fn from_string(text: &str) -> Self {
        Self::String(text.to_owned())
    }
    fn object<'a, I: IntoIterator<Item = (&'a str, Self)>>(members: I) -> Self {
        let mut members: Vec<(String, Self)> =
            members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        // The order of jsonb.
        members.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
        Self::Object(members)
    }
}

impl<'a> JsonRef<'a> for &'a Tree {
    type Owned = Tree;
    type Array = Items<'a>;
    type Object = Members<'a>;

    fn to_owned(self) -> Tree {
        self.clone()
    }
    fn null() -> Self {
        &Tree::Null
    }
    fn as_bool(self) -> Option<bool> {
        if let Tree::Bool(value) = self { Some(*value) } else { None }
    }
    fn as_number(self) -> Option<Number> {
        if let Tree::Number(digits) = self { digits.parse().ok() } else { None }
    }
    fn as_str(self) -> Option<&'a str> {
        if let Tree::String(text) = self { Some(text) } else { None }
    }
    fn as_array(self) -> Option<Self::Array> {
        if let Tree::Array(items) = self { Some(Items(items)) } else { None }
    }
    fn as_object(self) -> Option<Self::Object> {
        if let Tree::Object(members) = self { Some(Members(members)) } else { None }
    }
    fn is_null(self) -> bool {
        matches!(self, Tree::Null)
    }
}

/// The items of an array.
#[derive(Clone, Copy)]
struct Items<'a>(&'a [Tree]);

impl<'a> ArrayRef<'a> for Items<'a> {
    type JsonRef = &'a Tree;

    fn len(self) -> usize {
        self.0.len()
    }
    fn get(self, index: usize) -> Option<&'a Tree> {
        self.0.get(index)
    }
    fn list(self) -> Vec<&'a Tree> {
        self.0.iter().collect()
    }
}

/// The members of an object.
#[derive(Clone, Copy)]
struct Members<'a>(&'a [(String, Tree)]);

impl<'a> ObjectRef<'a> for Members<'a> {
    type JsonRef = &'a Tree;

    fn len(self) -> usize {
        self.0.len()
    }
    fn get(self, key: &str) -> Option<&'a Tree> {
        self.0.iter().find(|(own, _)| own == key).map(|(_, value)| value)
    }
    fn list(self) -> Vec<(&'a str, &'a Tree)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value)).collect()
    }
    fn list_value(self) -> Vec<&'a Tree> {
        self.0.iter().map(|(_, value)| value).collect()
    }
}

/// A path, read once.
struct Path {
    path: JsonPath,
    /// Whether it compares.
    compares: bool,
}

/// `42601` for what is no path, `0A000` for one that computes, or looks everywhere in lax mode.
fn path(call: &Call, text: &str) -> Result<Rc<Path>, Plain> {
    call.once(text, |text| {
        let path = JsonPath::new(text).map_err(|error| {
            let message = format!("invalid jsonpath: {error}");
            Plain::new(SqlState::SYNTAX_ERROR, message.replace('\n', " "))
        })?;
        // Without the strings in it.
        let signs: Vec<char> = text.split('"').step_by(2).flat_map(str::chars).filter(|c| !c.is_whitespace()).collect();
        let computes = signs.windows(2).any(|pair| match pair {
            [_, '+' | '/' | '%'] => true,
            [before, '*'] => !matches!(before, '.' | '[' | '*'),
            [before, '-'] => before.is_alphanumeric() && *before != 'o' || matches!(before, ')' | ']' | '@'),
            _ => false,
        });
        if computes {
            return Err(unsupported("arithmetic in a JSON path"));
        }
        // Which finds the items of an array once with it and once by themselves.
        if signs.windows(2).any(|pair| pair == ['*', '*']) && !text.trim_start().starts_with("strict") {
            return Err(unsupported("** in a JSON path in lax mode").hint("Begin the path with strict."));
        }
        Ok(Path { path, compares: signs.iter().any(|sign| matches!(sign, '=' | '<' | '>')) })
    })
}

fn failed(error: &EvalError) -> Plain {
    use EvalError as E;
    let code = match error {
        E::NoKey(_) | E::MemberAccess => SqlState::SQL_JSON_MEMBER_NOT_FOUND,
        E::ArrayAccess | E::WildcardArrayAccess | E::SizeNotArray => SqlState::SQL_JSON_ARRAY_NOT_FOUND,
        E::WildcardMemberAccess | E::KeyValueNotObject => SqlState::SQL_JSON_OBJECT_NOT_FOUND,
        E::ArrayIndexOutOfBounds | E::ArrayIndexOutOfRange | E::ArrayIndexNotNumeric => {
            SqlState::INVALID_SQL_JSON_SUBSCRIPT
        }
        E::NoVariable(_) => SqlState::UNDEFINED_OBJECT,
        E::MethodNotNumeric(_) | E::DoubleTypeError | E::NumericConversionType(_) | E::InvalidConversion(..) => {
            SqlState::NON_NUMERIC_SQL_JSON_ITEM
        }
        E::ExpectSingleBoolean | E::LeftOperandNotNumeric(_) | E::RightOperandNotNumeric(_) => {
            SqlState::SINGLETON_SQL_JSON_ITEM_REQUIRED
        }
        E::DateTimeTypeError(_) | E::InvalidDateTime(..) => SqlState::INVALID_ARGUMENT_FOR_SQL_JSON_DATETIME,
        _ => SqlState::INVALID_PARAMETER_VALUE,
    };
    Plain::new(code, error.to_string())
}

/// What a path finds; `None` if it fails and shall not say so.
fn found(call: &Call, (value, text): (&str, &str), vars: &str, silent: bool) -> Result<Option<Vec<Tree>>, Plain> {
    let path = path(call, text)?;
    let (value, vars) = (Tree::of(value, path.compares)?, Tree::of(vars, path.compares)?);
    match path.path.query_with_vars(&value, &vars) {
        Ok(found) => Ok(Some(found.into_iter().map(Cow::into_owned).collect())),
        Err(error) if silent && error.can_silent() => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}

fn exists(found: Option<&[Tree]>) -> Result<Option<bool>, Plain> {
    Ok(found.map(|found| !found.is_empty()))
}

/// What a predicate says. `22038` if it says nothing, but for `silent`.
fn matches(found: Option<&[Tree]>, silent: bool) -> Result<Option<bool>, Plain> {
    match found {
        Some([Tree::Bool(answer)]) => Ok(Some(*answer)),
        Some([Tree::Null]) | None => Ok(None),
        Some(_) if silent => Ok(None),
        Some(_) => Err(failed(&EvalError::ExpectSingleBoolean)),
    }
}

fn each(found: Option<&[Tree]>) -> Result<Vec<JsonbText>, Plain> {
    Ok(found.unwrap_or_default().iter().map(|value| JsonbText(value.to_string())).collect())
}

fn all(found: Option<&[Tree]>) -> Result<JsonbText, Plain> {
    Ok(JsonbText(Tree::Array(found.unwrap_or_default().to_vec()).to_string()))
}

fn first(found: Option<&[Tree]>) -> Result<Option<JsonbText>, Plain> {
    Ok(found.unwrap_or_default().first().map(|value| JsonbText(value.to_string())))
}

/// All functions and operators with paths.
pub(super) fn functions() -> Vec<Named> {
    /// With and without variables, and with and without errors.
    macro_rules! overloads {
        ($name:literal, $result:expr) => {
            [
                (
                    $name,
                    f2::<Jsonb, Text, _>(|call, value, path| {
                        $result(found(call, (value, path), "{}", false)?.as_deref(), false)
                    }),
                ),
                (
                    $name,
                    f3::<Jsonb, Text, Jsonb, _>(|call, value, path, vars| {
                        $result(found(call, (value, path), vars, false)?.as_deref(), false)
                    }),
                ),
                (
                    $name,
                    f4::<Jsonb, Text, Jsonb, bool, _>(|call, value, path, vars, silent| {
                        $result(found(call, (value, path), vars, silent)?.as_deref(), silent)
                    }),
                ),
            ]
        };
    }
    let mut functions = vec![
        ("@?", f2::<Jsonb, Text, _>(|call, value, path| exists(found(call, (value, path), "{}", true)?.as_deref()))),
        (
            "@@",
            f2::<Jsonb, Text, _>(|call, value, path| matches(found(call, (value, path), "{}", true)?.as_deref(), true)),
        ),
    ];
    functions.extend(overloads!("jsonb_path_exists", |found, _| exists(found)));
    functions.extend(overloads!("jsonb_path_match", matches));
    functions.extend(overloads!("jsonb_path_query", |found, _| each(found)));
    functions.extend(overloads!("jsonb_path_query_array", |found, _| all(found)));
    functions.extend(overloads!("jsonb_path_query_first", |found, _| first(found)));
    functions
}
