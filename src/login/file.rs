//! The lines of PostgreSQL's authentication files: fields between blanks, each a list of words between commas. Words may be
//! quoted, which takes their special meaning away; `#` begins a comment, a backslash at its end continues a line.

use super::map::Mapping;
use super::rule::Rule;

/// What a line says, or what is wrong with it.
#[derive(Debug)]
pub struct Listed<T> {
    /// From 1.
    pub number: usize,
    /// The fault in words, for the operator.
    pub entry: Result<T, String>,
}

/// A word of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) quoted: bool,
}

impl Word {
    /// Whether it is a keyword.
    pub(super) fn is(&self, keyword: &str) -> bool {
        !self.quoted && self.text == keyword
    }

    /// What follows a sign that has a meaning, such as `+`.
    pub(super) fn after(&self, sign: char) -> Option<&str> {
        if self.quoted { None } else { self.text.strip_prefix(sign) }
    }

    /// The regular expression that it is, after `/`, quoted or not: one with a comma in it must be quoted.
    pub(super) fn pattern(&self) -> Option<&str> {
        self.text.strip_prefix('/')
    }
}

pub(super) type Field = Vec<Word>;

/// The rules of a file like `pg_hba.conf`.
pub fn read_rules(text: &str) -> Vec<Listed<Rule>> {
    entries(text, Rule::parse)
}

/// The maps of a file like `pg_ident.conf`.
pub fn read_maps(text: &str) -> Vec<Listed<Mapping>> {
    entries(text, Mapping::parse)
}

fn entries<T>(text: &str, parse: fn(&[Field]) -> Result<T, String>) -> Vec<Listed<T>> {
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let mut line = line.to_owned();
        while let Some(rest) = line.strip_suffix('\\') {
            line = rest.to_owned();
            let Some((_, more)) = lines.next() else { break };
            line.push_str(more);
        }
        let entry = match fields(&line) {
            Ok(fields) if fields.is_empty() => continue,
            Ok(fields) => parse(&fields),
            Err(fault) => Err(fault),
        };
        found.push(Listed { number: index + 1, entry });
    }
    found
}

fn fields(line: &str) -> Result<Vec<Field>, String> {
    let mut fields: Vec<Field> = Vec::new();
    let mut chars = line.chars().peekable();
    // A comma right behind a word goes on with the field.
    let mut goes_on = false;
    loop {
        while chars.next_if(|c| c.is_whitespace() || *c == ',').is_some() {}
        if matches!(chars.peek(), None | Some('#')) {
            break;
        }
        let mut word = Word { text: String::new(), quoted: false };
        while let Some(c) = chars.next_if(|c| !c.is_whitespace() && *c != ',' && *c != '#') {
            if c != '"' {
                word.text.push(c);
                continue;
            }
            // Only a word that begins with a quote loses its meaning: `ldapserver="a b"` has a part in quotes.
            word.quoted |= word.text.is_empty();
            loop {
                match chars.next() {
                    Some('"') if chars.next_if_eq(&'"').is_some() => word.text.push('"'),
                    Some('"') => break,
                    Some(c) => word.text.push(c),
                    None => return Err("unterminated quoted string".to_owned()),
                }
            }
        }
        match fields.last_mut() {
            Some(field) if goes_on => field.push(word),
            _ => fields.push(vec![word]),
        }
        goes_on = chars.peek() == Some(&',');
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::fields;

    #[test]
    fn fields_are_lists_of_words() {
        let shown = |line: &str| {
            let fields = fields(line).unwrap();
            let words = |field: &Vec<super::Word>| {
                field
                    .iter()
                    .map(|w| format!("{}{}", if w.quoted { "'" } else { "" }, w.text))
                    .collect::<Vec<_>>()
                    .join(",")
            };
            fields.iter().map(words).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown("host a, b,c \"all\" 10.0.0.0/8 # x"), "host a,b,c 'all 10.0.0.0/8");
        assert_eq!(shown("x ldapserver=\"a b\" \"say \"\"hi\"\"\""), "x ldapserver=a b 'say \"hi\"");
        assert!(shown("# nothing").is_empty());
        assert!(fields("\"open").is_err());
    }
}
