//! SQLSTATE codes, grouped by class as in PostgreSQL's errcodes; only those in use.

use std::fmt;

/// Five characters that drivers, ORMs and pools act upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SqlState(&'static str);

impl SqlState {
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    // Class 00, 01: success and warnings
    pub const SUCCESSFUL_COMPLETION: Self = Self("00000");
    pub const WARNING: Self = Self("01000");
    // Class 08: connection
    pub const PROTOCOL_VIOLATION: Self = Self("08P01");
    pub const TRANSACTION_RESOLUTION_UNKNOWN: Self = Self("08007");
    // Class 0A
    pub const FEATURE_NOT_SUPPORTED: Self = Self("0A000");
    // Class 0L
    pub const INVALID_GRANT_OPERATION: Self = Self("0LP01");
    // Class 21
    pub const CARDINALITY_VIOLATION: Self = Self("21000");
    // Class 22: data
    pub const STRING_DATA_RIGHT_TRUNCATION: Self = Self("22001");
    pub const NUMERIC_VALUE_OUT_OF_RANGE: Self = Self("22003");
    pub const NULL_VALUE_NOT_ALLOWED: Self = Self("22004");
    pub const INVALID_DATETIME_FORMAT: Self = Self("22007");
    pub const DATETIME_FIELD_OVERFLOW: Self = Self("22008");
    pub const DIVISION_BY_ZERO: Self = Self("22012");
    pub const CHARACTER_NOT_IN_REPERTOIRE: Self = Self("22021");
    pub const INVALID_PARAMETER_VALUE: Self = Self("22023");
    pub const INVALID_ROW_COUNT_IN_LIMIT_CLAUSE: Self = Self("2201W");
    pub const INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE: Self = Self("2201X");
    pub const INVALID_ESCAPE_SEQUENCE: Self = Self("22025");
    pub const INVALID_TEXT_REPRESENTATION: Self = Self("22P02");
    pub const INVALID_BINARY_REPRESENTATION: Self = Self("22P03");
    pub const BAD_COPY_FILE_FORMAT: Self = Self("22P04");
    pub const DATA_EXCEPTION: Self = Self("22000");
    // Class 23: integrity
    pub const NOT_NULL_VIOLATION: Self = Self("23502");
    // Class 25: transaction state
    pub const ACTIVE_TRANSACTION: Self = Self("25001");
    pub const READ_ONLY_TRANSACTION: Self = Self("25006");
    pub const NO_ACTIVE_TRANSACTION: Self = Self("25P01");
    pub const IN_FAILED_TRANSACTION: Self = Self("25P02");
    pub const IDLE_IN_TRANSACTION_TIMEOUT: Self = Self("25P03");
    // Class 26, 28, 2B
    pub const INVALID_STATEMENT_NAME: Self = Self("26000");
    pub const INVALID_AUTHORIZATION: Self = Self("28000");
    pub const INVALID_PASSWORD: Self = Self("28P01");
    pub const DEPENDENT_OBJECTS_STILL_EXIST: Self = Self("2BP01");
    // Class 34, 3B, 3D, 3F: names
    pub const INVALID_CURSOR_NAME: Self = Self("34000");
    pub const INVALID_SAVEPOINT: Self = Self("3B001");
    pub const UNDEFINED_DATABASE: Self = Self("3D000");
    pub const UNDEFINED_SCHEMA: Self = Self("3F000");
    // Class 40
    pub const SERIALIZATION_FAILURE: Self = Self("40001");
    // Class 42: syntax, names, rights
    pub const SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION: Self = Self("42000");
    pub const SYNTAX_ERROR: Self = Self("42601");
    pub const INSUFFICIENT_PRIVILEGE: Self = Self("42501");
    pub const GROUPING_ERROR: Self = Self("42803");
    pub const DATATYPE_MISMATCH: Self = Self("42804");
    pub const WRONG_OBJECT_TYPE: Self = Self("42809");
    pub const CANNOT_COERCE: Self = Self("42846");
    pub const UNDEFINED_FUNCTION: Self = Self("42883");
    pub const UNDEFINED_COLUMN: Self = Self("42703");
    pub const UNDEFINED_TABLE: Self = Self("42P01");
    pub const UNDEFINED_PARAMETER: Self = Self("42P02");
    pub const UNDEFINED_OBJECT: Self = Self("42704");
    pub const DUPLICATE_COLUMN: Self = Self("42701");
    pub const DUPLICATE_CURSOR: Self = Self("42P03");
    pub const DUPLICATE_PREPARED_STATEMENT: Self = Self("42P05");
    pub const DUPLICATE_SCHEMA: Self = Self("42P06");
    pub const DUPLICATE_TABLE: Self = Self("42P07");
    pub const DUPLICATE_OBJECT: Self = Self("42710");
    pub const AMBIGUOUS_COLUMN: Self = Self("42702");
    pub const AMBIGUOUS_FUNCTION: Self = Self("42725");
    pub const INVALID_COLUMN_REFERENCE: Self = Self("42P10");
    pub const INVALID_NAME: Self = Self("42602");
    pub const INVALID_TABLE_DEFINITION: Self = Self("42P16");
    pub const INDETERMINATE_DATATYPE: Self = Self("42P18");
    pub const INVALID_OBJECT_DEFINITION: Self = Self("42P17");
    pub const RESERVED_NAME: Self = Self("42939");
    pub const GENERATED_ALWAYS: Self = Self("428C9");
    pub const WITH_CHECK_VIOLATION: Self = Self("44000");
    // Class 53, 54, 55, 57, 58
    pub const OUT_OF_MEMORY: Self = Self("53200");
    pub const TOO_MANY_CONNECTIONS: Self = Self("53300");
    pub const PROGRAM_LIMIT_EXCEEDED: Self = Self("54000");
    pub const STATEMENT_TOO_COMPLEX: Self = Self("54001");
    pub const OBJECT_NOT_IN_PREREQUISITE_STATE: Self = Self("55000");
    pub const OBJECT_IN_USE: Self = Self("55006");
    pub const CANT_CHANGE_RUNTIME_PARAM: Self = Self("55P02");
    pub const QUERY_CANCELED: Self = Self("57014");
    pub const ADMIN_SHUTDOWN: Self = Self("57P01");
    pub const CANNOT_CONNECT_NOW: Self = Self("57P03");
    pub const IO_ERROR: Self = Self("58030");
    pub const UNDEFINED_FILE: Self = Self("58P01");
    // Class XX
    pub const INTERNAL_ERROR: Self = Self("XX000");
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
