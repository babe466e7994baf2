//! Statements without their literals, for whoever may know what was done but not with which values.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer, Whitespace};

/// What is kept of a long text, in bytes.
const KEPT_MAX: usize = 32 << 10;

/// The text with `?` in place of each literal, without comments, and with one blank for each space. Text that is not made of
/// tokens is left out altogether; of a long text, for example many rows of VALUES, the beginning is kept.
pub(super) fn redacted(sql: &str) -> String {
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, sql).with_unescape(false).tokenize() else {
        return "(no statement)".to_owned();
    };
    let mut text = String::with_capacity(sql.len());
    for token in tokens {
        if text.len() > KEPT_MAX {
            text.push('…');
            break;
        }
        match token {
            Token::Whitespace(
                Whitespace::Space
                | Whitespace::Newline
                | Whitespace::Tab
                | Whitespace::SingleLineComment { .. }
                | Whitespace::MultiLineComment(_),
            ) => {
                if !text.is_empty() && !text.ends_with(' ') {
                    text.push(' ');
                }
            }
            Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::TripleSingleQuotedString(_)
            | Token::TripleDoubleQuotedString(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::DoubleQuotedByteStringLiteral(_)
            | Token::TripleSingleQuotedByteStringLiteral(_)
            | Token::TripleDoubleQuotedByteStringLiteral(_)
            | Token::SingleQuotedRawStringLiteral(_)
            | Token::DoubleQuotedRawStringLiteral(_)
            | Token::TripleSingleQuotedRawStringLiteral(_)
            | Token::TripleDoubleQuotedRawStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_) => text.push('?'),
            other => text.push_str(&other.to_string()),
        }
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn no_literal_is_left() {
        for (sql, wanted) in [
            (
                "SELECT  *\nFROM t WHERE a = 'x''y' AND b IN (1, 2.5e3) -- 'z'",
                "SELECT * FROM t WHERE a = ? AND b IN (?, ?)",
            ),
            ("ALTER ROLE a PASSWORD 'secret'", "ALTER ROLE a PASSWORD ?"),
            ("SELECT E'a\\'b', $$x$$, $q$y$q$, B'1', X'ff', U&'d', N'n' /* 'c' */", "SELECT ?, ?, ?, ?, ?, ?, ?"),
            ("SELECT \"Name\", $1", "SELECT \"Name\", $1"),
            ("SELECT 'never ends", "(no statement)"),
        ] {
            assert_eq!(redacted(sql), wanted, "{sql}");
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        let text = redacted(&format!("INSERT INTO t VALUES {}", "('secret', 1), ".repeat(10_000)));
        assert!(text.starts_with("INSERT INTO t VALUES (?, ?), (?, ?)") && text.ends_with('…'));
        assert!(text.len() < super::KEPT_MAX + 100 && !text.contains("secret"));
    }
}
