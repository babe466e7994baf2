//! DECLARE, FETCH, MOVE and CLOSE: a query's rows, a part at a time.

use super::Command;
use super::cursor::Cursor;
use super::text::SyntaxError;

/// `DECLARE name [BINARY] [ASENSITIVE | INSENSITIVE] [NO SCROLL] CURSOR [WITH | WITHOUT HOLD] FOR query`.
#[derive(Clone, Debug)]
pub struct Declare {
    /// The cursor's name.
    pub name: String,
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
    /// How many of the next rows; `None`: all that are left.
    pub count: Option<u64>,
    /// `MOVE`: the rows are passed over.
    pub skip: bool,
}

/// After the word DECLARE.
pub(super) fn declare(
    c: &mut Cursor<'_>,
    query: impl FnOnce(&mut Cursor<'_>) -> Result<Command, SyntaxError>,
) -> Result<Command, SyntaxError> {
    let name = c.ident()?;
    while !c.words(&["cursor"]) {
        if c.peek_any(&["scroll"]) {
            return Err(c.unsupported("SCROLL"));
        }
        if c.peek_any(&["binary"]) {
            return Err(c.unsupported("BINARY"));
        }
        let known = c.words(&["asensitive"]) || c.words(&["insensitive"]) || c.words(&["no", "scroll"]);
        if !known {
            return Err(c.unexpected());
        }
    }
    let hold = c.words(&["with", "hold"]);
    let _default = !hold && c.words(&["without", "hold"]);
    c.expect_words(&["for"])?;
    match query(c)? {
        query @ Command::Query(_) => Ok(Command::Declare(Declare { name, hold, query: Box::new(query) })),
        _ => Err(c.unsupported("a cursor for a statement that is not a query")),
    }
}

/// After the word FETCH, or MOVE with `skip`.
pub(super) fn fetch(c: &mut Cursor<'_>, skip: bool) -> Result<Command, SyntaxError> {
    let backward = ["prior", "first", "last", "absolute", "relative", "backward"];
    if c.peek_any(&backward) {
        return Err(c.unsupported("a cursor that moves other than forward"));
    }
    let number = |c: &mut Cursor<'_>| -> Result<Option<u64>, SyntaxError> {
        if c.words(&["all"]) {
            return Ok(None);
        }
        match u64::try_from(c.integer()?) {
            Ok(0) | Err(_) => Err(c.unsupported("a cursor that moves other than forward")),
            Ok(count) => Ok(Some(count)),
        }
    };
    let count = if c.words(&["next"]) {
        Some(1)
    } else if c.words(&["forward"]) {
        if c.peek_number() || c.peek_any(&["all"]) { number(c)? } else { Some(1) }
    } else if c.peek_number() || c.peek_any(&["all"]) {
        number(c)?
    } else {
        Some(1)
    };
    let _noise = c.words(&["from"]) || c.words(&["in"]);
    Ok(Command::Fetch(Fetch { name: c.ident()?, count, skip }))
}

/// After the word CLOSE.
pub(super) fn close(c: &mut Cursor<'_>) -> Result<Command, SyntaxError> {
    Ok(Command::CloseCursor(if c.words(&["all"]) { None } else { Some(c.ident()?) }))
}
