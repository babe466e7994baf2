//! SQLSTATE codes, grouped by class as in PostgreSQL's errcodes; only those in use.

use std::fmt;

/// Five characters that drivers, ORMs and pools act upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SqlState(&'static str);

impl SqlState {
    /// The code as the protocol carries it.
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    // Class 00, 01: success and warnings
    /// No error: the code of notices, such as that IF EXISTS found nothing.
    pub const SUCCESSFUL_COMPLETION: Self = Self("00000");
    /// A warning without a closer code, as for a REVOKE of a membership that was not granted.
    pub const WARNING: Self = Self("01000");
    /// A warning that something was not given.
    pub const PRIVILEGE_NOT_GRANTED: Self = Self("01007");
    /// A warning that something stays in force that was to be taken away.
    pub const PRIVILEGE_NOT_REVOKED: Self = Self("01006");
    // Class 08: connection
    /// A message that breaks the protocol, or a Bind with a wrong number of values or formats.
    pub const PROTOCOL_VIOLATION: Self = Self("08P01");
    /// A commit of which the server cannot tell whether it happened.
    pub const TRANSACTION_RESOLUTION_UNKNOWN: Self = Self("08007");
    /// A connection that what was promised depends on broke.
    pub const CONNECTION_FAILURE: Self = Self("08006");
    // Class 0A
    /// Something of PostgreSQL's that this server does not do.
    pub const FEATURE_NOT_SUPPORTED: Self = Self("0A000");
    // Class 0L
    /// A GRANT or REVOKE of a privilege its object cannot have, or a membership that would be circular.
    pub const INVALID_GRANT_OPERATION: Self = Self("0LP01");
    // Class 21
    /// A subquery used as an expression gave more than one row.
    pub const CARDINALITY_VIOLATION: Self = Self("21000");
    // Class 22: data
    /// A text longer than its type allows.
    pub const STRING_DATA_RIGHT_TRUNCATION: Self = Self("22001");
    /// A number that its type cannot hold, as given or as the result of arithmetic.
    pub const NUMERIC_VALUE_OUT_OF_RANGE: Self = Self("22003");
    /// A NULL where a function takes none: as a JSON object's key, or as an identifier in `format`.
    pub const NULL_VALUE_NOT_ALLOWED: Self = Self("22004");
    /// A text that does not have the form of a date, time or interval.
    pub const INVALID_DATETIME_FORMAT: Self = Self("22007");
    /// A date or time with a field out of its range, such as February 30.
    pub const DATETIME_FIELD_OVERFLOW: Self = Self("22008");
    /// A part of a string of a negative length.
    pub const SUBSTRING_ERROR: Self = Self("22011");
    /// A division by zero.
    pub const DIVISION_BY_ZERO: Self = Self("22012");
    /// An escape character that is not one character.
    pub const INVALID_ESCAPE_CHARACTER: Self = Self("22019");
    /// Bytes that are not UTF-8, or a zero byte in a text.
    pub const CHARACTER_NOT_IN_REPERTOIRE: Self = Self("22021");
    /// A sequence that has come to its end.
    pub const SEQUENCE_LIMIT_EXCEEDED: Self = Self("2200H");
    /// A text that is no date or time, in a JSON path.
    pub const INVALID_ARGUMENT_FOR_SQL_JSON_DATETIME: Self = Self("22031");
    /// An item of an array that is not there, or is asked for by what is no number, in a JSON path.
    pub const INVALID_SQL_JSON_SUBSCRIPT: Self = Self("22033");
    /// What is no number where a JSON path needs one.
    pub const NON_NUMERIC_SQL_JSON_ITEM: Self = Self("22036");
    /// Several items, or none, where a JSON path needs one.
    pub const SINGLETON_SQL_JSON_ITEM_REQUIRED: Self = Self("22038");
    /// What is no array where a JSON path needs one.
    pub const SQL_JSON_ARRAY_NOT_FOUND: Self = Self("22039");
    /// A key that an object does not have, in a JSON path.
    pub const SQL_JSON_MEMBER_NOT_FOUND: Self = Self("2203A");
    /// What is no object where a JSON path needs one.
    pub const SQL_JSON_OBJECT_NOT_FOUND: Self = Self("2203C");
    /// A setting, an option or a function's argument with a value that it does not take.
    pub const INVALID_PARAMETER_VALUE: Self = Self("22023");
    /// A logarithm of what has none.
    pub const INVALID_ARGUMENT_FOR_LOGARITHM: Self = Self("2201E");
    /// A root or a power that is no number.
    pub const INVALID_ARGUMENT_FOR_POWER_FUNCTION: Self = Self("2201F");
    /// Bounds or a count of `width_bucket` that make no buckets.
    pub const INVALID_ARGUMENT_FOR_WIDTH_BUCKET: Self = Self("2201G");
    /// A negative LIMIT.
    pub const INVALID_ROW_COUNT_IN_LIMIT_CLAUSE: Self = Self("2201W");
    /// A negative OFFSET.
    pub const INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE: Self = Self("2201X");
    /// An ESCAPE string of LIKE with more than one character.
    pub const INVALID_ESCAPE_SEQUENCE: Self = Self("22025");
    /// A regular expression that cannot be read.
    pub const INVALID_REGULAR_EXPRESSION: Self = Self("2201B");
    /// A text that does not have the form of a value of its type.
    pub const INVALID_TEXT_REPRESENTATION: Self = Self("22P02");
    /// Bytes that are not the binary form of a value of their type.
    pub const INVALID_BINARY_REPRESENTATION: Self = Self("22P03");
    /// Data for COPY that is malformed, or does not have the columns that the table takes.
    pub const BAD_COPY_FILE_FORMAT: Self = Self("22P04");
    /// Data that cannot be read or computed with, without a closer code; also any such failure behind a policy.
    pub const DATA_EXCEPTION: Self = Self("22000");
    /// Arrays that are put together and are not of one length in a dimension.
    pub const ARRAY_SUBSCRIPT_ERROR: Self = Self("2202E");
    // Class 23: integrity
    /// A NULL for a column that is NOT NULL.
    pub const NOT_NULL_VIOLATION: Self = Self("23502");
    /// A key that another row has already.
    pub const UNIQUE_VIOLATION: Self = Self("23505");
    /// A row for which the condition of a CHECK constraint is false.
    pub const CHECK_VIOLATION: Self = Self("23514");
    // Class 25: transaction state
    /// A command that may not come inside a transaction, or not that late in one. For a second BEGIN a warning.
    pub const ACTIVE_TRANSACTION: Self = Self("25001");
    /// A command that writes, in a read-only transaction.
    pub const READ_ONLY_TRANSACTION: Self = Self("25006");
    /// A command for transaction blocks outside of one. For COMMIT, ROLLBACK and SET a warning.
    pub const NO_ACTIVE_TRANSACTION: Self = Self("25P01");
    /// A statement after a failed one, before the transaction is rolled back.
    pub const IN_FAILED_TRANSACTION: Self = Self("25P02");
    /// A session was idle in a transaction for longer than `idle_in_transaction_session_timeout`, and is ended.
    pub const IDLE_IN_TRANSACTION_TIMEOUT: Self = Self("25P03");
    // Class 26, 28, 2B
    /// A prepared statement that does not exist.
    pub const INVALID_STATEMENT_NAME: Self = Self("26000");
    /// A connection without a user's name, or without the encryption that the server asks for.
    pub const INVALID_AUTHORIZATION: Self = Self("28000");
    /// Authentication failed; the client is not told why.
    pub const INVALID_PASSWORD: Self = Self("28P01");
    /// A DROP or REVOKE of what other objects or privileges depend on.
    pub const DEPENDENT_OBJECTS_STILL_EXIST: Self = Self("2BP01");
    // Class 34, 3B, 3D, 3F: names
    /// A portal that does not exist.
    pub const INVALID_CURSOR_NAME: Self = Self("34000");
    /// A savepoint that the transaction does not have.
    pub const INVALID_SAVEPOINT: Self = Self("3B001");
    /// A database that does not exist: a server has one only.
    pub const UNDEFINED_DATABASE: Self = Self("3D000");
    /// A schema that does not exist, or no schema on the search path to create in.
    pub const UNDEFINED_SCHEMA: Self = Self("3F000");
    // Class 40
    /// Another transaction changed the same objects and committed first.
    pub const SERIALIZATION_FAILURE: Self = Self("40001");
    /// Transactions wait for each other.
    pub const DEADLOCK_DETECTED: Self = Self("40P01");
    /// Somebody else has what is wanted, for longer than the statement waits.
    pub const LOCK_NOT_AVAILABLE: Self = Self("55P03");
    // Class 42: syntax, names, rights
    /// A query that the engine's planner refuses, without a closer code.
    pub const SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION: Self = Self("42000");
    /// A statement that breaks the grammar, or has lists whose lengths do not match.
    pub const SYNTAX_ERROR: Self = Self("42601");
    /// A right that the role does not have, or a new row that a policy does not let in.
    pub const INSUFFICIENT_PRIVILEGE: Self = Self("42501");
    /// A column that is neither in GROUP BY nor inside an aggregate function.
    pub const GROUPING_ERROR: Self = Self("42803");
    /// A window function where none may be.
    pub const WINDOWING_ERROR: Self = Self("42P20");
    /// A cast between types that have none.
    pub const CANNOT_COERCE: Self = Self("42846");
    /// An expression whose type does not fit its column or policy.
    pub const DATATYPE_MISMATCH: Self = Self("42804");
    /// An object of another kind than the command is for, such as a view for a table.
    pub const WRONG_OBJECT_TYPE: Self = Self("42809");
    /// A function that does not exist for the arguments given.
    pub const UNDEFINED_FUNCTION: Self = Self("42883");
    /// Several functions of a name take such arguments, and none is better than the others.
    pub const AMBIGUOUS_FUNCTION: Self = Self("42725");
    /// A column that does not exist.
    pub const UNDEFINED_COLUMN: Self = Self("42703");
    /// A relation that does not exist, or that the role may not know of.
    pub const UNDEFINED_TABLE: Self = Self("42P01");
    /// A parameter where a statement can have none: in the query of a view.
    pub const UNDEFINED_PARAMETER: Self = Self("42P02");
    /// A role, type, setting, policy or other object without a code of its own that does not exist.
    pub const UNDEFINED_OBJECT: Self = Self("42704");
    /// A column named twice in a list or a definition.
    pub const DUPLICATE_COLUMN: Self = Self("42701");
    /// Two tables of FROM go by one name.
    pub const DUPLICATE_ALIAS: Self = Self("42712");
    /// A portal's name that is in use.
    pub const DUPLICATE_CURSOR: Self = Self("42P03");
    /// A prepared statement's name that is in use.
    pub const DUPLICATE_PREPARED_STATEMENT: Self = Self("42P05");
    /// A schema's name that is in use. With IF NOT EXISTS a notice.
    pub const DUPLICATE_SCHEMA: Self = Self("42P06");
    /// A relation's name that is in use. With IF NOT EXISTS a notice.
    pub const DUPLICATE_TABLE: Self = Self("42P07");
    /// A name of a role, policy or storage credential that is in use. With IF NOT EXISTS a notice.
    pub const DUPLICATE_OBJECT: Self = Self("42710");
    /// A column's name that several relations of the query have.
    pub const AMBIGUOUS_COLUMN: Self = Self("42702");
    /// A text that is no well-formed name, as for `regclass`.
    pub const INVALID_NAME: Self = Self("42602");
    /// A foreign key whose columns do not fit those of the key it refers to.
    pub const INVALID_FOREIGN_KEY: Self = Self("42830");
    /// ON CONFLICT names columns that no unique index has.
    pub const INVALID_COLUMN_REFERENCE: Self = Self("42P10");
    /// A CREATE OR REPLACE VIEW that would change or drop columns.
    pub const INVALID_TABLE_DEFINITION: Self = Self("42P16");
    /// A policy that reads its own table, and so would never end.
    pub const INVALID_OBJECT_DEFINITION: Self = Self("42P17");
    /// A name of a role or schema that is kept for the system, such as one that starts with `pg_`.
    pub const RESERVED_NAME: Self = Self("42939");
    /// A value for an identity column that is GENERATED ALWAYS.
    pub const GENERATED_ALWAYS: Self = Self("428C9");
    // Class 53, 54, 55, 57, 58
    /// A statement needs more memory than is left of what all may use.
    pub const OUT_OF_MEMORY: Self = Self("53200");
    /// A connection beyond the number that the server takes.
    pub const TOO_MANY_CONNECTIONS: Self = Self("53300");
    /// A limit of the server: savepoints, prepared statements, depth of nesting, length of a record and the like.
    pub const PROGRAM_LIMIT_EXCEEDED: Self = Self("54000");
    /// A chain of operators that is too long.
    pub const STATEMENT_TOO_COMPLEX: Self = Self("54001");
    /// An object whose state forbids it: a sequence at its end, ambiguous masks, a data directory in use.
    pub const OBJECT_NOT_IN_PREREQUISITE_STATE: Self = Self("55000");
    /// A DROP of the current or the session's role.
    pub const OBJECT_IN_USE: Self = Self("55006");
    /// A setting that users may only look at.
    pub const CANT_CHANGE_RUNTIME_PARAM: Self = Self("55P02");
    /// A statement stopped by a cancel request or its timeout, or a COPY that its client gave up.
    pub const QUERY_CANCELED: Self = Self("57014");
    /// The server shuts down, and ends the session.
    pub const ADMIN_SHUTDOWN: Self = Self("57P01");
    /// A disk, the metadata database or an object store failed.
    pub const IO_ERROR: Self = Self("58030");
    /// A file that does not exist, or a location without files.
    pub const UNDEFINED_FILE: Self = Self("58P01");
    // Class XX
    /// A broken invariant: the client is told an id only.
    pub const INTERNAL_ERROR: Self = Self("XX000");
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
