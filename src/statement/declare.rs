//! DECLARE, FETCH, MOVE and CLOSE: a query's rows, a part at a time.

use super::Command;
use super::cursor::Cursor;
use super::text::SyntaxError;

/// `DECLARE name [BINARY] [ASENSITIVE | INSENSITIVE] [[NO] SCROLL] CURSOR [WITH | WITHOUT HOLD] FOR query`.
#[derive(Clone, Debug)]
pub struct Declare {
    /// The cursor's name.
    pub name: String,
    /// `SCROLL`: it moves in both directions.
    pub scroll: bool,
    /// `WITH HOLD`: it outlives its transaction.
    pub hold: bool,
    /// What it gives the rows of.
    pub query: Box<Command>,
}

/// `FETCH [direction] [FROM | IN] name`, or MOVE.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// The cursor's name.
    pub name: String,
    /// Where it goes.
    pub direction: Direction,
    /// `MOVE`: the rows are passed over.
    pub skip: bool,
}

/// Where a cursor goes, and so which rows it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// So many of the next rows; `None`: all that are left. None at all: the one that it is on, again.
    Forward(Option<u64>),
    /// The same of those before, the nearest first.
    Backward(Option<u64>),
    /// To the row of a number, counted from 1, or from -1, the last one. 0: before the first.
    Absolute(i64),
    /// So many rows on, or back.
    Relative(i64),
}

/// After the word DECLARE.
pub(super) fn declare(
    c: &mut Cursor<'_>,
    query: impl FnOnce(&mut Cursor<'_>) -> Result<Command, SyntaxError>,
) -> Result<Command, SyntaxError> {
    let name = c.ident()?;
    let mut scroll = false;
    while !c.words(&["cursor"]) {
        if c.peek_any(&["binary"]) {
            return Err(c.unsupported("BINARY"));
        }
        if c.words(&["scroll"]) {
            scroll = true;
        } else if !(c.words(&["asensitive"]) || c.words(&["insensitive"]) || c.words(&["no", "scroll"])) {
            return Err(c.unexpected());
        }
    }
    let hold = c.words(&["with", "hold"]);
    let _default = !hold && c.words(&["without", "hold"]);
    c.expect_words(&["for"])?;
    match query(c)? {
        query @ Command::Query(_) => Ok(Command::Declare(Declare { name, scroll, hold, query: Box::new(query) })),
        _ => Err(c.unsupported("a cursor for a statement that is not a query")),
    }
}

/// After the word FETCH, or MOVE with `skip`.
pub(super) fn fetch(c: &mut Cursor<'_>, skip: bool) -> Result<Command, SyntaxError> {
    let direction = if c.words(&["next"]) {
        Direction::Forward(Some(1))
    } else if c.words(&["prior"]) {
        Direction::Backward(Some(1))
    } else if c.words(&["first"]) {
        Direction::Absolute(1)
    } else if c.words(&["last"]) {
        Direction::Absolute(-1)
    } else if c.words(&["absolute"]) {
        Direction::Absolute(c.integer()?)
    } else if c.words(&["relative"]) {
        Direction::Relative(c.integer()?)
    } else {
        let backward = c.words(&["backward"]);
        let _default = !backward && c.words(&["forward"]);
        let count = match () {
            () if c.words(&["all"]) => None,
            () if c.peek_number() => Some(c.integer()?),
            () => Some(1),
        };
        let backward = backward != count.is_some_and(i64::is_negative);
        let count = count.map(i64::unsigned_abs);
        if backward { Direction::Backward(count) } else { Direction::Forward(count) }
    };
    let _noise = c.words(&["from"]) || c.words(&["in"]);
    Ok(Command::Fetch(Fetch { name: c.ident()?, direction, skip }))
}

/// After the word CLOSE.
pub(super) fn close(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    Ok(Command::CloseCursor(if c.words(&["all"]) { None } else { Some(c.ident()?) }))
}
