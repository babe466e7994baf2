//! Maps from the names that others know users by to roles, as in PostgreSQL's `pg_ident.conf`.

use regex::Regex;

use super::file::{Field, Word};
use super::rule::name_pattern;

/// A line: in one map, a name that another system gives, and the role that it may be.
#[derive(Debug)]
pub struct Mapping {
    /// The map that it is of.
    pub map: String,
    /// The outside name, as written.
    pub system: String,
    /// The role, as written: a name, in which `\1` stands for what the outside name's expression captured, `all`, `+group`, or
    /// `/expression`.
    pub role: String,
    outside: Outside,
    inside: Inside,
}

#[derive(Debug)]
enum Outside {
    Is(String),
    Like(Regex),
}

#[derive(Debug)]
enum Inside {
    All,
    Member(String),
    Like(Regex),
    /// With `\1` in it, if the outside name is an expression.
    Is(String),
}

/// All maps of the file.
#[derive(Debug, Default)]
pub struct UserMaps(pub(super) Vec<Mapping>);

impl Mapping {
    pub(super) fn parse(fields: &[Field]) -> Result<Self, String> {
        let [map, system, role] = fields else {
            return Err(format!("expected a map, a system's user name and a role, not {} fields", fields.len()));
        };
        let single = |field: &Field, what: &str| match field.as_slice() {
            [word] => Ok(word.clone()),
            _ => Err(format!("multiple values in the {what} field")),
        };
        let (map, system, role) = (single(map, "map")?, single(system, "system user")?, single(role, "role")?);
        let outside = match system.pattern() {
            Some(pattern) => Outside::Like(name_pattern(pattern)?),
            None => Outside::Is(system.text.clone()),
        };
        let inside = inside(&role)?;
        if let (Inside::Is(name), Outside::Like(pattern)) = (&inside, &outside)
            && name.contains("\\1")
            && pattern.captures_len() < 2
        {
            return Err(format!("regular expression \"{}\" has no subexpressions as requested by \\1", system.text));
        }
        // Of a name that is longer, only a part would count: `anna` would be `ann` for `/^(ann|anna)`.
        if let (Inside::Is(name), Outside::Like(pattern)) = (&inside, &outside)
            && name.contains("\\1")
            && !(pattern.as_str().starts_with('^') && pattern.as_str().ends_with('$'))
        {
            return Err(format!("regular expression \"{}\" must begin with ^ and end with $ for \\1", system.text));
        }
        Ok(Self { map: map.text, system: system.text, role: role.text, outside, inside })
    }

    fn permits(&self, system: &str, role: &str, is_member: &dyn Fn(&str) -> bool) -> bool {
        let captured = match &self.outside {
            Outside::Is(name) if name == system => None,
            Outside::Is(_) => return false,
            Outside::Like(pattern) => match pattern.captures(system) {
                Some(found) => found.get(1).map(|group| group.as_str().to_owned()),
                None => return false,
            },
        };
        match &self.inside {
            Inside::All => true,
            Inside::Member(group) => is_member(group),
            Inside::Like(pattern) => pattern.is_match(role),
            Inside::Is(name) => match captured {
                Some(captured) => name.replacen("\\1", &captured, 1) == role,
                None => name == role,
            },
        }
    }
}

fn inside(role: &Word) -> Result<Inside, String> {
    Ok(if role.is("all") {
        Inside::All
    } else if let Some(group) = role.after('+') {
        Inside::Member(group.to_owned())
    } else if let Some(pattern) = role.pattern() {
        Inside::Like(name_pattern(pattern)?)
    } else {
        Inside::Is(role.text.clone())
    })
}

impl UserMaps {
    /// Whether who is `system` elsewhere may be a role: by a map, or without one if the names are the same. `is_member`: of
    /// a group, by the group's name.
    pub fn permits(&self, map: Option<&str>, system: &str, role: &str, is_member: &dyn Fn(&str) -> bool) -> bool {
        match map {
            None => system == role,
            Some(map) => self.0.iter().filter(|line| line.map == map).any(|line| line.permits(system, role, is_member)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::read_maps;
    use super::UserMaps;

    #[test]
    fn outside_names_stand_for_roles() {
        let text = r#"
            staff  anna            ann
            staff  /^(.*)@x\.org$  \1
            staff  ops             +admins
            staff  any             all
            staff  re              /^app_
            other  anna            bob
            quoted re              "all"
        "#;
        let maps = UserMaps(read_maps(text).into_iter().map(|line| line.entry.unwrap()).collect());
        let permits = |map: &str, system: &str, role: &str| {
            maps.permits(Some(map).filter(|map| !map.is_empty()), system, role, &|group| {
                group == "admins" && role == "cy"
            })
        };
        for (map, system, role, expected) in [
            ("", "ann", "ann", true),
            ("", "anna", "ann", false),
            ("staff", "anna", "ann", true),
            ("staff", "anna", "bob", false),
            ("staff", "ann", "ann", false),
            ("staff", "bob@x.org", "bob", true),
            ("staff", "bob@x.org", "ann", false),
            ("staff", "bob@xyorg", "bob", false),
            ("staff", "ops", "cy", true),
            ("staff", "ops", "admins", false),
            ("staff", "any", "postgres", true),
            ("staff", "re", "app_x", true),
            ("staff", "re", "my_app_x", false),
            ("quoted", "re", "all", true),
            ("quoted", "re", "ann", false),
            ("none", "anna", "anna", false),
        ] {
            assert_eq!(permits(map, system, role), expected, "{map} {system} {role}");
        }
        for (text, fault) in [
            ("m a", "expected a map"),
            ("m /x \\1", "no subexpressions"),
            ("m /^(ann|anna) \\1", "must begin with ^ and end with $"),
            ("m /( y", "invalid regular expression"),
            ("m a,b c", "multiple values"),
        ] {
            let found = read_maps(text).remove(0).entry.unwrap_err();
            assert!(found.contains(fault), "{found}");
        }
    }
}
